-- step_logs: the newest lines of one attempt's log.
-- takes:   $run_id VARCHAR, $step VARCHAR, $attempt INTEGER, $limit INTEGER
-- returns: n BIGINT, ts_us BIGINT, level VARCHAR, target VARCHAR, text VARCHAR
-- units:   ts_us = UTC epoch microseconds; target '' = the step as a whole
-- order:   as written, oldest first
SELECT n, ts_us, level, target, text
  FROM (
    SELECT n, ts_us, level, target, text
      FROM step_logs
     WHERE run_id = $run_id AND step = $step AND attempt = $attempt
     ORDER BY n DESC
     LIMIT $limit
  )
 ORDER BY n
