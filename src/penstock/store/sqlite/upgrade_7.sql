-- From schema version 6.

-- --- durable steps (durable_steps.py) ---
-- What jobs have recorded: packed Records, by place. Rows go with their job's (Interest.RECORDED), here and below.
CREATE TABLE recorded (
    seq    INTEGER NOT NULL,
    place  INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (seq, place)
) WITHOUT ROWID;
CREATE TABLE checkpoint (
    seq   INTEGER PRIMARY KEY,
    value BLOB NOT NULL
);
-- Events that nobody has waited for yet, in order. `owner`: the id of a workflow, or of a lone job.
CREATE TABLE signal (
    owner   BLOB NOT NULL,
    event   TEXT NOT NULL,
    number  INTEGER NOT NULL,
    payload BLOB NOT NULL,
    at      REAL NOT NULL,
    PRIMARY KEY (owner, event, number)
) WITHOUT ROWID;
-- Suspended jobs that wait for an event, in order. A job waits for one at a time, and `place` is that of its record.
CREATE TABLE awaiting (
    owner  BLOB NOT NULL,
    event  TEXT NOT NULL,
    number INTEGER NOT NULL,
    seq    INTEGER NOT NULL UNIQUE,
    place  INTEGER NOT NULL,
    PRIMARY KEY (owner, event, number)
) WITHOUT ROWID;
-- The latest value of each name that the jobs of an owner have published.
CREATE TABLE published (
    owner BLOB NOT NULL,
    name  TEXT NOT NULL,
    value BLOB NOT NULL,
    at    REAL NOT NULL,
    PRIMARY KEY (owner, name)
) WITHOUT ROWID;

-- --- schedules ---------------------------------------------------------------------------------------------------------
CREATE TABLE schedule (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    declared_by TEXT,
    look_at     REAL,
    standing    BLOB NOT NULL
);
CREATE INDEX schedule_look ON schedule (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX schedule_application ON schedule (declared_by) WHERE declared_by IS NOT NULL;
CREATE TABLE schedule_told (
    number   INTEGER PRIMARY KEY,
    in_force BLOB NOT NULL,
    declared BLOB
);
CREATE TABLE schedule_run (
    schedule INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    job      BLOB,
    state    TEXT NOT NULL,
    record   BLOB NOT NULL,
    PRIMARY KEY (schedule, number)
) WITHOUT ROWID;
CREATE INDEX schedule_run_started ON schedule_run (schedule, number) WHERE state = 'started';
CREATE INDEX schedule_run_job ON schedule_run (job) WHERE state = 'started';
