-- From schema version 5.

-- Values of jobs: what limits and fairness go by.
ALTER TABLE job ADD COLUMN flow_values BLOB;

-- Positions of sources.
CREATE TABLE source_cursor (
    source    TEXT NOT NULL,
    partition TEXT NOT NULL,
    position  INTEGER NOT NULL,
    fence     INTEGER NOT NULL,
    PRIMARY KEY (source, partition)
) WITHOUT ROWID;

-- --- limits (line_limits.py) ---
CREATE TABLE queue_record (
    name   TEXT PRIMARY KEY,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE live_limit (
    scope TEXT PRIMARY KEY,
    rules BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE bucket (
    scope TEXT PRIMARY KEY,
    level REAL NOT NULL,
    at    REAL NOT NULL
) WITHOUT ROWID;
