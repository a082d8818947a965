-- audit: the newest events of all streams, denied attempts among them.
-- takes:   $limit INTEGER
-- returns: gseq BIGINT, ts_us BIGINT, stream VARCHAR, seq INTEGER, actor VARCHAR, kind VARCHAR,
--          step VARCHAR, action VARCHAR, reason VARCHAR, command_id VARCHAR, hash VARCHAR
-- units:   ts_us = UTC epoch microseconds; step, action, reason '' where the event has none
-- order:   gseq, descending
SELECT gseq, ts_us, stream, seq, actor, kind,
       coalesce(json_extract_string(body, '$.step'), '') AS step,
       coalesce(json_extract_string(body, '$.action'), '') AS action,
       coalesce(json_extract_string(body, '$.reason'), json_extract_string(body, '$.comment'), '')
           AS reason,
       command_id, hash
  FROM events
 ORDER BY gseq DESC
 LIMIT $limit
