-- The embedded store, schema version 4.
--
-- A job's unchanging part is one row of `job`; its state is which of the small tables it stands in besides:
-- `ready`, `refused`, `scheduled`, `running`, `finished`. So a lease or a settlement never rewrites a body, and each state has
-- exactly the index it needs. `job.seq` is the front of the job's UUIDv7 (model/ids.py), so jobs land in order at the
-- end of the table and an id needs no index of its own; in the rare case that two ids share a front, the later one
-- takes the next free number.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;
-- What tells this store's redo log from another's (redo.py).
INSERT INTO meta VALUES ('redo', randomblob(16));

-- One row a queue: its name, the last arrival number given out, and its ledger (columns in the order of QueueStats),
-- unless the journal has a later one.
CREATE TABLE queue (
    id                   INTEGER PRIMARY KEY,
    name                 TEXT NOT NULL UNIQUE,
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

-- `record` is a packed TaskRecord; NULL until a worker registers the task.
CREATE TABLE task (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    record BLOB
);

-- `order_key`: 8 bits that fall as the priority rises, then 55 bits of arrival. `extra` is a packed JobExtra, `error`
-- the packed JobError of the last attempt that is to be repeated. `run_at` is since when the job may start. `expires_at`
-- is negative while the job is leased, and once it was started or has ended, which keeps it out of the index that expiry
-- is found by. `has_started` is 1 when a job with an expiry was started; it does not expire any more. `losses` counts
-- executors that died while this job was alone in them.
CREATE TABLE job (
    seq        INTEGER PRIMARY KEY,
    id         BLOB NOT NULL,
    task       INTEGER NOT NULL,
    queue      INTEGER NOT NULL,
    order_key  INTEGER NOT NULL,
    checksum   INTEGER NOT NULL,
    body       BLOB NOT NULL,
    extra      BLOB,
    run_at     REAL,
    expires_at REAL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    losses     INTEGER NOT NULL DEFAULT 0,
    error      BLOB,
    has_started INTEGER
);
CREATE INDEX job_expiry ON job (expires_at) WHERE expires_at > 0;

-- What else is held against jobs that were lost, which few are (mishaps.py). A row goes with its job's.
CREATE TABLE mishap (
    seq     INTEGER PRIMARY KEY,
    strays  INTEGER NOT NULL,
    suspect INTEGER NOT NULL
);

-- Jobs that did not get the number their id asks for, so that a repeat of one is known even when its number is free.
CREATE TABLE displaced (
    id  BLOB PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE ready (
    queue     INTEGER NOT NULL,
    order_key INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (queue, order_key)
) WITHOUT ROWID;

-- Jobs that a worker refused (refusals.py). Ready ones stand here and not in `ready`: in one line for each `party`, the
-- set of workers that refused them, which is known in memory alone. Party 0: the job is leased. `until` is when to look at
-- it again; `since` when it was first refused, `unfit_since` when first for its arguments, `error` why (a packed JobError).
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

CREATE TABLE scheduled (
    due REAL NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (due, seq)
) WITHOUT ROWID;

-- Keyed by fence: fences only rise, so leases are appended, and a batch settled whole is one range.
CREATE TABLE running (
    fence      INTEGER PRIMARY KEY,
    seq        INTEGER NOT NULL,
    holder     INTEGER NOT NULL,
    started_at REAL,
    cancel     INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE holder (
    id       INTEGER PRIMARY KEY,
    identity BLOB NOT NULL UNIQUE
);

-- `keep_until` is when the row may go; `result_until` when its result is no longer given out.
CREATE TABLE finished (
    seq          INTEGER PRIMARY KEY,
    state        TEXT NOT NULL,
    dead         INTEGER NOT NULL,
    keep_until   REAL NOT NULL,
    attempt      INTEGER NOT NULL,
    started_at   REAL,
    finished_at  REAL NOT NULL,
    error        BLOB,
    result       BLOB,
    result_until REAL
);
CREATE INDEX finished_age ON finished (dead, keep_until);

-- Outlives the job's record. A key answers with the first job's id while `until` lies ahead.
CREATE TABLE idempotency (
    task       INTEGER NOT NULL,
    key        TEXT NOT NULL,
    id         BLOB NOT NULL,
    checksum   INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    until      REAL NOT NULL,
    PRIMARY KEY (task, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (until);

-- One row a transaction: packed, the ledgers it changed (they beat those in `queue`, which are written now and then) and
-- the answers it gave. The oldest are dropped (journal.py).
CREATE TABLE journal (
    number  INTEGER PRIMARY KEY,
    at      REAL NOT NULL,
    ledgers BLOB NOT NULL,
    answers BLOB NOT NULL
);
