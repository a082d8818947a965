-- audit: who attempted what, and what came of it; every event of the home is a record.
-- takes:   $gseq BIGINT (only that record; NULL = any), $before BIGINT (records of a lower gseq;
--          NULL = from the newest), $who VARCHAR, $verb VARCHAR, $since_us BIGINT, $until_us
--          BIGINT (exclusive), $run VARCHAR, $environment VARCHAR ('' and NULL = any),
--          $denied BOOLEAN, $overrides BOOLEAN, $self_approvals BOOLEAN (only these; the last two
--          together: either), $everything BOOLEAN (also what nobody asked for), $limit BIGINT,
--          $kinds VARCHAR[], $verbs VARCHAR[] (a kind's verb, by place), $consequences VARCHAR[]
--          (kinds that no one asks for)
-- returns: gseq BIGINT, ts_us BIGINT, actor VARCHAR, verb VARCHAR, result VARCHAR, code VARCHAR,
--          subject VARCHAR, run_id VARCHAR, environment VARCHAR, step VARCHAR, reason VARCHAR,
--          why VARCHAR, ticket VARCHAR, before VARCHAR, after VARCHAR, method VARCHAR,
--          credential VARCHAR, request_id VARCHAR, command_id VARCHAR, kind VARCHAR,
--          stream VARCHAR, seq INTEGER, prev VARCHAR, hash VARCHAR, auth VARCHAR, body VARCHAR
-- units:   ts_us = UTC epoch microseconds; verb = what was asked for, of what the engine did by
--          itself the kind; result = allowed or denied; reason = what they gave,
--          why = why it was denied; before, after = digests; '' where there is none; body, auth =
--          canonical JSON, the text that was hashed
-- order:   gseq, descending
WITH named AS (
    SELECT unnest($kinds) AS kind, unnest($verbs) AS verb
), asked AS (
    SELECT events.*, named.verb AS known,
           starts_with(stream, 'run-') AS of_run,
           events.kind IN ('command.rejected/1', 'sign_in.failed/1') AS refused,
           json_extract_string(body, ['$.action', '$.run', '$.scope', '$.environment', '$.step',
               '$.reason', '$.comment', '$.text', '$.note', '$.ticket', '$.code', '$.subject',
               '$.asked', '$.override', '$.before', '$.from_digest', '$.after', '$.to_digest',
               '$.digest', '$.policy', '$.bundle', '$.replay', '$.name', '$.what', '$.user',
               '$.token_id', '$.method', '$.credential', '$.rerun_of', '$.rolls_back',
               '$.own']) AS f,
           json_extract_string(nullif(auth, ''), ['$.method', '$.credential', '$.request_id']) AS a
      FROM events
      LEFT JOIN named ON named.kind = events.kind
     WHERE ($gseq IS NULL OR gseq = $gseq)
       AND ($before IS NULL OR gseq < $before)
       AND ($who = '' OR actor = $who)
       AND ($since_us IS NULL OR ts_us >= $since_us)
       AND ($until_us IS NULL OR ts_us < $until_us)
       AND ($everything
            OR (actor <> 'engine' AND NOT list_contains($consequences, events.kind)))
), told AS (
    SELECT *,
           CASE WHEN kind = 'command.rejected/1' THEN f[1]
                WHEN kind = 'run.requested/1' AND f[29] <> '' THEN 'rerun'
                WHEN kind = 'run.requested/1' AND f[30] <> '' THEN 'rollback_promotion'
                WHEN known IS NULL OR actor = 'engine' THEN regexp_replace(kind, '/[0-9]+$', '')
                ELSE known END AS verb,
           CASE WHEN of_run THEN stream
                WHEN f[2] <> '' THEN f[2]
                WHEN starts_with(f[3], 'run-') THEN f[3]
                ELSE '' END AS run_id,
           CASE WHEN kind = 'policy.published/1' THEN f[20]
                ELSE coalesce(f[17], f[18], f[19], '') END AS after
      FROM asked
)
SELECT gseq, ts_us, actor, verb, if(refused, 'denied', 'allowed') AS result,
       if(refused, coalesce(f[11], ''), '') AS code,
       CASE WHEN of_run THEN stream
            WHEN refused THEN coalesce(nullif(f[12], ''), run_id)
            ELSE coalesce(f[26], f[24], if(kind = 'policy.published/1', f[20], NULL), f[21], f[19],
                          f[22], f[23], f[25], '') END AS subject,
       run_id, coalesce(nullif(f[4], ''), runs.name, '') AS environment,
       coalesce(f[5], '') AS step,
       if(refused, coalesce(f[13], ''), coalesce(f[6], f[7], f[8], f[9], '')) AS reason,
       if(refused, coalesce(f[6], ''), '') AS why,
       coalesce(f[10], '') AS ticket,
       coalesce(f[15], f[16], '') AS before,
       coalesce(after, '') AS after,
       coalesce(a[1], f[27], '') AS method,
       coalesce(a[2], f[28], '') AS credential,
       coalesce(a[3], '') AS request_id,
       command_id, told.kind, stream, seq, prev, hash, coalesce(auth, '') AS auth, told.body
  FROM told
  LEFT JOIN (SELECT 'run-' || idx AS id, name FROM projections WHERE kind = 'runs') AS runs
    ON runs.id = told.run_id
 WHERE ($verb = '' OR verb = $verb)
   AND ($run = '' OR run_id = $run)
   AND ($environment = '' OR coalesce(nullif(f[4], ''), runs.name, '') = $environment)
   AND (NOT $denied OR refused)
   AND ((NOT $overrides AND NOT $self_approvals)
        OR ($overrides AND (starts_with(told.kind, 'override.')
                            OR starts_with(told.kind, 'break_glass.')
                            OR told.kind = 'hold.lifted/1'
                            OR (told.kind = 'command.rejected/1'
                                AND (f[14] = 'true' OR starts_with(verb, 'break_glass')
                                     OR verb = 'lift_hold'))))
        OR ($self_approvals AND told.kind = 'command.rejected/1'
            AND (f[31] = 'true' OR f[11] = 'conflict_of_interest')))
 ORDER BY gseq DESC
 LIMIT $limit
