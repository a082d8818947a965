-- evidence_items: everything that was signed of runs, over all of them, and what could not be.
-- takes:   $run_id VARCHAR ('' = every run), $limit INTEGER
-- returns: run_id VARCHAR, seq INTEGER, ts_us BIGINT, what VARCHAR, item INTEGER, step VARCHAR,
--          attempt INTEGER, name VARCHAR, envelope VARCHAR, payload VARCHAR, log_index BIGINT,
--          files STRUCT("name" VARCHAR, digest VARCHAR)[], note VARCHAR, superseded BOOLEAN,
--          environment VARCHAR, bundle VARCHAR, seal_status VARCHAR
-- units:   seq of the event; what = captured, missing, sealed or addendum; item = place in the
--          proof chain, 1-based; ts_us = UTC epoch microseconds; superseded = a later attempt of
--          the step left evidence too; bundle = its name and version
-- order:   newest first
WITH told AS (
    SELECT stream AS run_id, seq, gseq, ts_us, body,
           split_part(split_part(kind, '.', 2), '/', 1) AS what,
           coalesce(json_extract_string(body, '$.step'), '') AS step,
           CAST(json_extract(body, '$.attempt') AS INTEGER) AS attempt
      FROM events
     WHERE kind IN ('evidence.captured/1', 'evidence.missing/1', 'evidence.sealed/1',
                    'evidence.addendum/1')
       AND ($run_id = '' OR stream = $run_id)
)
SELECT told.run_id, seq, ts_us, what,
       CAST(coalesce(json_extract(told.body, '$.seq'), json_extract(told.body, '$.number'))
            AS INTEGER) AS item,
       step, attempt,
       coalesce(json_extract_string(told.body, '$.name'),
                CASE what WHEN 'sealed' THEN 'proof-chain.dsse' ELSE '' END) AS name,
       json_extract_string(told.body, '$.envelope') AS envelope,
       coalesce(json_extract_string(told.body, '$.payload'),
                json_extract_string(told.body, '$.chain')) AS payload,
       CAST(json_extract(told.body, '$.log_index') AS BIGINT) AS log_index,
       coalesce(from_json(json_extract(told.body, '$.files'),
                          '[{"name": "VARCHAR", "digest": "VARCHAR"}]'), []) AS files,
       coalesce(json_extract_string(told.body, '$.reason'),
                json_extract_string(told.body, '$.text'), '') AS note,
       what = 'captured' AND attempt < coalesce(
           max(CASE what WHEN 'captured' THEN attempt END)
               OVER (PARTITION BY told.run_id, step), 0) AS superseded,
       coalesce(runs.name, '') AS environment,
       coalesce(json_extract_string(runs.body, '$.bundle_name') || ' '
                || json_extract_string(runs.body, '$.bundle_version'), '') AS bundle,
       coalesce(json_extract_string(runs.body, '$.seal_status'), '') AS seal_status
  FROM told
  LEFT JOIN (SELECT 'run-' || idx AS run_id, name, body FROM projections WHERE kind = 'runs') AS runs
    ON runs.run_id = told.run_id
 ORDER BY gseq DESC
 LIMIT $limit
