-- replays: outcomes of replays and requests that are under way, of one run or of all.
-- takes:   $run_id, $subject, $environment, $mode, $kind, $status, $result, $cause, $policy,
--          $engine, $form, $crosscheck VARCHAR ('' = any), $since_us BIGINT, $decided_day, $replayed_day INTEGER
--          (NULL = any), $n INTEGER (NULL = any), $limit INTEGER, $before BIGINT (NULL = newest)
-- returns: key BIGINT, name VARCHAR, n INTEGER, idx INTEGER, status VARCHAR, mode VARCHAR,
--          depth VARCHAR, kind VARCHAR, subject VARCHAR, scope VARCHAR, run_id VARCHAR,
--          environment VARCHAR, actor VARCHAR, reason VARCHAR, asked_us BIGINT, ended_us BIGINT,
--          result VARCHAR, cause VARCHAR, facet VARCHAR, sentence VARCHAR, decided_us BIGINT,
--          decision_then VARCHAR, decision_now VARCHAR, digest_then VARCHAR, digest_now VARCHAR,
--          policy VARCHAR, policy_now VARCHAR, engine VARCHAR, engine_now VARCHAR, form VARCHAR,
--          crosscheck VARCHAR, took_us BIGINT, detail VARCHAR, done BIGINT, total INTEGER
-- units:   _us = UTC epoch microseconds, took_us a duration; ended_us is NULL while under way;
--          the next page is the one `$before` the last key of this one
-- order:   key, descending: the newest request first, its running row before its outcomes
WITH found AS (
    SELECT CAST(n AS BIGINT) * 1000000 + idx AS key, n, idx, status, mode, depth, kind, subject,
           run_id, environment, ts_us AS ended_us, result, cause, facet, sentence, decided_us,
           decision_then, decision_now, digest_then, digest_now, policy, policy_now, engine,
           engine_now, form, crosscheck, took_us, detail
      FROM replays
     WHERE ($run_id = '' OR run_id = $run_id)
       AND ($subject = '' OR subject = $subject)
       AND ($environment = '' OR environment = $environment)
       AND ($mode = '' OR mode = $mode)
       AND ($kind = '' OR kind = $kind)
       AND ($status = '' OR status = $status)
       AND ($result = '' OR result = $result)
       AND ($cause = '' OR cause = $cause)
       AND ($policy = '' OR policy = $policy)
       AND ($engine = '' OR engine = $engine)
       AND ($form = '' OR form = $form)
       AND ($crosscheck = '' OR crosscheck = $crosscheck)
       AND ts_us >= $since_us
       AND ($decided_day IS NULL OR decided_us // 86400000000 = $decided_day)
       AND ($replayed_day IS NULL OR ts_us // 86400000000 = $replayed_day)
       AND ($n IS NULL OR n = $n)
       AND ($before IS NULL OR n < $before // 1000000
            OR (n = $before // 1000000 AND idx < $before % 1000000))
     ORDER BY n DESC, idx DESC
     LIMIT $limit
),
-- A full page ends somewhere: what is under way behind that end is on a later one.
reach AS (
    SELECT CASE WHEN count(*) = $limit THEN min(n) ELSE 0 END AS first FROM found
),
ended AS (
    SELECT n, count(*) AS done, min(idx) AS least
      FROM replays
     WHERE n >= (SELECT first FROM reach)
     GROUP BY n
),
under_way AS (
    SELECT CAST(r.n AS BIGINT) * 1000000 + 999999 AS key, r.n, 0 AS idx, 'RUNNING' AS status,
           mode, depth, '' AS kind, scope AS subject, run_id, environment,
           CAST(NULL AS BIGINT) AS ended_us, '' AS result, '' AS cause, '' AS facet,
           '' AS sentence, CAST(NULL AS BIGINT) AS decided_us, '' AS decision_then,
           '' AS decision_now, '' AS digest_then, '' AS digest_now, '' AS policy,
           policy AS policy_now, '' AS engine, '' AS engine_now, '' AS form, '' AS crosscheck,
           CAST(NULL AS BIGINT) AS took_us, '' AS detail
      FROM replay_requests r
      LEFT JOIN ended e ON e.n = r.n
     WHERE r.n >= (SELECT first FROM reach)
       AND coalesce(done, 0) < total
       AND coalesce(least, 1) > 0
       AND ($run_id = '' OR run_id = $run_id)
       AND ($subject = '' OR scope = $subject)
       AND ($environment = '' OR environment = $environment)
       AND ($mode = '' OR mode = $mode)
       AND ($status = '' OR $status = 'RUNNING')
       AND $kind = '' AND $result = '' AND $cause = '' AND $policy = '' AND $engine = ''
       AND $form = '' AND $crosscheck = ''
       AND ts_us >= $since_us
       AND $decided_day IS NULL AND $replayed_day IS NULL
       AND ($n IS NULL OR r.n = $n)
       AND ($before IS NULL OR CAST(r.n AS BIGINT) * 1000000 + 999999 < $before)
),
page AS (
    SELECT * FROM found UNION ALL SELECT * FROM under_way ORDER BY key DESC LIMIT $limit
)
SELECT key,
       'rr-' || printf('%03d', p.n)
           || CASE WHEN total > 1 AND idx > 0 THEN '.' || idx ELSE '' END AS name,
       p.n AS n, idx, status, p.mode AS mode, p.depth AS depth, kind, subject, scope,
       p.run_id AS run_id, p.environment AS environment, actor, reason, ts_us AS asked_us,
       ended_us, result, cause, facet, sentence, decided_us, decision_then, decision_now,
       digest_then, digest_now, p.policy AS policy, policy_now, engine, engine_now, form,
       crosscheck, took_us, detail, coalesce(done, 0) AS done, total
  FROM page p
  JOIN replay_requests r ON r.n = p.n
  LEFT JOIN ended e ON e.n = p.n
 ORDER BY key DESC
