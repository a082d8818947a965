-- run_evidence: what was captured, missed, sealed and exported for a run.
-- takes:   $run_id VARCHAR
-- returns: seq INTEGER, ts_us BIGINT, what VARCHAR, item INTEGER, step VARCHAR, attempt INTEGER,
--          name VARCHAR, envelope VARCHAR, payload VARCHAR, log_index BIGINT,
--          files STRUCT("name" VARCHAR, digest VARCHAR)[], note VARCHAR
-- units:   seq of the event; what = captured, missing, sealed or exported; item = place in the
--          proof chain, 1-based; ts_us = UTC epoch microseconds; a sealed row's payload is the
--          chain, an exported row's payload the exported file
-- order:   seq
SELECT seq, ts_us,
       split_part(split_part(kind, '.', 2), '/', 1) AS what,
       CAST(json_extract(body, '$.seq') AS INTEGER) AS item,
       coalesce(json_extract_string(body, '$.step'), '') AS step,
       CAST(json_extract(body, '$.attempt') AS INTEGER) AS attempt,
       coalesce(json_extract_string(body, '$.name'), json_extract_string(body, '$.kind'), '')
           AS name,
       json_extract_string(body, '$.envelope') AS envelope,
       coalesce(json_extract_string(body, '$.payload'), json_extract_string(body, '$.chain'),
                json_extract_string(body, '$.digest')) AS payload,
       CAST(json_extract(body, '$.log_index') AS BIGINT) AS log_index,
       coalesce(from_json(json_extract(body, '$.files'),
                          '[{"name": "VARCHAR", "digest": "VARCHAR"}]'), []) AS files,
       coalesce(json_extract_string(body, '$.reason'), '') AS note
  FROM events
 WHERE stream = $run_id
   AND kind IN ('evidence.captured/1', 'evidence.missing/1', 'evidence.sealed/1',
                'evidence.exported/1')
 ORDER BY seq
