-- A token that was made with another one of the same user ends with that one.
ALTER TABLE tokens ADD COLUMN made_by TEXT;
CREATE INDEX tokens_made_by ON tokens (made_by) WHERE made_by IS NOT NULL;

-- The labels of whoever joins with a token; null lets the agent say them.
ALTER TABLE agent_tokens ADD COLUMN labels TEXT;
ALTER TABLE agents ADD COLUMN fixed_labels TEXT;

-- SHA-256 of a signed body: headers are not signed, so such a body that comes again is the same webhook.
ALTER TABLE deliveries ADD COLUMN body_digest TEXT;
CREATE INDEX deliveries_by_body ON deliveries (project, body_digest) WHERE body_digest IS NOT NULL;

-- Those that strangers send are counted at each of them.
CREATE INDEX deliveries_refused ON deliveries (project, id) WHERE signature_ok = 0;
