-- verdict: one verdict of the policy; no row when there is none of this id.
-- takes:   $verdict_id VARCHAR
-- returns: verdict_id VARCHAR, run_id VARCHAR, step VARCHAR, attempt INTEGER, ts_us BIGINT,
--          decision VARCHAR, warn INTEGER, fail INTEGER, error BOOLEAN, verdict VARCHAR,
--          policy VARCHAR, policy_input VARCHAR, capsule VARCHAR
-- units:   ts_us = UTC epoch microseconds; verdict, policy, policy_input, capsule are digests
-- order:   at most one row
SELECT verdict_id, run_id, step, attempt, ts_us, decision, warn, fail, error, verdict, policy,
       policy_input, capsule
  FROM verdicts
 WHERE verdict_id = $verdict_id
