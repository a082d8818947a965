-- replay_outcomes: every outcome of one request, as it was recorded.
-- takes:   $n INTEGER, $changed BOOLEAN (only those that differ or could not be carried out)
-- returns: n INTEGER, idx INTEGER, ts_us BIGINT, status VARCHAR, kind VARCHAR, subject VARCHAR,
--          run_id VARCHAR, environment VARCHAR, mode VARCHAR, depth VARCHAR, result VARCHAR,
--          cause VARCHAR, facet VARCHAR, sentence VARCHAR, decided_us BIGINT,
--          decision_then VARCHAR, decision_now VARCHAR, digest_then VARCHAR, digest_now VARCHAR,
--          policy VARCHAR, policy_now VARCHAR, engine VARCHAR, engine_now VARCHAR, form VARCHAR,
--          crosscheck VARCHAR, took_us BIGINT, detail VARCHAR
-- units:   _us = UTC epoch microseconds, took_us a duration
-- order:   idx
SELECT *
  FROM replays
 WHERE n = $n
   AND (NOT $changed OR detail <> '' OR status <> 'COMPLETED')
 ORDER BY idx
