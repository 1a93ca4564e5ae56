-- What an external keystore knows a private half by. A key has this, or `sealed`, or neither once its
-- private half is destroyed.
ALTER TABLE issuer_keys ADD COLUMN reference TEXT;
