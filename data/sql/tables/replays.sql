-- replays: every outcome of a recorded decision that was asked again.
-- takes: $run VARCHAR ('' = all)
-- order: n, idx
-- columns:
--   n INTEGER              number of the request, as in rr-n
--   idx INTEGER            place within the request; 0 = the request as a whole ended early
--   ts_us BIGINT           UTC epoch microseconds
--   kind VARCHAR           of what was asked again: verdict or gate
--   subject VARCHAR        which
--   run_id VARCHAR         that it belongs to
--   environment VARCHAR    of the run
--   mode VARCHAR           VERIFY, WHAT_IF or TODAY
--   depth VARCHAR          from the facts, or from the bytes behind them
--   status VARCHAR         COMPLETED, FAILED or CANCELLED
--   result VARCHAR         MATCH or MISMATCH of VERIFY, SAME or FLIPPED of the others; else empty
--   cause VARCHAR          of what does not match
--   sentence VARCHAR       what differs first
--   decision_then VARCHAR  as it was recorded
--   decision_now VARCHAR   as it was answered again
--   digest_then VARCHAR    of the verdict of then
--   digest_now VARCHAR     of the verdict of now
--   policy VARCHAR         digest of the policy of then
--   policy_now VARCHAR     digest of the policy of now
SELECT n, idx, ts_us, kind, subject, run_id, environment, mode, depth, status, result, cause,
       sentence, decision_then, decision_now, digest_then, digest_now, policy, policy_now
  FROM replays
 WHERE $run = '' OR run_id = $run
 ORDER BY n, idx
