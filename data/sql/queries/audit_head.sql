-- audit_head: the newest event of all.
-- takes:   nothing
-- returns: gseq BIGINT, ts_us BIGINT, hash VARCHAR
-- units:   ts_us = UTC epoch microseconds
-- order:   at most one row
SELECT gseq, ts_us, hash
  FROM events
 ORDER BY gseq DESC
 LIMIT 1
