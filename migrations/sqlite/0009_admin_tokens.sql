-- What people call an administrator token, and when it was revoked. A revoked token has also expired, so
-- that older programs refuse it.
ALTER TABLE admin_tokens ADD COLUMN name TEXT;
ALTER TABLE admin_tokens ADD COLUMN revoked_at BIGINT;
