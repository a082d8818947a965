-- watches: every attempt from which on a health gate watched a stage.
-- takes:   $run_id VARCHAR, $step VARCHAR, $environment VARCHAR ('' = any), $since_us BIGINT
-- returns: run_id VARCHAR, environment VARCHAR, step VARCHAR, attempt INTEGER, ts_us BIGINT
-- units:   ts_us = UTC epoch microseconds, when it began; attempt is the first of the watch
-- order:   run number, ts_us
SELECT run_id, p.name AS environment, step, attempt, min(ts_us) AS ts_us
  FROM gate_ticks t
  JOIN projections p ON p.kind = 'runs' AND p.idx = CAST(run_id[5:] AS INTEGER)
 WHERE action = 'start'
   AND ($run_id = '' OR run_id = $run_id)
   AND ($step = '' OR step = $step)
   AND ($environment = '' OR p.name = $environment)
   AND t.ts_us >= $since_us
 GROUP BY p.idx, run_id, p.name, step, attempt
 ORDER BY p.idx, min(ts_us)
