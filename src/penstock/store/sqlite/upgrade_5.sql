-- From schema version 4: lines, and a job's place in its line in columns of its own. The order key of version 4 was 8
-- bits that fell as the priority rose, from 100 on, then 55 bits of arrival. When a job was accepted was read out of its
-- id, whose front is the row number: milliseconds, then 21 bits.
CREATE TABLE line (
    id    INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    task  INTEGER NOT NULL,
    UNIQUE (queue, task)
);
INSERT INTO line (queue, task) SELECT queue, task FROM job GROUP BY queue, task;
CREATE TABLE closed_line (
    queue  TEXT NOT NULL,
    task   TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (queue, task, reason)
) WITHOUT ROWID;
CREATE TABLE removed (
    id                   INTEGER PRIMARY KEY CHECK (id = 0),
    arrival              INTEGER NOT NULL DEFAULT 0,
    scheduled            INTEGER NOT NULL DEFAULT 0,
    blocked              INTEGER NOT NULL DEFAULT 0,
    ready                INTEGER NOT NULL DEFAULT 0,
    running              INTEGER NOT NULL DEFAULT 0,
    succeeded            INTEGER NOT NULL DEFAULT 0,
    dead                 INTEGER NOT NULL DEFAULT 0,
    cancelled            INTEGER NOT NULL DEFAULT 0,
    expired              INTEGER NOT NULL DEFAULT 0,
    accepted_total       INTEGER NOT NULL DEFAULT 0,
    succeeded_total      INTEGER NOT NULL DEFAULT 0,
    dead_total           INTEGER NOT NULL DEFAULT 0,
    cancelled_total      INTEGER NOT NULL DEFAULT 0,
    expired_total        INTEGER NOT NULL DEFAULT 0,
    discarded_total      INTEGER NOT NULL DEFAULT 0,
    dead_discarded_total INTEGER NOT NULL DEFAULT 0,
    revived_total        INTEGER NOT NULL DEFAULT 0,
    moved_in_total       INTEGER NOT NULL DEFAULT 0,
    moved_out_total      INTEGER NOT NULL DEFAULT 0,
    retried_total        INTEGER NOT NULL DEFAULT 0,
    snoozed_total        INTEGER NOT NULL DEFAULT 0,
    released_total       INTEGER NOT NULL DEFAULT 0,
    lost_total           INTEGER NOT NULL DEFAULT 0
);
INSERT INTO removed (id) VALUES (0);

CREATE TABLE job_5 (
    seq         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL,
    line        INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    rank        INTEGER NOT NULL DEFAULT 0,
    arrival     INTEGER NOT NULL,
    checksum    INTEGER NOT NULL,
    body        BLOB NOT NULL,
    extra       BLOB,
    created_at  REAL NOT NULL,
    run_at      REAL,
    expires_at  REAL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    losses      INTEGER NOT NULL DEFAULT 0,
    error       BLOB,
    has_started INTEGER,
    interest    INTEGER NOT NULL DEFAULT 0
);
INSERT INTO job_5 (seq, id, line, priority, arrival, checksum, body, extra, created_at, run_at, expires_at, attempts, losses,
    error, has_started)
SELECT job.seq, job.id, line.id, 100 - (job.order_key >> 55), job.order_key & ((1 << 55) - 1), job.checksum, job.body,
    job.extra, (job.seq >> 21) / 1000.0, job.run_at, job.expires_at, job.attempts, job.losses, job.error, job.has_started
FROM job JOIN line ON line.queue = job.queue AND line.task = job.task ORDER BY job.seq;
DROP TABLE job;
ALTER TABLE job_5 RENAME TO job;
CREATE INDEX job_expiry ON job (expires_at) WHERE expires_at > 0;

CREATE TABLE ready_5 (
    line    INTEGER NOT NULL,
    urgency INTEGER NOT NULL,
    rank    INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (line, urgency, rank, arrival)
) WITHOUT ROWID;
INSERT INTO ready_5 (line, urgency, rank, arrival, seq)
SELECT job.line, -job.priority, 0, job.arrival, job.seq FROM ready JOIN job ON job.seq = ready.seq;
DROP TABLE ready;
ALTER TABLE ready_5 RENAME TO ready;

CREATE TABLE blocked (
    reason  TEXT NOT NULL,
    key     TEXT NOT NULL,
    urgency INTEGER NOT NULL,
    rank    INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    seq     INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (reason, key, urgency, rank, arrival, seq)
) WITHOUT ROWID;

CREATE TABLE refused_5 (
    seq         INTEGER PRIMARY KEY,
    party       INTEGER NOT NULL,
    line        INTEGER NOT NULL,
    urgency     INTEGER NOT NULL,
    rank        INTEGER NOT NULL,
    arrival     INTEGER NOT NULL,
    until       REAL,
    since       REAL NOT NULL,
    unfit_since REAL,
    error       BLOB NOT NULL
);
INSERT INTO refused_5 (seq, party, line, urgency, rank, arrival, until, since, unfit_since, error)
SELECT job.seq, refused.party, job.line, -job.priority, 0, job.arrival, refused.until, refused.since, refused.unfit_since,
    refused.error
FROM refused JOIN job ON job.seq = refused.seq;
DROP TABLE refused;
ALTER TABLE refused_5 RENAME TO refused;
CREATE INDEX refused_line ON refused (party, line, urgency, rank, arrival);
CREATE INDEX refused_until ON refused (until) WHERE until IS NOT NULL;

ALTER TABLE running ADD COLUMN interest INTEGER NOT NULL DEFAULT 0;
