-- stage_ticks: what the gate saw and answered at each poll of one step.
-- takes:   $run_id VARCHAR, $step VARCHAR
-- returns: attempt INTEGER, n INTEGER, t_ms BIGINT, ts_us BIGINT, action VARCHAR, rule INTEGER,
--          reason VARCHAR, tick VARCHAR
-- units:   t_ms since the watch began; ts_us = UTC epoch microseconds; tick is canonical JSON
-- order:   attempt, n
SELECT attempt, n, t_ms, ts_us, action, rule, reason, tick
  FROM gate_ticks
 WHERE run_id = $run_id AND step = $step
 ORDER BY attempt, n
