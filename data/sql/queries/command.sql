-- command: what was asked for last under a command id, or under a later use of it.
-- takes:   $command_id VARCHAR
-- returns: command_id VARCHAR, ts_us BIGINT, actor VARCHAR, request_hash VARCHAR, status INTEGER,
--          response VARCHAR
-- units:   ts_us = UTC epoch microseconds; a later use is the id, a space and a number
-- order:   at most one row
SELECT command_id, ts_us, actor, request_hash, status, response
  FROM commands
 WHERE command_id = $command_id OR starts_with(command_id, $command_id || ' ')
 ORDER BY ts_us DESC, length(command_id) DESC, command_id DESC
 LIMIT 1
