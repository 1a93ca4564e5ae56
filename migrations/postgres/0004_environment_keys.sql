-- An environment replaces its key by a newer one. `environments.kid` is the newest; those before it
-- are here, so that whoever still uses one of them is noticed.
ALTER TABLE environments ADD COLUMN quarantined_at BIGINT;

-- From a replacement until the first use of the new key. Nobody's grace has begun until then.
ALTER TABLE environments ADD COLUMN key_unused BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE former_keys (
    -- Unique for ever, as a key that was replaced must not come back as another one's.
    kid TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    environment_id TEXT COLLATE "C" NOT NULL REFERENCES environments (id),
    public_key TEXT NOT NULL,
    replaced_at BIGINT NOT NULL,
    -- From when on its use is a sign of a copy; NULL until the new key was used.
    ends_at BIGINT
);

CREATE INDEX former_keys_of_environment ON former_keys (environment_id, replaced_at);
