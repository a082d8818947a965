-- 0003: what becomes of samples and log lines: put away in blobs when their attempt ends, rolled up
-- by the minute for ever, and their raw rows taken away when they are old.

-- Journaled: which blob holds what of an attempt (data/archive.py).
CREATE TABLE segments (
    kind     VARCHAR NOT NULL,     -- samples (Parquet) or logs (gzip of JSON lines)
    run_id   VARCHAR NOT NULL,
    step     VARCHAR NOT NULL,
    attempt  INTEGER NOT NULL,
    part     INTEGER NOT NULL,
    blob     VARCHAR NOT NULL,     -- '' = the attempt left nothing
    count    BIGINT  NOT NULL,
    first_us BIGINT  NOT NULL,
    last_us  BIGINT  NOT NULL,
    ts_us    BIGINT  NOT NULL,
    PRIMARY KEY (kind, run_id, step, attempt, part)
);

-- Journaled: attempts whose raw samples may go, because their roll-up was found equal to them.
CREATE TABLE retired (
    run_id  VARCHAR NOT NULL,
    step    VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    samples BIGINT  NOT NULL,
    minutes BIGINT  NOT NULL,
    ts_us   BIGINT  NOT NULL,
    PRIMARY KEY (run_id, step, attempt)
);

-- Of this file alone: segments whose rows lie in its tables. One that is missing here was made by
-- a process that died right after, or belongs to a database that was lost.
CREATE TABLE segments_held (
    kind    VARCHAR NOT NULL,
    run_id  VARCHAR NOT NULL,
    step    VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    part    INTEGER NOT NULL
);

-- Made from the samples of an attempt (data/minutes.py), and again from its segments.
CREATE TABLE sample_minutes (
    minute_us       BIGINT  NOT NULL,   -- where the minute begins
    run_id          VARCHAR NOT NULL,
    step            VARCHAR NOT NULL,
    attempt         INTEGER NOT NULL,
    target          VARCHAR NOT NULL,
    arm             VARCHAR NOT NULL,
    requests        BIGINT  NOT NULL,
    errors          BIGINT  NOT NULL,
    slow            BIGINT  NOT NULL,
    healthy_polls   BIGINT  NOT NULL,
    unhealthy_polls BIGINT  NOT NULL,
    missing_polls   BIGINT  NOT NULL,   -- polls without an answer of this target
    p95_ms_max      INTEGER,
    digest          VARCHAR             -- NULL when it changed within the minute
);

-- Samples are taken away only by a transaction that says so here, and takes its word back.
CREATE TABLE retiring (since_us BIGINT NOT NULL);
DROP TRIGGER health_samples_no_delete ON health_samples;
CREATE TRIGGER health_samples_no_delete BEFORE DELETE ON health_samples FOR EACH STATEMENT
    INSERT INTO guard SELECT error('health_samples is append-only')
     WHERE NOT EXISTS (SELECT 1 FROM retiring);

CREATE TRIGGER segments_no_update BEFORE UPDATE ON segments FOR EACH STATEMENT
    INSERT INTO guard SELECT error('segments is append-only');
CREATE TRIGGER segments_no_delete BEFORE DELETE ON segments FOR EACH STATEMENT
    INSERT INTO guard SELECT error('segments is append-only');
CREATE TRIGGER retired_no_update BEFORE UPDATE ON retired FOR EACH STATEMENT
    INSERT INTO guard SELECT error('retired is append-only');
CREATE TRIGGER retired_no_delete BEFORE DELETE ON retired FOR EACH STATEMENT
    INSERT INTO guard SELECT error('retired is append-only');
