-- Where retention has cut a chain: records up to `seq` are gone, or will be shortly, and the first one
-- that is left follows `hash`, for which a checkpoint vouches.
CREATE TABLE audit_cuts (
    chain TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash BLOB NOT NULL,
    checkpoint BIGINT NOT NULL,
    at BIGINT NOT NULL
) WITHOUT ROWID;
