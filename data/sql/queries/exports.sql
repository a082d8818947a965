-- exports: every pack that was handed out, and every one that a seal made.
-- takes:   $limit INTEGER
-- returns: run_id VARCHAR, seq INTEGER, ts_us BIGINT, actor VARCHAR, how VARCHAR, kind VARCHAR,
--          digest VARCHAR, size BIGINT, environment VARCHAR, bundle VARCHAR
-- units:   seq of the event; ts_us = UTC epoch microseconds; how = exported, or sealed for what
--          the seal made (kind is then the file's name, size NULL); size in bytes; bundle = its
--          name and version
-- order:   newest first
WITH made AS (
    SELECT stream AS run_id, seq, gseq, ts_us, actor, 'exported' AS how,
           json_extract_string(body, '$.kind') AS kind,
           json_extract_string(body, '$.digest') AS digest,
           CAST(json_extract(body, '$.size') AS BIGINT) AS size
      FROM events
     WHERE kind = 'evidence.exported/1'
    UNION ALL
    SELECT stream, seq, gseq, ts_us, actor, 'sealed', output.name, output.digest, NULL
      FROM (SELECT *, unnest(from_json(json_extract(body, '$.outputs'),
                                       '[{"name": "VARCHAR", "digest": "VARCHAR"}]')) AS output
              FROM events
             WHERE kind = 'step.succeeded/1' AND json_extract_string(body, '$.result') = 'SEALED')
)
SELECT made.run_id, seq, ts_us, actor, how, made.kind, digest, size,
       coalesce(runs.name, '') AS environment,
       coalesce(json_extract_string(runs.body, '$.bundle_name') || ' '
                || json_extract_string(runs.body, '$.bundle_version'), '') AS bundle
  FROM made
  LEFT JOIN (SELECT 'run-' || idx AS run_id, name, body FROM projections WHERE kind = 'runs') AS runs
    ON runs.run_id = made.run_id
 ORDER BY gseq DESC, made.kind
 LIMIT $limit
