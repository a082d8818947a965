-- run_archives: archived samples and log lines of a run.
-- takes:   $run_id VARCHAR
-- returns: kind VARCHAR, step VARCHAR, attempt INTEGER, part INTEGER, blob VARCHAR
-- units:   kind = samples or logs; blob = `sha256:<hex>`
-- order:   by kind, step, attempt, part
SELECT kind, step, attempt, part, blob
  FROM segments
 WHERE run_id = $run_id AND blob <> ''
 ORDER BY kind, step, attempt, part
