-- Where an installation was copied to, without a password, and when, in epoch milliseconds. What is left
-- behind here must not be served any more.
ALTER TABLE schema_info ADD COLUMN moved_to TEXT;
ALTER TABLE schema_info ADD COLUMN moved_at BIGINT;
