-- reviews: what somebody has to look at, or has looked at, after a rollback or an override.
-- takes:   $open_only BOOLEAN (true = only those that nobody has closed yet)
-- returns: run_id VARCHAR, number INTEGER, environment VARCHAR, kind VARCHAR, what VARCHAR,
--          doers VARCHAR[], opened_us BIGINT, due_us BIGINT, closed_by VARCHAR, closed_us BIGINT,
--          verdict VARCHAR, note VARCHAR, ticket VARCHAR
-- units:   number = of the run's reviews, from 1; kind = rollback or override; _us = UTC epoch
--          microseconds; closed_us NULL and verdict '' while it is open, else agreed or follow_up
-- order:   due_us, then run and number
WITH opened AS (
    SELECT stream AS run_id, ts_us, body,
           CAST(row_number() OVER (PARTITION BY stream ORDER BY seq) AS INTEGER) AS number
      FROM events
     WHERE kind = 'review.opened/1'
), closed AS (
    SELECT stream AS run_id, CAST(json_extract(body, '$.number') AS INTEGER) AS number,
           arg_min(actor, seq) AS closed_by, arg_min(ts_us, seq) AS closed_us,
           arg_min(body, seq) AS closing
      FROM events
     WHERE kind = 'review.closed/1'
     GROUP BY ALL
)
SELECT opened.run_id, opened.number, coalesce(environment, '') AS environment,
       json_extract_string(body, '$.kind') AS kind,
       json_extract_string(body, '$.what') AS what,
       from_json(json_extract(body, '$.doers'), '["VARCHAR"]') AS doers,
       ts_us AS opened_us,
       ts_us + CAST(json_extract(body, '$.due_after_s') AS BIGINT) * 1000000 AS due_us,
       coalesce(closed_by, '') AS closed_by, closed_us,
       coalesce(json_extract_string(closing, '$.verdict'), '') AS verdict,
       coalesce(json_extract_string(closing, '$.note'), '') AS note,
       coalesce(json_extract_string(closing, '$.ticket'), '') AS ticket
  FROM opened
  LEFT JOIN closed USING (run_id, number)
  LEFT JOIN (SELECT 'run-' || idx AS run_id, name AS environment
               FROM projections WHERE kind = 'runs') USING (run_id)
 WHERE NOT $open_only OR closed_us IS NULL
 ORDER BY due_us, opened.run_id, opened.number
