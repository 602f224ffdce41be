-- What a server keeps beside its runs: projects and people, tokens, agents, pipelines with their versions, approvals, secrets, and
-- what was done. Times are milliseconds since 1970 (UTC), truth values are 0 and 1, hashes are SHA-256 in hexadecimal digits.

CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    repository TEXT,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    email TEXT,
    is_admin BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT
);

CREATE INDEX users_by_email ON users (lower(email)) WHERE email IS NOT NULL;

-- How a user is known to those who sign people in.
CREATE TABLE identities (
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (provider, subject)
);

CREATE INDEX identities_of_user ON identities (user_id);

CREATE TABLE memberships (
    project TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (project, user_id)
);

CREATE INDEX memberships_of_user ON memberships (user_id);

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    scopes TEXT NOT NULL,
    project TEXT REFERENCES projects (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT
);

CREATE INDEX tokens_of_user ON tokens (user_id, id);
CREATE INDEX tokens_of_project ON tokens (project) WHERE project IS NOT NULL;

-- Each renewal of a session is a row of its own, so that a refresh token that was stolen is noticed when it is used twice.
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    refresh_hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    replaced_by TEXT
);

CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Sign-ins on their way to a provider and back.
CREATE TABLE sign_in_states (
    state TEXT NOT NULL PRIMARY KEY,
    provider TEXT NOT NULL,
    verifier TEXT NOT NULL,
    redirect TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX sign_in_states_by_end ON sign_in_states (expires_at);

CREATE TABLE agent_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    used_by TEXT
);

ALTER TABLE agents ADD COLUMN capabilities TEXT NOT NULL DEFAULT '[]';
ALTER TABLE agents ADD COLUMN version TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN credential_hash TEXT;
-- What the world was told last: `online` or `offline`. How an agent is follows from its last heartbeat.
ALTER TABLE agents ADD COLUMN status TEXT NOT NULL DEFAULT 'offline';
ALTER TABLE agents ADD COLUMN last_heartbeat_at BIGINT;
ALTER TABLE agents ADD COLUMN metrics TEXT;
ALTER TABLE agents ADD COLUMN draining BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN deregistered_at BIGINT;

CREATE UNIQUE INDEX agents_by_credential ON agents (credential_hash) WHERE credential_hash IS NOT NULL;
CREATE INDEX agents_by_name ON agents (name, id);

CREATE TABLE pipelines (
    id TEXT NOT NULL PRIMARY KEY,
    project TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    repository TEXT,
    latest_version BIGINT NOT NULL,
    created_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

-- The name of a pipeline that was deleted is free again.
CREATE UNIQUE INDEX pipelines_by_name ON pipelines (project, name) WHERE deleted_at IS NULL;
CREATE INDEX pipelines_of_project ON pipelines (project, id);

CREATE TABLE pipeline_versions (
    pipeline TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    source TEXT NOT NULL,
    lock TEXT NOT NULL,
    created_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (pipeline, version)
);

CREATE TABLE approvals (
    id TEXT NOT NULL PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    stage BIGINT NOT NULL,
    approvers TEXT NOT NULL,
    minimum BIGINT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT
);

CREATE INDEX approvals_of_run ON approvals (run, stage);
CREATE INDEX approvals_open ON approvals (id) WHERE ended_at IS NULL;

CREATE TABLE approval_votes (
    approval TEXT NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    user_name TEXT NOT NULL,
    decision TEXT NOT NULL,
    comment TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (approval, user_id)
);

CREATE TABLE schedules (
    pipeline TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    cron TEXT NOT NULL,
    timezone TEXT NOT NULL,
    next_at BIGINT NOT NULL,
    PRIMARY KEY (pipeline, position)
);

CREATE INDEX schedules_by_time ON schedules (next_at);

-- The keys that secrets are encrypted with, by number. `check_value` is a known text under the key: it tells a wrong key.
CREATE TABLE keys (
    version BIGINT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    check_value BLOB NOT NULL
);

-- Values are encrypted; `scope_id` is empty where the scope is the organization or the server itself.
CREATE TABLE secrets (
    id TEXT NOT NULL PRIMARY KEY,
    scope TEXT NOT NULL,
    scope_id TEXT NOT NULL,
    name TEXT NOT NULL,
    key_version BIGINT NOT NULL REFERENCES keys (version),
    nonce BLOB NOT NULL,
    value BLOB NOT NULL,
    created_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (scope, scope_id, name)
);

CREATE INDEX secrets_by_key ON secrets (key_version, id);

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    project TEXT,
    address TEXT,
    details TEXT NOT NULL
);

CREATE INDEX audit_of_project ON audit (project, seq) WHERE project IS NOT NULL;
CREATE INDEX audit_of_actor ON audit (actor, seq);
CREATE INDEX audit_of_action ON audit (action, seq);

-- What was done stays as it was written.
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'entries of the audit log are not changed');
END;
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'entries of the audit log are not removed');
END;

-- Webhooks as they were received.
CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    project TEXT,
    event TEXT NOT NULL,
    delivery_id TEXT,
    signature_ok BIGINT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    received_at BIGINT NOT NULL,
    result TEXT,
    redelivery_of TEXT
);

CREATE INDEX deliveries_of_project ON deliveries (project, id);
CREATE INDEX deliveries_by_sender ON deliveries (source, delivery_id);

-- How far a reader of the outbox has come.
CREATE TABLE cursors (
    name TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL
);

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE plugin_uses (
    digest TEXT NOT NULL PRIMARY KEY,
    reference TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    first_used_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    uses BIGINT NOT NULL
);

CREATE INDEX plugin_uses_by_reference ON plugin_uses (reference, digest);
