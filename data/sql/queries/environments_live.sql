-- environments_live: what each environment runs and what is under way there.
-- takes:   nothing
-- returns: environment VARCHAR, region VARCHAR, live_run VARCHAR, live_bundle VARCHAR,
--          live_name VARCHAR, live_version VARCHAR, live_since_us BIGINT, active_run VARCHAR,
--          active_status VARCHAR, active_step VARCHAR, active_name VARCHAR,
--          active_version VARCHAR, queued BIGINT, last_run VARCHAR, last_status VARCHAR,
--          last_ended_us BIGINT
-- units:   _us = UTC epoch microseconds; live_ = of the newest run that succeeded, NULL when
--          none did; active_ = of the run that holds the environment, NULL when none does
-- order:   environment; one that no run was requested for is absent
WITH picked AS (
    SELECT name AS environment,
           max(idx) AS newest,
           max(idx) FILTER (state = 'SUCCEEDED') AS live,
           max(idx) FILTER (state IN ('CANCELLED', 'EXPIRED', 'FAILED', 'REJECTED', 'ROLLED_BACK',
                                      'SUCCEEDED')) AS ended,
           max(idx) FILTER (state NOT IN ('SCHEDULED', 'QUEUED', 'CANCELLED', 'EXPIRED', 'FAILED',
                                          'REJECTED', 'ROLLED_BACK', 'SUCCEEDED')) AS active,
           count(*) FILTER (state = 'QUEUED') AS queued
      FROM projections
     WHERE kind = 'runs'
     GROUP BY name
),
bodies AS (
    SELECT idx, state, run_fields(body) AS run
      FROM projections
     WHERE kind = 'runs'
       AND (SELECT list(newest) || list(live) || list(ended) || list(active) FROM picked)
           .list_contains(idx)
)
SELECT environment,
       n.run.region AS region,
       l.run.run_id AS live_run,
       l.run.bundle AS live_bundle,
       l.run.bundle_name AS live_name,
       l.run.bundle_version AS live_version,
       l.run.ended_us AS live_since_us,
       a.run.run_id AS active_run,
       a.state AS active_status,
       a.run.current_step AS active_step,
       a.run.bundle_name AS active_name,
       a.run.bundle_version AS active_version,
       queued,
       e.run.run_id AS last_run,
       e.state AS last_status,
       e.run.ended_us AS last_ended_us
  FROM picked
  JOIN bodies n ON n.idx = newest
  LEFT JOIN bodies l ON l.idx = live
  LEFT JOIN bodies a ON a.idx = active
  LEFT JOIN bodies e ON e.idx = ended
 ORDER BY environment
