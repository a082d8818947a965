-- audit_choices: who and what the audit trail can be asked for, and how often each is there.
-- takes:   $kinds VARCHAR[], $verbs VARCHAR[], $consequences VARCHAR[] as of `audit`
-- returns: actor VARCHAR, verb VARCHAR, count BIGINT
-- units:   of what people and programs attempted
-- order:   actor, verb
WITH named AS (
    SELECT unnest($kinds) AS kind, unnest($verbs) AS verb
)
SELECT actor,
       CASE WHEN events.kind = 'command.rejected/1' THEN json_extract_string(body, '$.action')
            WHEN events.kind = 'run.requested/1' AND json_extract_string(body, '$.rerun_of') <> ''
            THEN 'rerun'
            WHEN events.kind = 'run.requested/1' AND json_extract_string(body, '$.rolls_back') <> ''
            THEN 'rollback_promotion'
            ELSE coalesce(named.verb, regexp_replace(events.kind, '/[0-9]+$', '')) END AS verb,
       count(*) AS count
  FROM events
  LEFT JOIN named ON named.kind = events.kind
 WHERE actor <> 'engine' AND NOT list_contains($consequences, events.kind)
 GROUP BY ALL
 ORDER BY actor, verb
