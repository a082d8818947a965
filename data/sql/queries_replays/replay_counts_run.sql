-- replay_counts_run: the replays of one run, counted like `replay_counts`.
-- takes:   $run_id VARCHAR
-- returns: kind VARCHAR, mode VARCHAR, status VARCHAR, result VARCHAR, cause VARCHAR,
--          environment VARCHAR, policy VARCHAR, engine VARCHAR, form VARCHAR, crosscheck VARCHAR,
--          decided_day INTEGER, replayed_day INTEGER, count BIGINT
-- units:   as replay_counts
-- order:   none
SELECT kind, mode, status, result, cause, environment, policy, engine, form, crosscheck,
       CAST(decided_us // 86400000000 AS INTEGER) AS decided_day,
       CAST(ts_us // 86400000000 AS INTEGER) AS replayed_day, count(*) AS count
  FROM replays
 WHERE run_id = $run_id
 GROUP BY ALL
