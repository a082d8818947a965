-- ticks: every poll of a watched stage, exactly as its health gate saw it.
-- takes: $run VARCHAR ('' = all)
-- order: run_id, step, attempt, n
-- columns:
--   run_id VARCHAR         that is watched
--   step VARCHAR           the stage
--   attempt INTEGER        of the stage
--   n INTEGER              of the poll within the attempt, from 1
--   t_ms BIGINT            milliseconds since the watch began
--   ts_us BIGINT           UTC epoch microseconds
--   action VARCHAR         continue, hold, promote, rollback or pause
--   rule INTEGER           row of the gate's table that decided
--   reason VARCHAR         as a sentence
--   tick VARCHAR           what the gate was given, canonical JSON
SELECT run_id, step, attempt, n, t_ms, ts_us, action, rule, reason, tick
  FROM gate_ticks
 WHERE $run = '' OR run_id = $run
 ORDER BY run_id, step, attempt, n
