-- runs: every promotion that was requested, as it stands.
-- takes: $run VARCHAR ('' = all)
-- order: number
-- columns:
--   number INTEGER               in order of request
--   run_id VARCHAR               run- and the number
--   kind VARCHAR                 PROMOTE, ROLLBACK or HOTFIX
--   environment VARCHAR          that is promoted to
--   region VARCHAR               of the environment
--   promotes_from VARCHAR        the environment before it
--   bundle VARCHAR               SHA-256 of the bundle's manifest
--   bundle_name VARCHAR          as it was created
--   bundle_version VARCHAR       as it was created
--   status VARCHAR               of the run
--   outcome VARCHAR              how it ends, once that is decided; else empty
--   outcome_reason VARCHAR       why, as a sentence
--   failure_class VARCHAR        policy, approval, health, technical, precondition, operator, rollback
--   requested_by VARCHAR         user name
--   requested_us BIGINT          UTC epoch microseconds
--   started_us BIGINT            UTC epoch microseconds; empty before
--   ended_us BIGINT              UTC epoch microseconds; empty before
--   verdict_id VARCHAR           of the policy gate; empty before
--   verdict VARCHAR              PASS or FAIL; empty before
--   verdict_warn INTEGER         warnings of the verdict
--   approvals_given INTEGER      that count now
--   approvals_required INTEGER   by the environment's rule
--   targets_changed INTEGER      that run something else than before the run
--   targets_total INTEGER        of the environment
--   rerun_of VARCHAR             the run that this one tries again; else empty
--   rolls_back VARCHAR           the run that this one takes back; else empty
--   seal_status VARCHAR          NOT_STARTED, PARTIAL, SEALED or UNSEALED
--   evidence_count INTEGER       items in its proof chain
--   reason VARCHAR               as it was given with the request
--   ticket VARCHAR               as it was given with the request
SELECT number, run_id, kind, environment, region, promotes_from, bundle, bundle_name,
       bundle_version, status, coalesce(outcome, '') AS outcome,
       coalesce(outcome_reason, '') AS outcome_reason,
       coalesce(failure_class, '') AS failure_class, requested_by, requested_us, started_us,
       ended_us, coalesce(verdict_id, '') AS verdict_id, coalesce(verdict, '') AS verdict,
       verdict_warn, approvals_given, approvals_required, targets_changed, targets_total,
       coalesce(rerun_of, '') AS rerun_of, coalesce(rolls_back, '') AS rolls_back, seal_status,
       evidence_count, reason, ticket
  FROM runs
 WHERE $run = '' OR run_id = $run
 ORDER BY number
