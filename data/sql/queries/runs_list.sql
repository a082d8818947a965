-- runs_list: runs, the newest request first.
-- takes:   $environment VARCHAR ('' = all), $status VARCHAR ('' = all, 'OPEN' = not ended),
--          $before INTEGER (run numbers below it; NULL = from the newest), $limit INTEGER
-- returns: number INTEGER, run_id VARCHAR, kind VARCHAR, status VARCHAR, outcome VARCHAR,
--          outcome_reason VARCHAR, failure_class VARCHAR, bundle VARCHAR, bundle_name VARCHAR,
--          bundle_version VARCHAR, environment VARCHAR, region VARCHAR, promotes_from VARCHAR,
--          workflow VARCHAR, requested_by VARCHAR, requested_us BIGINT, started_by VARCHAR,
--          started_us BIGINT, updated_us BIGINT, ended_us BIGINT, window_start_us BIGINT,
--          window_end_us BIGINT, current_step VARCHAR, current_step_name VARCHAR,
--          current_step_status VARCHAR, current_step_summary VARCHAR, steps_done INTEGER,
--          steps_total INTEGER, verdict_id VARCHAR, verdict VARCHAR, verdict_warn INTEGER,
--          verdict_fail INTEGER, verdict_error BOOLEAN, approvals_given INTEGER,
--          approvals_required INTEGER, targets_changed INTEGER, targets_total INTEGER,
--          pause_reason VARCHAR, pause_note VARCHAR, paused_us BIGINT, rollback_reason VARCHAR,
--          rollback_ticket VARCHAR, rollback_trigger VARCHAR, seal_status VARCHAR,
--          evidence_count INTEGER, superseded_by VARCHAR, rerun_of VARCHAR, rolls_back VARCHAR,
--          reason VARCHAR, ticket VARCHAR, speed INTEGER, version INTEGER
-- units:   _us = UTC epoch microseconds; words that do not apply are ''
-- order:   number, descending
WITH page AS MATERIALIZED (
    SELECT idx
      FROM projections
     WHERE kind = 'runs'
       AND ($environment = '' OR name = $environment)
       AND ($status = '' OR state = $status
            OR ($status = 'OPEN' AND state NOT IN ('CANCELLED', 'EXPIRED', 'FAILED', 'REJECTED',
                                                   'ROLLED_BACK', 'SUCCEEDED')))
       AND idx < coalesce($before, 2147483647)
     ORDER BY idx DESC
     LIMIT $limit
)
SELECT number, run_id, kind, status, outcome, outcome_reason, failure_class, bundle, bundle_name,
       bundle_version, environment, region, promotes_from, workflow, requested_by, requested_us,
       started_by, started_us, updated_us, ended_us, window_start_us, window_end_us, current_step,
       current_step_name, current_step_status, current_step_summary, steps_done, steps_total,
       verdict_id, verdict, verdict_warn, verdict_fail, verdict_error, approvals_given,
       approvals_required, targets_changed, targets_total, pause_reason, pause_note, paused_us,
       rollback_reason, rollback_ticket, rollback_trigger, seal_status, evidence_count,
       superseded_by, rerun_of, rolls_back, reason, ticket, speed, version
  FROM (
    SELECT idx AS number, name AS environment, state AS status, fields.*
      FROM (
        SELECT *, run_fields(body) AS fields
          FROM (SELECT projections.* FROM projections SEMI JOIN page USING (idx)
                 WHERE kind = 'runs')
      )
  )
 ORDER BY number DESC
