-- run_events: the whole log of one run.
-- takes:   $run_id VARCHAR
-- returns: seq INTEGER, gseq BIGINT, ts_us BIGINT, actor VARCHAR, command_id VARCHAR,
--          kind VARCHAR, step VARCHAR, attempt INTEGER, body VARCHAR, prev VARCHAR, hash VARCHAR
-- units:   ts_us = UTC epoch microseconds; step '' and attempt NULL where the event has none;
--          body is canonical JSON; prev and hash are SHA-256 hex
-- order:   seq
SELECT seq, gseq, ts_us, actor, command_id, kind,
       coalesce(json_extract_string(body, '$.step'), '') AS step,
       CAST(json_extract(body, '$.attempt') AS INTEGER) AS attempt,
       body, prev, hash
  FROM events
 WHERE stream = $run_id
 ORDER BY seq
