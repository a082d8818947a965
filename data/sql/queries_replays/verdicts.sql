-- verdicts: recorded verdicts of the policy, the newest first.
-- takes:   $verdict_id, $run_id, $environment, $policy, $decision, $bundle VARCHAR ('' = any),
--          $not_replayed_since_us BIGINT (0 = any; else only those not verified since then),
--          $since_us BIGINT, $before_us BIGINT (NULL = the newest), $limit INTEGER (NULL = all)
-- returns: verdict_id VARCHAR, run_id VARCHAR, environment VARCHAR, step VARCHAR,
--          attempt INTEGER, ts_us BIGINT, decision VARCHAR, warn INTEGER, fail INTEGER,
--          error BOOLEAN, verdict VARCHAR, policy VARCHAR, policy_input VARCHAR, capsule VARCHAR,
--          bundle VARCHAR, bundle_name VARCHAR, bundle_version VARCHAR, replays BIGINT,
--          last_result VARCHAR, last_cause VARCHAR
-- units:   ts_us = UTC epoch microseconds; verdict, policy, policy_input, capsule, bundle are
--          digests; replays counts mode VERIFY, last_ is of the newest of them, '' without one
-- order:   ts_us, verdict_id, descending
WITH picked AS (
    SELECT v.*, p.name AS environment, p.body
      FROM verdicts v
      JOIN projections p ON p.kind = 'runs' AND p.idx = CAST(v.run_id[5:] AS INTEGER)
     WHERE ($verdict_id = '' OR v.verdict_id = $verdict_id)
       AND ($run_id = '' OR v.run_id = $run_id)
       AND ($environment = '' OR p.name = $environment)
       AND ($policy = '' OR v.policy = $policy)
       AND ($decision = '' OR v.decision = $decision)
       AND ($bundle = '' OR json_extract_string(p.body, '$.bundle') = $bundle)
       AND ($not_replayed_since_us = 0 OR NOT EXISTS (
               SELECT 1
                 FROM replays r
                WHERE r.subject = v.verdict_id AND r.ts_us >= $not_replayed_since_us
                  AND r.kind = 'VERDICT' AND r.mode = 'VERIFY' AND r.status = 'COMPLETED'))
       AND v.ts_us >= $since_us
       AND ($before_us IS NULL OR v.ts_us < $before_us)
     ORDER BY v.ts_us DESC, v.verdict_id DESC
     LIMIT $limit
),
replayed AS (
    SELECT subject, count(*) AS replays, arg_max(result, n) AS last_result,
           arg_max(cause, n) AS last_cause
      FROM replays
     WHERE kind = 'VERDICT' AND mode = 'VERIFY' AND status = 'COMPLETED'
       AND subject IN (SELECT verdict_id FROM picked)
     GROUP BY subject
)
SELECT verdict_id, run_id, environment, step, attempt, ts_us, decision, warn, fail, error, verdict,
       policy, policy_input, capsule,
       json_extract_string(body, '$.bundle') AS bundle,
       json_extract_string(body, '$.bundle_name') AS bundle_name,
       json_extract_string(body, '$.bundle_version') AS bundle_version,
       coalesce(replays, 0) AS replays, coalesce(last_result, '') AS last_result,
       coalesce(last_cause, '') AS last_cause
  FROM picked
  LEFT JOIN replayed ON subject = verdict_id
 ORDER BY ts_us DESC, verdict_id DESC
