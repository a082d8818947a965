-- targets_of: every target of a run, with its last change.
-- takes:   $run_id VARCHAR
-- returns: place INTEGER, target VARCHAR, stage VARCHAR, baseline VARCHAR, current VARCHAR,
--          health VARCHAR, healthy BOOLEAN, changed BOOLEAN, reversible BOOLEAN, note VARCHAR,
--          outcome VARCHAR, duration_ms BIGINT, set_us BIGINT
-- units:   health = healthy, unhealthy or unknown; stage = the step that sets it first, '' before
--          the plan; outcome, duration_ms, set_us of its last change or revert, NULL before any
-- order:   place (targets are sorted by name)
WITH changes AS (
    SELECT json_extract_string(body, '$.target') AS changed_target,
           arg_max(json_extract_string(body, '$.outcome'), seq) AS outcome,
           arg_max(CAST(json_extract(body, '$.duration_ms') AS BIGINT), seq) AS duration_ms,
           max(ts_us) AS set_us
      FROM events
     WHERE stream = $run_id AND kind IN ('target.set/1', 'rollback.target_reverted/1')
     GROUP BY 1
)
SELECT place, target, stage, baseline, current, health, healthy, changed, reversible, note,
       outcome, duration_ms, set_us
  FROM targets
  LEFT JOIN changes ON changed_target = target
 WHERE number = TRY_CAST(substr($run_id, 5) AS INTEGER)   -- run-<number>; prunes
 ORDER BY place
