-- 0005: webhooks (engine/core/hook_rows.py): what has to be told to whom, and every try at it.

-- Journaled, in the commit of the event that is told.
CREATE TABLE outbox (
    hook   VARCHAR NOT NULL,
    gseq   BIGINT  NOT NULL,
    idx    INTEGER NOT NULL,
    wave   BIGINT  NOT NULL,       -- 0 = told when it happened, else gseq of the wish to redeliver
    name   VARCHAR NOT NULL,
    stream VARCHAR NOT NULL,
    seq    INTEGER NOT NULL,
    ts_us  BIGINT  NOT NULL,
    PRIMARY KEY (hook, gseq, idx, wave)
);

-- Journaled. A message whose tries hold neither DELIVERED nor DEAD still waits.
CREATE TABLE hook_tries (
    hook    VARCHAR NOT NULL,
    gseq    BIGINT  NOT NULL,
    idx     INTEGER NOT NULL,
    wave    BIGINT  NOT NULL,
    n       INTEGER NOT NULL,
    ts_us   BIGINT  NOT NULL,
    took_ms BIGINT  NOT NULL,
    outcome VARCHAR NOT NULL,      -- DELIVERED, FAILED or DEAD
    status  INTEGER NOT NULL,      -- of the answer; 0 = there was none
    note    VARCHAR NOT NULL,
    next_us BIGINT  NOT NULL,      -- when the next try is due; 0 unless FAILED
    PRIMARY KEY (hook, gseq, idx, wave, n)
);

CREATE TRIGGER outbox_no_update BEFORE UPDATE ON outbox FOR EACH STATEMENT
    INSERT INTO guard SELECT error('outbox is append-only');
CREATE TRIGGER outbox_no_delete BEFORE DELETE ON outbox FOR EACH STATEMENT
    INSERT INTO guard SELECT error('outbox is append-only');
CREATE TRIGGER hook_tries_no_update BEFORE UPDATE ON hook_tries FOR EACH STATEMENT
    INSERT INTO guard SELECT error('hook_tries is append-only');
CREATE TRIGGER hook_tries_no_delete BEFORE DELETE ON hook_tries FOR EACH STATEMENT
    INSERT INTO guard SELECT error('hook_tries is append-only');

-- One row per message: how it stands by its newest try.
CREATE VIEW deliveries AS
SELECT o.hook, o.gseq, o.idx, o.wave, o.name, o.stream, o.seq, o.ts_us,
       CAST(coalesce(t.tries, 0) AS INTEGER) AS tries,
       coalesce(t.outcome, 'WAITING') AS outcome, coalesce(t.status, 0) AS status,
       coalesce(t.note, '') AS note, t.tried_us, coalesce(t.next_us, 0) AS next_us,
       coalesce(t.took_ms, 0) AS took_ms,
       o.wave = max(o.wave) OVER (PARTITION BY o.hook, o.gseq, o.idx) AS newest
  FROM outbox o
  LEFT JOIN (
    SELECT hook, gseq, idx, wave, count(*) AS tries,
           arg_max(outcome, n) AS outcome, arg_max(status, n) AS status,
           arg_max(note, n) AS note, arg_max(next_us, n) AS next_us,
           arg_max(took_ms, n) AS took_ms, max(ts_us) AS tried_us
      FROM hook_tries
     GROUP BY hook, gseq, idx, wave
  ) t USING (hook, gseq, idx, wave);
