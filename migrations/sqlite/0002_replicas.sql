-- What one of several servers does at a time, such as a rotation. A row stays when its lease has ended.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    until BIGINT NOT NULL
);
