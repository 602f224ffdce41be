-- Runs of a server: whose they are, why they run, and in which order they are listed. Events may belong to a project.

ALTER TABLE runs
    ADD COLUMN project_id TEXT COLLATE "C",
    ADD COLUMN pipeline_id TEXT COLLATE "C",
    ADD COLUMN pipeline_version BIGINT,
    ADD COLUMN trigger TEXT COLLATE "C",
    ADD COLUMN git_ref TEXT COLLATE "C",
    ADD COLUMN git_branch TEXT COLLATE "C",
    ADD COLUMN git_sha TEXT COLLATE "C",
    ADD COLUMN priority BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN created_by TEXT COLLATE "C",
    ADD COLUMN retry_of TEXT COLLATE "C",
    ADD COLUMN concurrency TEXT COLLATE "C",
    DROP CONSTRAINT runs_pipeline_number_key;

-- Numbers are counted by pipeline: by that of the server, else by the name in the file.
CREATE UNIQUE INDEX runs_number ON runs (COALESCE(pipeline_id, pipeline), number);
CREATE INDEX runs_recent ON runs (created_at, id);
CREATE INDEX runs_by_status ON runs (status, created_at, id);
CREATE INDEX runs_of_project ON runs (project_id, status, created_at, id) WHERE project_id IS NOT NULL;
CREATE INDEX runs_of_pipeline ON runs (pipeline_id, created_at, id) WHERE pipeline_id IS NOT NULL;
CREATE INDEX runs_of_name ON runs (pipeline, created_at, id);
CREATE INDEX runs_of_branch ON runs (git_branch, created_at, id) WHERE git_branch IS NOT NULL;

ALTER TABLE outbox ALTER COLUMN run DROP NOT NULL, ADD COLUMN project TEXT COLLATE "C";

CREATE INDEX outbox_of_run ON outbox (run, seq) WHERE run IS NOT NULL;

-- Who leads, one row at most. Whether it still does is told by a lock, not by this row.
CREATE TABLE leaders (
    place BIGINT NOT NULL PRIMARY KEY CHECK (place = 1),
    server TEXT COLLATE "C" NOT NULL,
    url TEXT COLLATE "C",
    since BIGINT NOT NULL
);
