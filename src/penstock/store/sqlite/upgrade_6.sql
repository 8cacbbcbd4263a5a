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
