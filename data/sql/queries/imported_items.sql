-- imported_items: attestations that others made, by the run that they belong to.
-- takes:   $run_id VARCHAR ('' = every run), $limit INTEGER
-- returns: run_id VARCHAR, ts_us BIGINT, item INTEGER, envelope VARCHAR, payload VARCHAR,
--          source VARCHAR, form VARCHAR, file VARCHAR, predicate_type VARCHAR, signer VARCHAR,
--          issuer VARCHAR, trust VARCHAR, anchor VARCHAR, signed_s BIGINT, says VARCHAR,
--          about VARCHAR[], pinned BOOLEAN, environment VARCHAR, bundle VARCHAR
-- units:   item = its number in the packs of the run, 1-based; ts_us = UTC epoch microseconds at
--          which the run had it first; signed_s = UTC epoch seconds, NULL when nothing tells;
--          pinned = the inputs of the run, as resolved last, name it; bundle = its name and version
-- order:   newest first, of one moment the last number first
WITH given AS (
    SELECT stream AS run_id, gseq, ts_us, 0 AS place,
           json_extract(body, '$.attestation') AS one, FALSE AS by_inputs
      FROM events
     WHERE kind = 'attestation.imported/1' AND stream LIKE 'run-%'
       AND ($run_id = '' OR stream = $run_id)
    UNION ALL
    SELECT stream, gseq, ts_us, unnest(range(len(named))) AS place, unnest(named), TRUE
      FROM (SELECT *, json_extract(body, '$.attestations[*]') AS named
              FROM events
             WHERE kind = 'inputs.materialized/1' AND ($run_id = '' OR stream = $run_id))
),
resolved AS (
    SELECT stream AS run_id, max(gseq) AS gseq
      FROM events
     WHERE kind = 'inputs.materialized/1'
     GROUP BY stream
),
known AS (
    SELECT given.run_id, json_extract_string(one, '$.envelope') AS envelope,
           min(given.gseq) AS gseq, arg_min(place, given.gseq) AS place,
           min(ts_us) AS ts_us, arg_min(one, given.gseq) AS one,
           bool_or(by_inputs AND given.gseq = resolved.gseq) AS pinned
      FROM given
      LEFT JOIN resolved ON resolved.run_id = given.run_id
     GROUP BY given.run_id, envelope
)
SELECT known.run_id, ts_us,
       CAST(row_number() OVER (PARTITION BY known.run_id ORDER BY gseq, place) AS INTEGER) AS item,
       envelope,
       json_extract_string(one, '$.payload') AS payload,
       json_extract_string(one, '$.source') AS source,
       json_extract_string(one, '$.form') AS form,
       json_extract_string(one, '$.file') AS file,
       json_extract_string(one, '$.predicate_type') AS predicate_type,
       json_extract_string(one, '$.signer') AS signer,
       json_extract_string(one, '$.issuer') AS issuer,
       json_extract_string(one, '$.trust') AS trust,
       json_extract_string(one, '$.anchor') AS anchor,
       CAST(json_extract(one, '$.signed_s') AS BIGINT) AS signed_s,
       json_extract_string(one, '$.says') AS says,
       coalesce(from_json(json_extract(one, '$.subjects[*].name'), '["VARCHAR"]'), []) AS about,
       coalesce(pinned, FALSE) AS pinned,
       coalesce(runs.name, '') AS environment,
       coalesce(json_extract_string(runs.body, '$.bundle_name') || ' '
                || json_extract_string(runs.body, '$.bundle_version'), '') AS bundle
  FROM known
  LEFT JOIN (SELECT 'run-' || idx AS run_id, name, body FROM projections WHERE kind = 'runs') AS runs
    ON runs.run_id = known.run_id
 ORDER BY gseq DESC, place DESC
 LIMIT $limit
