-- stage_minutes: health of one step's targets by the minute, for ever; the function adds arms.
-- takes:   $run_id VARCHAR, $step VARCHAR
-- returns: ts_us BIGINT, attempt INTEGER, arm VARCHAR, target VARCHAR, targets BIGINT,
--          requests BIGINT, errors BIGINT, slow BIGINT, error_rate_bp BIGINT, p95_ms INTEGER,
--          healthy BIGINT, unknown BIGINT, digest VARCHAR, healthy_polls BIGINT,
--          unhealthy_polls BIGINT, missing_polls BIGINT
-- units:   ts_us = where the minute begins; counts within it; error_rate_bp 1 bp = 0.01 %, NULL
--          without requests; p95_ms the highest of any poll; healthy and unknown count targets:
--          healthy at every poll, unknown without a single answer; digest NULL when it changed
-- order:   none (see stage_samples); attempts that have not ended are not in it yet
SELECT minute_us AS ts_us, attempt, arm, target,
       CAST(1 AS BIGINT) AS targets,
       requests, errors, slow,
       errors * 10000 // nullif(requests, 0) AS error_rate_bp,
       p95_ms_max AS p95_ms,
       CAST(healthy_polls > 0 AND unhealthy_polls = 0 AND missing_polls = 0 AS BIGINT) AS healthy,
       CAST(healthy_polls = 0 AND unhealthy_polls = 0 AS BIGINT) AS unknown,
       digest, healthy_polls, unhealthy_polls, missing_polls
  FROM sample_minutes
 WHERE run_id = $run_id AND step = $step
