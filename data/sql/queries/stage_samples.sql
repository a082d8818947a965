-- stage_samples: health of one step's targets, per poll: a row per arm and a row per target.
-- takes:   $run_id VARCHAR, $step VARCHAR
-- returns: ts_us BIGINT, attempt INTEGER, arm VARCHAR, target VARCHAR, targets BIGINT,
--          requests BIGINT, errors BIGINT, slow BIGINT, error_rate_bp BIGINT, p95_ms INTEGER,
--          healthy BIGINT, unknown BIGINT, digest VARCHAR
-- units:   counts since the poll before; error_rate_bp 1 bp = 0.01 %, NULL without requests;
--          p95_ms the slowest target's, NULL without requests; healthy and unknown count targets;
--          target '' = the whole arm, whose digest is NULL when its targets differ
-- order:   ts_us, arm, target (so the arm comes before its targets)
SELECT ts_us, attempt, arm,
       CASE WHEN grouping(target) = 1 THEN '' ELSE target END AS target,
       count(*) AS targets,
       CAST(sum(requests) AS BIGINT) AS requests,
       CAST(sum(errors) AS BIGINT) AS errors,
       CAST(sum(slow) AS BIGINT) AS slow,
       CAST(sum(errors) * 10000 // nullif(sum(requests), 0) AS BIGINT) AS error_rate_bp,
       max(p95_ms) AS p95_ms,
       count(*) FILTER (healthy) AS healthy,
       count(*) FILTER (healthy IS NULL) AS unknown,
       CASE WHEN count(DISTINCT digest) = 1 THEN any_value(digest) END AS digest
  FROM health_samples
 WHERE run_id = $run_id AND step = $step
 GROUP BY GROUPING SETS ((ts_us, attempt, arm), (ts_us, attempt, arm, target))
 ORDER BY ts_us, arm, target
