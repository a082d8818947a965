-- scheduler_ticks: what became of the firings of schedules and of the times of steps, newest first.
-- takes:   $schedule VARCHAR ('' = of every one), $run VARCHAR ('' = of any or none),
--          $word VARCHAR ('' = any), $limit INTEGER, $before BIGINT (a gseq: only older ones;
--          NULL = from the newest)
-- returns: gseq BIGINT, ts_us BIGINT, schedule VARCHAR, environment VARCHAR, label VARCHAR,
--          firing VARCHAR, run VARCHAR, step VARCHAR, word VARCHAR, why VARCHAR, due_us BIGINT,
--          late_ms BIGINT
-- units:   _us = UTC epoch microseconds; firing = local date; run '' for a firing that made none;
--          step '' for a firing, and schedule and firing '' for a step; label = bundle and version;
--          late_ms since the window opened
-- order:   gseq, falling
WITH made AS (
    SELECT stream AS of, json_extract_string(body, '$.environment') AS environment,
           json_extract_string(body, '$.bundle_name') || ' '
               || json_extract_string(body, '$.bundle_version') AS label
      FROM events
     WHERE kind IN ('schedule.created/1', 'run.requested/1')
), ticks AS (
    SELECT gseq, ts_us, coalesce(json_extract_string(body, '$.schedule'), '') AS schedule,
           coalesce(json_extract_string(body, '$.firing'), '') AS firing,
           CASE WHEN stream LIKE 'run-%' THEN stream ELSE '' END AS run,
           coalesce(json_extract_string(body, '$.step'), '') AS step,
           json_extract_string(body, '$.word') AS word,
           json_extract_string(body, '$.why') AS why,
           CAST(json_extract(body, '$.due_us') AS BIGINT) AS due_us,
           CAST(json_extract(body, '$.late_ms') AS BIGINT) AS late_ms
      FROM events
     WHERE kind IN ('firing.ticked/1', 'step.ticked/1')
       AND ($before IS NULL OR gseq < $before)
)
SELECT gseq, ts_us, schedule, environment, label, firing, run, step, word, why, due_us, late_ms
  FROM ticks
  JOIN made ON made.of = CASE WHEN schedule = '' THEN run ELSE schedule END
 WHERE $schedule IN ('', schedule)
   AND $run IN ('', run)
   AND $word IN ('', word)
 ORDER BY gseq DESC
 LIMIT $limit
