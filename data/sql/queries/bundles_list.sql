-- bundles_list: every bundle, with the run that promoted it last.
-- takes:   nothing
-- returns: digest VARCHAR, name VARCHAR, version VARCHAR, created_by VARCHAR, created_us BIGINT,
--          authors VARCHAR[], runs BIGINT, last_run VARCHAR, last_environment VARCHAR,
--          last_status VARCHAR
-- units:   _us = UTC epoch microseconds; last_ columns are NULL when it was never promoted
-- order:   newest first
WITH promoted AS (
    SELECT json_extract_string(body, '$.bundle') AS bundle, count(*) AS runs,
           'run-' || max(idx) AS last_run, arg_max(name, idx) AS last_environment,
           arg_max(state, idx) AS last_status
      FROM projections
     WHERE kind = 'runs'
     GROUP BY 1
)
SELECT json_extract_string(body, '$.digest') AS digest,
       json_extract_string(body, '$.name') AS name,
       json_extract_string(body, '$.version') AS version,
       actor AS created_by,
       ts_us AS created_us,
       from_json(json_extract(body, '$.authors'), '["VARCHAR"]') AS authors,
       coalesce(runs, 0) AS runs,
       last_run, last_environment, last_status
  FROM events
  LEFT JOIN promoted ON bundle = json_extract_string(body, '$.digest')
 WHERE stream = 'bundles' AND kind = 'bundle.created/1'
 ORDER BY seq DESC
