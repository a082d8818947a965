-- replays_open: outcomes of mode VERIFY that are still missing, and requests that are under way.
-- takes:   $run_id VARCHAR, $environment VARCHAR ('' = any), $first_n INTEGER (none before it
--          is under way)
-- returns: missing BIGINT, requests BIGINT
-- units:   counts
-- order:   one row
WITH ended AS (SELECT n, count(*) AS done, min(idx) AS least FROM replays WHERE n >= $first_n GROUP BY n)
SELECT CAST(coalesce(sum(total - coalesce(done, 0)) FILTER (mode = 'VERIFY'), 0) AS BIGINT)
           AS missing,
       count(*) AS requests
  FROM replay_requests r
  LEFT JOIN ended e ON e.n = r.n
 WHERE r.n >= $first_n
   AND coalesce(done, 0) < total
   AND coalesce(least, 1) > 0
   AND ($run_id = '' OR run_id = $run_id)
   AND ($environment = '' OR environment = $environment)
