-- deliveries: messages to webhooks and how each stands, the newest first.
-- takes:   $hook VARCHAR (id; '' = all), $outcome VARCHAR ('' = all), $dead BOOLEAN (true = only
--          what was given up on and not asked for again), $limit, $before BIGINT NULL (the `place`
--          to go on behind), $gseq BIGINT (0 = of every event), $idx INTEGER
-- returns: place BIGINT, hook VARCHAR, hook_name VARCHAR, removed BOOLEAN, gseq BIGINT,
--          idx INTEGER, wave BIGINT, name VARCHAR, stream VARCHAR, seq INTEGER, ts_us BIGINT,
--          tries INTEGER, outcome VARCHAR, status INTEGER, note VARCHAR, tried_us BIGINT,
--          next_us BIGINT, took_ms BIGINT, newest BOOLEAN
-- units:   outcome = WAITING (not tried yet), FAILED (tried again at next_us), DELIVERED, DEAD or
--          DROPPED (its webhook was removed before); status = of HTTP, 0 = no answer; _us = UTC
--          epoch microseconds, next_us 0 = no further try; wave 0 = told when it happened, else
--          asked for again; newest = not asked for again since
-- order:   place descending: the order in which they came into being, from 1; it never changes
WITH named AS (
    SELECT json_extract_string(body, '$.hook') AS hook,
           arg_max(json_extract_string(body, '$.name'), gseq) AS hook_name,
           bool_or(kind = 'webhook.removed/1') AS removed
      FROM events
     WHERE kind IN ('webhook.set/1', 'webhook.removed/1')
     GROUP BY 1
), told AS (
    SELECT row_number() OVER (
               ORDER BY greatest(d.gseq, d.wave), d.wave, d.gseq, d.idx, d.hook
           ) AS place,
           d.hook, hook_name, removed, d.gseq, d.idx, d.wave, d.name, d.stream, d.seq, d.ts_us,
           tries,
           CASE WHEN removed AND outcome IN ('WAITING', 'FAILED') THEN 'DROPPED'
                ELSE outcome END AS outcome,
           status, note, tried_us, next_us, took_ms, newest
      FROM deliveries d
      JOIN named USING (hook)
)
SELECT *
  FROM told
 WHERE ($hook = '' OR hook = $hook)
   AND ($outcome = '' OR outcome = $outcome)
   AND (NOT $dead OR (outcome = 'DEAD' AND newest))
   AND ($gseq = 0 OR (gseq = $gseq AND idx = $idx))
   AND ($before IS NULL OR place < $before)
 ORDER BY place DESC
 LIMIT $limit
