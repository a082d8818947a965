-- runs_list: runs as they are kept, the newest request first; `data.queries.runs_list` reads `body`.
-- takes:   $environment VARCHAR ('' = all), $status VARCHAR ('' = all, 'OPEN' = not ended),
--          $before INTEGER (run numbers below it; NULL = from the newest), $limit INTEGER
-- returns: number INTEGER, environment VARCHAR, status VARCHAR, body VARCHAR
-- units:   body = canonical JSON of the run's projection
-- order:   number, descending
-- why:     planning fifty columns out of the JSON took longer than reading a page of it
SELECT idx AS number, name AS environment, state AS status, body
  FROM projections
 WHERE kind = 'runs'
   AND ($environment = '' OR name = $environment)
   AND ($status = '' OR state = $status
        OR ($status = 'OPEN' AND state NOT IN ('CANCELLED', 'EXPIRED', 'FAILED', 'REJECTED',
                                               'ROLLED_BACK', 'SUCCEEDED')))
   AND idx < coalesce($before, 2147483647)
 ORDER BY idx DESC
 LIMIT $limit
