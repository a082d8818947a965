-- steps: the steps of every run, as its latest attempt left each.
-- takes: $run VARCHAR ('' = all)
-- order: number, place
-- columns:
--   number INTEGER         of the run, in order of request
--   run_id VARCHAR         run- and the number
--   place INTEGER          of the step in its run, from 0
--   step VARCHAR           id
--   step_kind VARCHAR      inputs, gate_eval, approval, deploy, verify, seal
--   title VARCHAR          its name for people
--   status VARCHAR         of the step
--   attempts INTEGER       how often it was tried
--   result VARCHAR         of the latest attempt, where it has one
--   summary VARCHAR        what came of it, as a sentence
--   started_us BIGINT      UTC epoch microseconds; empty before
--   ended_us BIGINT        UTC epoch microseconds; empty before
SELECT number, run_id, place, step, step_kind, title, status, attempts,
       coalesce(result, '') AS result, coalesce(summary, '') AS summary, started_us, ended_us
  FROM steps
 WHERE $run = '' OR run_id = $run
 ORDER BY number, place
