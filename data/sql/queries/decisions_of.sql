-- decisions_of: what one person decided about promotions, the newest decision first.
-- takes:   $person VARCHAR, $limit INTEGER
-- returns: number INTEGER, run_id VARCHAR, place INTEGER, decision VARCHAR, decided_us BIGINT,
--          counts BOOLEAN, comment VARCHAR, shown BOOLEAN, environment VARCHAR, region VARCHAR,
--          bundle_name VARCHAR, bundle_version VARCHAR, status VARCHAR
-- units:   place = of the run's decisions, from 1; decision = approved or rejected; shown = a
--          whole view was shown for it, which can be opened again; _us = UTC epoch microseconds
-- order:   decided_us, descending
WITH given AS MATERIALIZED (
    SELECT number, run_id, place, decision, decided_us, counts, comment, view <> binding AS shown
      FROM approvals
     WHERE person = $person
     ORDER BY decided_us DESC
     LIMIT $limit
), their AS (
    SELECT idx AS number, name AS environment, state AS status, run_fields(body) AS run
      FROM (SELECT projections.* FROM projections SEMI JOIN given ON idx = given.number
             WHERE kind = 'runs')
)
SELECT number, run_id, place, decision, decided_us, counts, comment, shown,
       environment, run.region AS region, run.bundle_name AS bundle_name,
       run.bundle_version AS bundle_version, status
  FROM given JOIN their USING (number)
 ORDER BY decided_us DESC
