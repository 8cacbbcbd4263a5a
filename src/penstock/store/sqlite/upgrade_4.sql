-- From schema version 3: what is held against jobs that were lost (mishaps.py). Earlier versions blamed every job that
-- ran in an executor when it died; so what they counted is no blame here.
CREATE TABLE IF NOT EXISTS mishap (
    seq     INTEGER PRIMARY KEY,
    strays  INTEGER NOT NULL,
    suspect INTEGER NOT NULL
);
INSERT OR IGNORE INTO mishap
SELECT seq, losses, 1 FROM job WHERE losses > 0 AND seq NOT IN (SELECT seq FROM finished);
UPDATE job SET losses = 0 WHERE losses > 0 AND seq NOT IN (SELECT seq FROM finished);
-- Jobs that workers refused, and whether a job that expires was ever started.
CREATE TABLE refused (
    seq         INTEGER PRIMARY KEY,
    party       INTEGER NOT NULL,
    queue       INTEGER NOT NULL,
    order_key   INTEGER NOT NULL,
    until       REAL,
    since       REAL NOT NULL,
    unfit_since REAL,
    error       BLOB NOT NULL
);
CREATE INDEX refused_line ON refused (party, queue, order_key);
CREATE INDEX refused_until ON refused (until) WHERE until IS NOT NULL;
ALTER TABLE job ADD COLUMN has_started INTEGER;
