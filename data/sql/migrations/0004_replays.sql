-- 0004: replays of recorded decisions (engine/core/replays.py): who asked for what, and every outcome.

-- Journaled. A request with fewer outcomes than its total, and none of index 0, is RUNNING.
CREATE TABLE replay_requests (
    n           INTEGER NOT NULL PRIMARY KEY,
    ts_us       BIGINT  NOT NULL,
    actor       VARCHAR NOT NULL,
    reason      VARCHAR NOT NULL,
    mode        VARCHAR NOT NULL,
    depth       VARCHAR NOT NULL,
    scope       VARCHAR NOT NULL,
    run_id      VARCHAR NOT NULL,     -- '' = more than one run
    environment VARCHAR NOT NULL,
    policy      VARCHAR NOT NULL,     -- candidate; '' but in WHAT_IF
    total       INTEGER NOT NULL
);

-- Journaled.
CREATE TABLE replays (
    n             INTEGER NOT NULL,
    idx           INTEGER NOT NULL,   -- 0 = the request as a whole ended early
    ts_us         BIGINT  NOT NULL,
    status        VARCHAR NOT NULL,
    kind          VARCHAR NOT NULL,
    subject       VARCHAR NOT NULL,
    run_id        VARCHAR NOT NULL,
    environment   VARCHAR NOT NULL,
    mode          VARCHAR NOT NULL,
    depth         VARCHAR NOT NULL,
    result        VARCHAR NOT NULL,
    cause         VARCHAR NOT NULL,
    facet         VARCHAR NOT NULL,
    sentence      VARCHAR NOT NULL,
    decided_us    BIGINT  NOT NULL,
    decision_then VARCHAR NOT NULL,
    decision_now  VARCHAR NOT NULL,
    digest_then   VARCHAR NOT NULL,
    digest_now    VARCHAR NOT NULL,
    policy        VARCHAR NOT NULL,
    policy_now    VARCHAR NOT NULL,
    engine        VARCHAR NOT NULL,
    engine_now    VARCHAR NOT NULL,
    form          VARCHAR NOT NULL,
    crosscheck    VARCHAR NOT NULL,
    took_us       BIGINT  NOT NULL,
    detail        VARCHAR NOT NULL,
    PRIMARY KEY (n, idx)
);

-- Made from `replays` with every commit (data/replays.py) and compared by fsck: the determinism
-- page reads hundreds of these rows instead of a million of those.
CREATE TABLE replay_counts (
    kind         VARCHAR NOT NULL,
    mode         VARCHAR NOT NULL,
    status       VARCHAR NOT NULL,
    result       VARCHAR NOT NULL,
    cause        VARCHAR NOT NULL,
    environment  VARCHAR NOT NULL,
    policy       VARCHAR NOT NULL,
    engine       VARCHAR NOT NULL,
    form         VARCHAR NOT NULL,
    crosscheck   VARCHAR NOT NULL,
    decided_day  INTEGER NOT NULL,    -- UTC days since the epoch
    replayed_day INTEGER NOT NULL,
    count        BIGINT  NOT NULL,
    PRIMARY KEY (kind, mode, status, result, cause, environment, policy, engine, form, crosscheck,
                 decided_day, replayed_day)
);

CREATE TRIGGER replay_requests_no_update BEFORE UPDATE ON replay_requests FOR EACH STATEMENT
    INSERT INTO guard SELECT error('replay_requests is append-only');
CREATE TRIGGER replay_requests_no_delete BEFORE DELETE ON replay_requests FOR EACH STATEMENT
    INSERT INTO guard SELECT error('replay_requests is append-only');
CREATE TRIGGER replays_no_update BEFORE UPDATE ON replays FOR EACH STATEMENT
    INSERT INTO guard SELECT error('replays is append-only');
CREATE TRIGGER replays_no_delete BEFORE DELETE ON replays FOR EACH STATEMENT
    INSERT INTO guard SELECT error('replays is append-only');
