-- stage_samples: health of one step's targets, per poll; the function adds a row per arm.
-- takes:   $run_id VARCHAR, $step VARCHAR
-- returns: ts_us BIGINT, attempt INTEGER, arm VARCHAR, target VARCHAR, targets BIGINT,
--          requests BIGINT, errors BIGINT, slow BIGINT, error_rate_bp BIGINT, p95_ms INTEGER,
--          healthy BIGINT, unknown BIGINT, digest VARCHAR
-- units:   counts since the poll before; error_rate_bp 1 bp = 0.01 %, NULL without requests;
--          p95_ms the slowest target's, NULL without requests; healthy and unknown count targets
-- order:   none; raw rows only, so that DuckDB finds them in one pass (data/arms.py does the rest)
SELECT ts_us, attempt, arm, target,
       CAST(1 AS BIGINT) AS targets,
       requests, errors, slow,
       errors * 10000 // nullif(requests, 0) AS error_rate_bp,
       p95_ms,
       CAST(coalesce(healthy, false) AS BIGINT) AS healthy,
       CAST(healthy IS NULL AS BIGINT) AS unknown,
       digest
  FROM health_samples
 WHERE run_id = $run_id AND step = $step
