-- decided_environments: where at least one decision was made that can be replayed: a verdict of the
--          policy or a stage that a health gate watched. One column of each table is read.
-- takes:   nothing
-- returns: environment VARCHAR
-- units:   none
-- order:   environment
SELECT DISTINCT name AS environment
  FROM projections
 WHERE kind = 'runs'
   AND idx IN (SELECT CAST(run_id[5:] AS INTEGER) FROM verdicts
               UNION
               SELECT CAST(run_id[5:] AS INTEGER) FROM gate_ticks WHERE action = 'start')
 ORDER BY environment
