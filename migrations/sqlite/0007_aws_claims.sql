-- Which claims for AWS an organisation's tokens carry. Older programs write no such claims, and can
-- go on serving.
ALTER TABLE organizations ADD COLUMN session_tags BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE organizations ADD COLUMN source_identity BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE organizations ADD COLUMN role_pin BOOLEAN NOT NULL DEFAULT FALSE;

-- The role ARNs that an environment's tokens may be pinned to, a JSON list; any where it is NULL.
ALTER TABLE environments ADD COLUMN role_arns TEXT;
