-- replay_coverage: how many of the verdicts made lately were verified lately.
-- takes:   $decided_us BIGINT, $replayed_us BIGINT (each: since when)
-- returns: verdicts BIGINT, replayed BIGINT
-- units:   counts
-- order:   one row
SELECT (SELECT count(*) FROM verdicts WHERE ts_us >= $decided_us) AS verdicts,
       (SELECT count(*)
          FROM verdicts v
         WHERE v.ts_us >= $decided_us
           AND v.verdict_id IN (SELECT subject
                                  FROM replays
                                 WHERE ts_us >= $replayed_us
                                   AND kind = 'VERDICT' AND mode = 'VERIFY'
                                   AND status = 'COMPLETED')) AS replayed
