-- replay_counts: replays counted by everything that is asked about them.
-- takes:   $environment VARCHAR ('' = any), $since_day INTEGER
-- returns: kind VARCHAR, mode VARCHAR, status VARCHAR, result VARCHAR, cause VARCHAR,
--          environment VARCHAR, policy VARCHAR, engine VARCHAR, form VARCHAR, crosscheck VARCHAR,
--          decided_day INTEGER, replayed_day INTEGER, count BIGINT
-- units:   _day = UTC days since the epoch; $since_day is of the replay
-- order:   none
SELECT kind, mode, status, result, cause, environment, policy, engine, form, crosscheck,
       decided_day, replayed_day, count
  FROM replay_counts
 WHERE ($environment = '' OR environment = $environment)
   AND replayed_day >= $since_day
