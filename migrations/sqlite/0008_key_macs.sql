-- A MAC over what of a key's record must not change, under a key that is not in the database. Without a
-- good one a key is not published. Older programs write none; a start of a newer one makes up for that.
ALTER TABLE issuer_keys ADD COLUMN mac TEXT;
