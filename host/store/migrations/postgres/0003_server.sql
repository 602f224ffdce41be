-- What a server keeps beside its runs: projects and people, tokens, agents, pipelines with their versions, approvals, secrets, and
-- what was done. Times are milliseconds since 1970 (UTC), truth values are 0 and 1, hashes are SHA-256 in hexadecimal digits.

CREATE TABLE projects (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    description TEXT COLLATE "C",
    repository TEXT COLLATE "C",
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    email TEXT COLLATE "C",
    is_admin BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT
);

CREATE INDEX users_by_email ON users (lower(email)) WHERE email IS NOT NULL;

-- How a user is known to those who sign people in.
CREATE TABLE identities (
    provider TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (provider, subject)
);

CREATE INDEX identities_of_user ON identities (user_id);

CREATE TABLE memberships (
    project TEXT COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (project, user_id)
);

CREATE INDEX memberships_of_user ON memberships (user_id);

CREATE TABLE tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL UNIQUE,
    prefix TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" REFERENCES projects (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT
);

CREATE INDEX tokens_of_user ON tokens (user_id, id);
CREATE INDEX tokens_of_project ON tokens (project) WHERE project IS NOT NULL;

-- Each renewal of a session is a row of its own, so that a refresh token that was stolen is noticed when it is used twice.
CREATE TABLE sessions (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    refresh_hash TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    replaced_by TEXT COLLATE "C"
);

CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Sign-ins on their way to a provider and back.
CREATE TABLE sign_in_states (
    state TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    provider TEXT COLLATE "C" NOT NULL,
    verifier TEXT COLLATE "C" NOT NULL,
    redirect TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX sign_in_states_by_end ON sign_in_states (expires_at);

CREATE TABLE agent_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    used_by TEXT COLLATE "C"
);

ALTER TABLE agents ADD COLUMN capabilities TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE agents ADD COLUMN version TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN credential_hash TEXT COLLATE "C";
-- What the world was told last: `online` or `offline`. How an agent is follows from its last heartbeat.
ALTER TABLE agents ADD COLUMN status TEXT COLLATE "C" NOT NULL DEFAULT 'offline';
ALTER TABLE agents ADD COLUMN last_heartbeat_at BIGINT;
ALTER TABLE agents ADD COLUMN metrics TEXT COLLATE "C";
ALTER TABLE agents ADD COLUMN draining BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN deregistered_at BIGINT;

CREATE UNIQUE INDEX agents_by_credential ON agents (credential_hash) WHERE credential_hash IS NOT NULL;
CREATE INDEX agents_by_name ON agents (name, id);

CREATE TABLE pipelines (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    project TEXT COLLATE "C" NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    repository TEXT COLLATE "C",
    latest_version BIGINT NOT NULL,
    created_by TEXT COLLATE "C" REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

-- The name of a pipeline that was deleted is free again.
CREATE UNIQUE INDEX pipelines_by_name ON pipelines (project, name) WHERE deleted_at IS NULL;
CREATE INDEX pipelines_of_project ON pipelines (project, id);

CREATE TABLE pipeline_versions (
    pipeline TEXT COLLATE "C" NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    lock TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (pipeline, version)
);

CREATE TABLE approvals (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    run TEXT COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    stage BIGINT NOT NULL,
    approvers TEXT COLLATE "C" NOT NULL,
    minimum BIGINT NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT
);

CREATE INDEX approvals_of_run ON approvals (run, stage);
CREATE INDEX approvals_open ON approvals (id) WHERE ended_at IS NULL;

CREATE TABLE approval_votes (
    approval TEXT COLLATE "C" NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    user_id TEXT COLLATE "C" NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    decision TEXT COLLATE "C" NOT NULL,
    comment TEXT COLLATE "C",
    at BIGINT NOT NULL,
    PRIMARY KEY (approval, user_id)
);

CREATE TABLE schedules (
    pipeline TEXT COLLATE "C" NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    cron TEXT COLLATE "C" NOT NULL,
    timezone TEXT COLLATE "C" NOT NULL,
    next_at BIGINT NOT NULL,
    PRIMARY KEY (pipeline, position)
);

CREATE INDEX schedules_by_time ON schedules (next_at);

-- The keys that secrets are encrypted with, by number. `check_value` is a known text under the key: it tells a wrong key.
CREATE TABLE keys (
    version BIGINT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    check_value BYTEA NOT NULL
);

-- Values are encrypted; `scope_id` is empty where the scope is the organization or the server itself.
CREATE TABLE secrets (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    scope TEXT COLLATE "C" NOT NULL,
    scope_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    key_version BIGINT NOT NULL REFERENCES keys (version),
    nonce BYTEA NOT NULL,
    value BYTEA NOT NULL,
    created_by TEXT COLLATE "C" REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (scope, scope_id, name)
);

CREATE INDEX secrets_by_key ON secrets (key_version, id);

CREATE TABLE audit (
    seq BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C",
    address TEXT COLLATE "C",
    details TEXT COLLATE "C" NOT NULL
);

CREATE INDEX audit_of_project ON audit (project, seq) WHERE project IS NOT NULL;
CREATE INDEX audit_of_actor ON audit (actor, seq);
CREATE INDEX audit_of_action ON audit (action, seq);

-- What was done stays as it was written.
CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the audit log are neither changed nor removed';
END
$$;
CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_kept();

-- Webhooks as they were received.
CREATE TABLE deliveries (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    source TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C",
    event TEXT COLLATE "C" NOT NULL,
    delivery_id TEXT COLLATE "C",
    signature_ok BIGINT NOT NULL,
    headers TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    received_at BIGINT NOT NULL,
    result TEXT COLLATE "C",
    redelivery_of TEXT COLLATE "C"
);

CREATE INDEX deliveries_of_project ON deliveries (project, id);
CREATE INDEX deliveries_by_sender ON deliveries (source, delivery_id);

-- How far a reader of the outbox has come.
CREATE TABLE cursors (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL
);

CREATE TABLE settings (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE plugin_uses (
    digest TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    reference TEXT COLLATE "C" NOT NULL,
    capabilities TEXT COLLATE "C" NOT NULL,
    first_used_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    uses BIGINT NOT NULL
);

CREATE INDEX plugin_uses_by_reference ON plugin_uses (reference, digest);
