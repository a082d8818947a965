-- stage_p95: latency of one step's targets, per poll; the function keeps the slowest of each arm.
-- takes:   $run_id VARCHAR, $step VARCHAR
-- returns: ts_us BIGINT, arm VARCHAR, p95_ms INTEGER
-- units:   p95_ms = upper bound of the bucket in milliseconds, NULL without requests
-- order:   none; few columns and one pass, because it is asked at every poll
SELECT ts_us, arm, p95_ms
  FROM health_samples
 WHERE run_id = $run_id AND step = $step
