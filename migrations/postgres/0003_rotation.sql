-- What an external keystore knows a private half by. A key has this, or `sealed`, or neither once its
-- private half is destroyed.
ALTER TABLE issuer_keys ADD COLUMN reference TEXT;

-- In seconds. A program that does not know this column could have signed tokens of an hour.
ALTER TABLE issuer_keys ADD COLUMN longest_life BIGINT NOT NULL DEFAULT 3600;

ALTER TABLE issuer_keys ADD COLUMN wanted_at BIGINT;
ALTER TABLE issuer_keys ADD COLUMN seen_at BIGINT;

-- In seconds.
ALTER TABLE issuer_keys ADD COLUMN seen_max_age BIGINT NOT NULL DEFAULT 0;

-- The newest time that a replica's clock has shown.
CREATE TABLE clock (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    newest BIGINT NOT NULL
);

INSERT INTO clock (only_row, newest) VALUES (1, 0);

-- Finds the records of the last hour; as small as a page for every thousand of them.
CREATE INDEX audit_by_time ON audit USING brin (at);
