-- events: the whole log; every other table follows from it.
-- takes: $run VARCHAR ('' = all streams)
-- order: gseq
-- columns:
--   gseq BIGINT            place among all events of the home, from 1 without gaps
--   stream VARCHAR         a run, bundles, admin, feeds, or engine: and an id
--   seq INTEGER            place within the stream, from 1 without gaps
--   ts_us BIGINT           UTC epoch microseconds
--   actor VARCHAR          user name, or engine
--   command_id VARCHAR     of the command that caused it, as its client named it; else empty
--   kind VARCHAR           name of the event and version of its shape
--   auth VARCHAR           by what whoever asked was let in, canonical JSON; else empty
--   body VARCHAR           the event, canonical JSON
--   prev VARCHAR           hash of the stream's event before; 64 zeros for the first
--   hash VARCHAR           SHA-256 of the canonical JSON of all other columns (auth only if any)
SELECT gseq, stream, seq, ts_us, actor, command_id, kind, coalesce(auth, '') AS auth, body, prev,
       hash
  FROM events
 WHERE $run = '' OR stream = $run
 ORDER BY gseq
