-- Runs of a server: whose they are, why they run, and in which order they are listed. Events may belong to a project.

-- A new table, for the numbers of runs were unique by the name of the pipeline alone.
CREATE TABLE new_runs (
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
    project_id TEXT,
    pipeline_id TEXT,
    pipeline_version BIGINT,
    trigger TEXT,
    git_ref TEXT,
    git_branch TEXT,
    git_sha TEXT,
    priority BIGINT NOT NULL DEFAULT 0,
    created_by TEXT,
    retry_of TEXT,
    concurrency TEXT
);
INSERT INTO new_runs
    (id, pipeline, number, status, reason, stop, plan, source, project, owner, created_at, started_at, ended_at)
SELECT id, pipeline, number, status, reason, stop, plan, source, project, owner, created_at, started_at, ended_at
FROM runs;
DROP TABLE runs;
ALTER TABLE new_runs RENAME TO runs;
CREATE INDEX runs_open ON runs (owner) WHERE ended_at IS NULL;

-- Numbers are counted by pipeline: by that of the server, else by the name in the file.
CREATE UNIQUE INDEX runs_number ON runs (COALESCE(pipeline_id, pipeline), number);
CREATE INDEX runs_recent ON runs (created_at, id);
CREATE INDEX runs_by_status ON runs (status, created_at, id);
CREATE INDEX runs_of_project ON runs (project_id, status, created_at, id) WHERE project_id IS NOT NULL;
CREATE INDEX runs_of_pipeline ON runs (pipeline_id, created_at, id) WHERE pipeline_id IS NOT NULL;
CREATE INDEX runs_of_name ON runs (pipeline, created_at, id);
CREATE INDEX runs_of_branch ON runs (git_branch, created_at, id) WHERE git_branch IS NOT NULL;

CREATE TABLE new_outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT,
    project TEXT,
    at BIGINT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL
);
INSERT INTO new_outbox (seq, run, at, subject, body) SELECT seq, run, at, subject, body FROM outbox;
DROP TABLE outbox;
ALTER TABLE new_outbox RENAME TO outbox;

CREATE INDEX outbox_of_run ON outbox (run, seq) WHERE run IS NOT NULL;

-- Who leads, one row at most. Whether it still does is told by a lock, not by this row.
CREATE TABLE leaders (
    place BIGINT NOT NULL PRIMARY KEY CHECK (place = 1),
    server TEXT NOT NULL,
    url TEXT,
    since BIGINT NOT NULL
);
