-- log_signed: the newest signed head of a log, and when it was signed.
-- takes:   $origin VARCHAR (the log's name)
-- returns: size BIGINT, signed_us BIGINT
-- units:   size = leaves; _us = UTC epoch microseconds, of the newest event that the head is
--          anchored in; NULL when that is not here
-- order:   at most one row
SELECT h.size AS size, e.ts_us AS signed_us
  FROM tlog_heads h
  LEFT JOIN events e ON e.gseq = h.gseq
 WHERE starts_with(h.note, $origin || chr(10))
 ORDER BY h.size DESC
 LIMIT 1
