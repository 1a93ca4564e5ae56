-- Ids and enumerations are TEXT, times BIGINT epoch milliseconds, documents TEXT JSON, hashes BYTEA.
-- What is compared or ordered is COLLATE "C": pages do not depend on the server's locale, and indexes
-- outlive its upgrades.

-- The oldest schema number that a program must know to serve this database. A migration that older
-- programs cannot live with raises it.
CREATE TABLE schema_info (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    min_compatible BIGINT NOT NULL,
    created_at BIGINT
);

INSERT INTO schema_info (only_row, min_compatible) VALUES (1, 1);

CREATE TABLE organizations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    audiences TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE projects (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (organization_id, id)
);

CREATE TABLE environments (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    project_id TEXT COLLATE "C",
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    kid TEXT COLLATE "C" UNIQUE,
    public_key TEXT,
    created_at BIGINT NOT NULL,
    enrolled_at BIGINT,
    stopped_at BIGINT,
    -- A project of another organisation is no parent.
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id)
);

CREATE INDEX environments_of_organization ON environments (organization_id, id);
CREATE INDEX environments_of_project ON environments (project_id, id) WHERE project_id IS NOT NULL;

CREATE TABLE join_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash BYTEA NOT NULL UNIQUE,
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    cidr TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    -- When a newer token or a stop ended it. A fact of its own, because a clock that is set back
    -- would bring a token back to life that had merely been given an earlier expiry.
    ended_at BIGINT
);

CREATE INDEX join_tokens_of_environment ON join_tokens (environment_id);

CREATE TABLE issuer_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    issuer TEXT COLLATE "C" NOT NULL,
    -- Unique for ever: rows stay when a key is retired.
    kid TEXT COLLATE "C" NOT NULL UNIQUE,
    algorithm TEXT NOT NULL,
    public_key TEXT NOT NULL,
    certificate TEXT NOT NULL,
    sealed TEXT,
    created_at BIGINT NOT NULL,
    activated_at BIGINT,
    retiring_at BIGINT,
    retired_at BIGINT
);

CREATE UNIQUE INDEX issuer_keys_one_active ON issuer_keys (issuer, algorithm)
    WHERE activated_at IS NOT NULL AND retiring_at IS NULL AND retired_at IS NULL;
CREATE UNIQUE INDEX issuer_keys_one_pending ON issuer_keys (issuer, algorithm)
    WHERE activated_at IS NULL AND retiring_at IS NULL AND retired_at IS NULL;
CREATE INDEX issuer_keys_of_issuer ON issuer_keys (issuer, created_at);

-- `key` stands for (client, jti) and bounds the row whatever a client sends. Keys of one moment lie
-- side by side where clients name assertions by time. A purge goes through the table slice by slice,
-- so that no mint has to pay for an index on `expires_at`.
CREATE TABLE used_jtis (
    key BYTEA NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

CREATE TABLE admin_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash BYTEA NOT NULL UNIQUE,
    organization_id TEXT COLLATE "C" REFERENCES organizations (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

-- `chain` is an organisation's id or 'system'. A record's predecessor hash is not stored: it is the
-- hash of the record before it.
CREATE TABLE audit (
    chain TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    request_id TEXT,
    source TEXT,
    details TEXT NOT NULL,
    hash BYTEA NOT NULL,
    UNIQUE (chain, seq)
);

-- Every batch of mints rewrites rows of this small table; half-empty pages let it do so in place.
CREATE TABLE audit_heads (
    chain TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL
) WITH (fillfactor = 50);
