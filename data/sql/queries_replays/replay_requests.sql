-- replay_requests: who asked for what to be replayed, and how far each request has come.
-- takes:   $n INTEGER (NULL = all), $limit INTEGER, $before INTEGER (NULL = the newest)
-- returns: n INTEGER, name VARCHAR, ts_us BIGINT, actor VARCHAR, reason VARCHAR, mode VARCHAR,
--          depth VARCHAR, scope VARCHAR, run_id VARCHAR, environment VARCHAR, policy VARCHAR,
--          total INTEGER, done BIGINT, status VARCHAR, matching BIGINT, mismatching BIGINT,
--          same BIGINT, flipped BIGINT, unproven BIGINT, failed BIGINT
-- units:   ts_us = UTC epoch microseconds, when it was asked for
-- order:   n, descending
WITH picked AS (
    SELECT *
      FROM replay_requests
     WHERE ($n IS NULL OR n = $n) AND ($before IS NULL OR n < $before)
     ORDER BY n DESC
     LIMIT $limit
),
ended AS (
    SELECT n, count(*) AS done, min(idx) AS least, arg_min(status, idx) AS least_status,
           count(*) FILTER (result = 'MATCH') AS matching,
           count(*) FILTER (result = 'MISMATCH') AS mismatching,
           count(*) FILTER (result = 'SAME') AS same,
           count(*) FILTER (result = 'FLIPPED') AS flipped,
           count(*) FILTER (result = 'UNPROVEN') AS unproven,
           count(*) FILTER (status = 'FAILED') AS failed
      FROM replays
     WHERE n IN (SELECT n FROM picked)
     GROUP BY n
)
SELECT p.n AS n,
       'rr-' || printf('%03d', p.n) AS name,
       ts_us, actor, reason, mode, depth, scope, run_id, environment, policy, total,
       coalesce(done, 0) AS done,
       CASE WHEN least = 0 THEN least_status
            WHEN coalesce(done, 0) < total THEN 'RUNNING'
            WHEN failed = done THEN 'FAILED'
            ELSE 'COMPLETED' END AS status,
       coalesce(matching, 0) AS matching, coalesce(mismatching, 0) AS mismatching,
       coalesce(same, 0) AS same, coalesce(flipped, 0) AS flipped,
       coalesce(unproven, 0) AS unproven, coalesce(failed, 0) AS failed
  FROM picked p
  LEFT JOIN ended e ON e.n = p.n
 ORDER BY p.n DESC
