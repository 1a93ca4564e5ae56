-- What one of several servers does at a time, such as a rotation. A row stays when its lease has ended.
CREATE TABLE leases (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    until BIGINT NOT NULL
);

-- Replicas keep some rows in memory; a change of them is told to all, whoever makes it. The payload is
-- the table's name, and for an environment its id.
CREATE FUNCTION idp_tell_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('idp_changes', TG_TABLE_NAME);
    RETURN NULL;
END $$;

CREATE FUNCTION idp_tell_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('idp_changes', TG_TABLE_NAME || ':' || NEW.id);
    RETURN NULL;
END $$;

CREATE TRIGGER idp_tell AFTER INSERT OR UPDATE OR DELETE ON issuer_keys
    FOR EACH STATEMENT EXECUTE FUNCTION idp_tell_table();
CREATE TRIGGER idp_tell AFTER UPDATE ON organizations
    FOR EACH STATEMENT EXECUTE FUNCTION idp_tell_table();
CREATE TRIGGER idp_tell AFTER UPDATE ON environments
    FOR EACH ROW EXECUTE FUNCTION idp_tell_row();
