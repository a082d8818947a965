-- approvals: every decision of a person on a run, also those that count no more.
-- takes: $run VARCHAR ('' = all)
-- order: number, place
-- columns:
--   number INTEGER         of the run, in order of request
--   run_id VARCHAR         run- and the number
--   place INTEGER          in the order of deciding, from 0
--   person VARCHAR         user name
--   decision VARCHAR       approved or rejected
--   decided_us BIGINT      UTC epoch microseconds
--   counts BOOLEAN         false once withdrawn or stale
--   binding VARCHAR        digest of all that it is bound to
--   view VARCHAR           digest of what the person was shown
--   comment VARCHAR        in their words
--   attempt INTEGER        of the approval step
SELECT number, run_id, place, person, decision, decided_us, counts, binding, view,
       coalesce(comment, '') AS comment, attempt
  FROM approvals
 WHERE $run = '' OR run_id = $run
 ORDER BY number, place
