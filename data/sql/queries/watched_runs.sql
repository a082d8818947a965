-- watched_runs: runs whose health gate has judged a stage, the newest request first.
-- takes:   $environment VARCHAR ('' = all), $limit INTEGER
-- returns: number INTEGER, run_id VARCHAR
-- order:   number, descending
SELECT idx AS number, 'run-' || idx AS run_id
  FROM projections
 WHERE kind = 'runs'
   AND ($environment = '' OR name = $environment)
   AND 'run-' || idx IN (SELECT run_id FROM gate_ticks WHERE rule > 0)
 ORDER BY idx DESC
 LIMIT $limit
