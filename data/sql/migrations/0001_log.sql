-- 0001: the log. Append-only, guarded by triggers; everything else is made again from here, and
-- this in turn from the journal. Times are UTC epoch microseconds; hashes are SHA-256 hex.
CREATE TABLE events (
    gseq       BIGINT  NOT NULL,
    stream     VARCHAR NOT NULL,
    seq        INTEGER NOT NULL CHECK (seq >= 1),
    ts_us      BIGINT  NOT NULL,
    actor      VARCHAR NOT NULL,
    command_id VARCHAR NOT NULL,
    kind       VARCHAR NOT NULL,
    body       VARCHAR NOT NULL,   -- canonical JSON, the very text that was hashed
    prev       VARCHAR NOT NULL,
    hash       VARCHAR NOT NULL,
    PRIMARY KEY (stream, seq)
);

CREATE TABLE gate_ticks (
    run_id  VARCHAR NOT NULL,
    step    VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    t_ms    BIGINT  NOT NULL,
    ts_us   BIGINT  NOT NULL,
    tick    VARCHAR NOT NULL,
    action  VARCHAR NOT NULL,
    rule    INTEGER NOT NULL,
    reason  VARCHAR NOT NULL,
    PRIMARY KEY (run_id, step, attempt, n)
);

CREATE TABLE tlog_entries (
    idx       BIGINT  NOT NULL PRIMARY KEY,
    leaf_hash VARCHAR NOT NULL,
    body      VARCHAR NOT NULL,
    ts_us     BIGINT  NOT NULL
);

CREATE TABLE tlog_heads (
    size BIGINT  NOT NULL,
    root VARCHAR NOT NULL,
    note VARCHAR NOT NULL,
    gseq BIGINT  NOT NULL,
    hash VARCHAR NOT NULL
);

CREATE TABLE verdicts (
    verdict_id   VARCHAR NOT NULL PRIMARY KEY,
    run_id       VARCHAR NOT NULL,
    step         VARCHAR NOT NULL,
    attempt      INTEGER NOT NULL,
    ts_us        BIGINT  NOT NULL,
    decision     VARCHAR NOT NULL,
    warn         INTEGER NOT NULL,
    fail         INTEGER NOT NULL,
    error        BOOLEAN NOT NULL,
    verdict      VARCHAR NOT NULL,
    policy       VARCHAR NOT NULL,
    policy_input VARCHAR NOT NULL,
    capsule      VARCHAR NOT NULL
);

CREATE TABLE commands (
    command_id   VARCHAR NOT NULL PRIMARY KEY,
    ts_us        BIGINT  NOT NULL,
    actor        VARCHAR NOT NULL,
    request_hash VARCHAR NOT NULL,
    status       INTEGER NOT NULL,
    response     VARCHAR NOT NULL
);

-- How far the journal has been taken in: one row per commit, written within it.
CREATE TABLE journal_marks (
    line          BIGINT  NOT NULL,
    digest        VARCHAR NOT NULL,
    segment       BIGINT  NOT NULL,
    segment_bytes BIGINT  NOT NULL
);

-- Volume: not journaled, lost with the database and then reported as lost.
CREATE TABLE health_samples (
    ts_us    BIGINT  NOT NULL,
    run_id   VARCHAR NOT NULL,
    step     VARCHAR NOT NULL,
    attempt  INTEGER NOT NULL,
    target   VARCHAR NOT NULL,
    arm      VARCHAR NOT NULL,
    requests BIGINT  NOT NULL,
    errors   BIGINT  NOT NULL,
    slow     BIGINT  NOT NULL,
    p95_ms   INTEGER,
    healthy  BOOLEAN,
    digest   VARCHAR
);

CREATE TABLE step_logs (
    run_id  VARCHAR NOT NULL,
    step    VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    n       BIGINT  NOT NULL,      -- order of arrival in the home
    ts_us   BIGINT  NOT NULL,
    level   VARCHAR NOT NULL,
    target  VARCHAR NOT NULL,
    text    VARCHAR NOT NULL
);

-- A trigger body has to be a statement on another table; the error comes before it writes.
CREATE TABLE guard (never BOOLEAN);
CREATE TRIGGER events_no_update BEFORE UPDATE ON events FOR EACH STATEMENT
    INSERT INTO guard SELECT error('events is append-only');
CREATE TRIGGER events_no_delete BEFORE DELETE ON events FOR EACH STATEMENT
    INSERT INTO guard SELECT error('events is append-only');
CREATE TRIGGER gate_ticks_no_update BEFORE UPDATE ON gate_ticks FOR EACH STATEMENT
    INSERT INTO guard SELECT error('gate_ticks is append-only');
CREATE TRIGGER gate_ticks_no_delete BEFORE DELETE ON gate_ticks FOR EACH STATEMENT
    INSERT INTO guard SELECT error('gate_ticks is append-only');
CREATE TRIGGER tlog_entries_no_update BEFORE UPDATE ON tlog_entries FOR EACH STATEMENT
    INSERT INTO guard SELECT error('tlog_entries is append-only');
CREATE TRIGGER tlog_entries_no_delete BEFORE DELETE ON tlog_entries FOR EACH STATEMENT
    INSERT INTO guard SELECT error('tlog_entries is append-only');
CREATE TRIGGER tlog_heads_no_update BEFORE UPDATE ON tlog_heads FOR EACH STATEMENT
    INSERT INTO guard SELECT error('tlog_heads is append-only');
CREATE TRIGGER tlog_heads_no_delete BEFORE DELETE ON tlog_heads FOR EACH STATEMENT
    INSERT INTO guard SELECT error('tlog_heads is append-only');
CREATE TRIGGER verdicts_no_update BEFORE UPDATE ON verdicts FOR EACH STATEMENT
    INSERT INTO guard SELECT error('verdicts is append-only');
CREATE TRIGGER verdicts_no_delete BEFORE DELETE ON verdicts FOR EACH STATEMENT
    INSERT INTO guard SELECT error('verdicts is append-only');
CREATE TRIGGER commands_no_update BEFORE UPDATE ON commands FOR EACH STATEMENT
    INSERT INTO guard SELECT error('commands is append-only');
CREATE TRIGGER commands_no_delete BEFORE DELETE ON commands FOR EACH STATEMENT
    INSERT INTO guard SELECT error('commands is append-only');
CREATE TRIGGER journal_marks_no_update BEFORE UPDATE ON journal_marks FOR EACH STATEMENT
    INSERT INTO guard SELECT error('journal_marks is append-only');
CREATE TRIGGER journal_marks_no_delete BEFORE DELETE ON journal_marks FOR EACH STATEMENT
    INSERT INTO guard SELECT error('journal_marks is append-only');
CREATE TRIGGER health_samples_no_update BEFORE UPDATE ON health_samples FOR EACH STATEMENT
    INSERT INTO guard SELECT error('health_samples is append-only');
CREATE TRIGGER health_samples_no_delete BEFORE DELETE ON health_samples FOR EACH STATEMENT
    INSERT INTO guard SELECT error('health_samples is append-only');
CREATE TRIGGER step_logs_no_update BEFORE UPDATE ON step_logs FOR EACH STATEMENT
    INSERT INTO guard SELECT error('step_logs is append-only');
CREATE TRIGGER step_logs_no_delete BEFORE DELETE ON step_logs FOR EACH STATEMENT
    INSERT INTO guard SELECT error('step_logs is append-only');
