-- Runs and everything below them. Ids are text (UUIDs), times are milliseconds since 1970 (UTC), states are the words of
-- `oxide_core::outcome::Status`, structured values are JSON text.

CREATE TABLE owners (
    id TEXT NOT NULL PRIMARY KEY,
    pid BIGINT NOT NULL,
    host TEXT NOT NULL,
    started_at BIGINT NOT NULL
);

CREATE TABLE agents (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    slots BIGINT NOT NULL,
    registered_at BIGINT NOT NULL
);

CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    pipeline TEXT NOT NULL,
    number BIGINT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    stop TEXT,
    plan BLOB NOT NULL,
    source TEXT NOT NULL,
    project TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    UNIQUE (pipeline, number)
);

-- Only few runs are not final at a time: finding those of an owner does not read the others.
CREATE INDEX runs_open ON runs (owner) WHERE ended_at IS NULL;

CREATE TABLE stages (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    stage BIGINT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    blocked BIGINT NOT NULL,
    stop TEXT,
    outputs TEXT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    PRIMARY KEY (run, stage)
);

CREATE TABLE jobs (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job BIGINT NOT NULL,
    stage BIGINT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    attempt BIGINT NOT NULL,
    agent TEXT,
    stop TEXT,
    started_at BIGINT,
    ended_at BIGINT,
    PRIMARY KEY (run, job)
);

CREATE TABLE attempts (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    agent TEXT,
    status TEXT NOT NULL,
    reason TEXT,
    queued_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    last_report BIGINT NOT NULL,
    PRIMARY KEY (run, job, attempt)
);

CREATE TABLE steps (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    step BIGINT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    try_number BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    record TEXT,
    PRIMARY KEY (run, job, attempt, step)
);

CREATE TABLE log_chunks (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    step BIGINT NOT NULL,
    first_line BIGINT NOT NULL,
    line_count BIGINT NOT NULL,
    raw_bytes BIGINT NOT NULL,
    marks TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (run, job, attempt, step, first_line)
);

-- Written in the transaction of its cause, published afterwards in the order of `seq`.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    at BIGINT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL
);
