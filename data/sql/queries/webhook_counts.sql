-- webhook_counts: how much each webhook was told, and how that went.
-- takes:   nothing
-- returns: hook VARCHAR, waiting BIGINT, delivered BIGINT, dead BIGINT, last_us BIGINT,
--          last_outcome VARCHAR, last_status INTEGER
-- units:   counts of messages; dead = given up on and not asked for again; last_* = of the newest
--          try, NULL before the first; _us = UTC epoch microseconds
-- order:   hook
SELECT hook,
       count(*) FILTER (outcome IN ('WAITING', 'FAILED')) AS waiting,
       count(*) FILTER (outcome = 'DELIVERED') AS delivered,
       count(*) FILTER (outcome = 'DEAD' AND newest) AS dead,
       max(tried_us) AS last_us,
       arg_max(outcome, tried_us) AS last_outcome,
       arg_max(status, tried_us) AS last_status
  FROM deliveries
 GROUP BY hook
 ORDER BY hook
