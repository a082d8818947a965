-- delivery_tries: every try at one message, all waves of it.
-- takes:   $hook VARCHAR, $gseq BIGINT, $idx INTEGER
-- returns: wave BIGINT, n INTEGER, ts_us BIGINT, took_ms BIGINT, outcome VARCHAR, status INTEGER,
--          note VARCHAR, next_us BIGINT
-- units:   as in `deliveries`
-- order:   wave, n
SELECT wave, n, ts_us, took_ms, outcome, status, note, next_us
  FROM hook_tries
 WHERE hook = $hook AND gseq = $gseq AND idx = $idx
 ORDER BY wave, n
