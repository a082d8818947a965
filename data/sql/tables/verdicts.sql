-- verdicts: every decision of the policy gate.
-- takes: $run VARCHAR ('' = all)
-- order: ts_us, verdict_id
-- columns:
--   verdict_id VARCHAR     verdict- and a number
--   run_id VARCHAR         that was judged
--   step VARCHAR           in which
--   attempt INTEGER        of the step
--   ts_us BIGINT           UTC epoch microseconds
--   decision VARCHAR       PASS or FAIL
--   warn INTEGER           findings that warn
--   fail INTEGER           findings that fail
--   error BOOLEAN          a rule could not be evaluated, which is a FAIL
--   verdict VARCHAR        digest of the verdict, the same whoever evaluates it
--   policy VARCHAR         digest of the policy
--   policy_input VARCHAR   digest of the facts that it was asked about
--   capsule VARCHAR        digest of everything frozen that the verdict rests on
SELECT verdict_id, run_id, step, attempt, ts_us, decision, warn, fail, error, verdict, policy,
       policy_input, capsule
  FROM verdicts
 WHERE $run = '' OR run_id = $run
 ORDER BY ts_us, verdict_id
