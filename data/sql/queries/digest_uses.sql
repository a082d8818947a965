-- digest_uses: every event that names a SHA-256, wherever in it.
-- takes:   $hex VARCHAR (64 hex digits, lower case), $limit INTEGER
-- returns: stream VARCHAR, seq INTEGER, ts_us BIGINT, actor VARCHAR, kind VARCHAR, step VARCHAR,
--          what VARCHAR, name VARCHAR
-- units:   ts_us = UTC epoch microseconds; what = the field that holds it, '' when it is deeper
--          inside; name = of the file that has it among the event's files or outputs, else ''
-- order:   oldest first
SELECT stream, seq, ts_us, actor, kind,
       coalesce(json_extract_string(body, '$.step'), '') AS step,
       coalesce(list_filter(json_keys(body), lambda field:
           json_extract_string(body, '$.' || field) IN ('sha256:' || $hex, $hex))[1], '') AS what,
       coalesce(
           list_filter(
               list_concat(
                   coalesce(from_json(json_extract(body, '$.files'),
                                      '[{"name": "VARCHAR", "digest": "VARCHAR"}]'), []),
                   coalesce(from_json(json_extract(body, '$.outputs'),
                                      '[{"name": "VARCHAR", "digest": "VARCHAR"}]'), [])),
               lambda one: one.digest = 'sha256:' || $hex)[1].name, '') AS name
  FROM events
 WHERE contains(body, $hex)
 ORDER BY gseq
 LIMIT $limit
