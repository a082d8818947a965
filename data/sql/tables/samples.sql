-- samples: what each target was seen to do at each poll; gone when they are older than is kept.
-- takes: $run VARCHAR (one run: there are millions)
-- order: ts_us, step, attempt, target
-- columns:
--   ts_us BIGINT           UTC epoch microseconds
--   run_id VARCHAR         that was watched
--   step VARCHAR           the stage
--   attempt INTEGER        of the stage
--   target VARCHAR         by name
--   arm VARCHAR            canary for targets of the stage's cohort, else baseline
--   requests BIGINT        since the poll before
--   errors BIGINT          of these
--   slow BIGINT            of these, over the workflow's limit
--   p95_ms INTEGER         upper estimate; empty without requests
--   healthy BOOLEAN        empty = no answer
--   digest VARCHAR         of what the target said that it runs; empty = no answer
SELECT ts_us, run_id, step, attempt, target, arm, requests, errors, slow, p95_ms, healthy, digest
  FROM health_samples
 WHERE run_id = $run
 ORDER BY ts_us, step, attempt, target
