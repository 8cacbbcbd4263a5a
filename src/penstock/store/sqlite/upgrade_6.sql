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

-- --- searching ---------------------------------------------------------------------------------------------------------
CREATE TABLE searchable (
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    seq  INTEGER NOT NULL,
    PRIMARY KEY (name, text, seq)
) WITHOUT ROWID;
CREATE INDEX searchable_seq ON searchable (seq);
CREATE TABLE dead_kind (
    id    INTEGER PRIMARY KEY,
    task  INTEGER NOT NULL,
    error TEXT NOT NULL,
    count INTEGER NOT NULL
);
ALTER TABLE finished ADD COLUMN kind INTEGER;
-- The function `error_type` reads a packed JobError (database.py). 1,000 and 200: limits.DEAD_KINDS_MAX and
-- ERROR_TYPE_LENGTH_MAX of this version.
INSERT INTO dead_kind (id, task, error, count)
SELECT row_number() OVER (ORDER BY count(*) DESC), line.task, substr(error_type(finished.error), 1, 200) AS type, count(*)
FROM finished JOIN job ON job.seq = finished.seq JOIN line ON line.id = job.line
WHERE finished.dead = 1 GROUP BY line.task, type ORDER BY count(*) DESC LIMIT 1000;
-- For the time of the upgrade: without it each dead job is compared with every kind.
CREATE INDEX dead_kind_name ON dead_kind (task, error);
UPDATE finished SET kind = ifnull(
    (SELECT dead_kind.id FROM job JOIN line ON line.id = job.line JOIN dead_kind ON dead_kind.task = line.task
     WHERE job.seq = finished.seq AND dead_kind.error = substr(error_type(finished.error), 1, 200)), 0)
WHERE dead = 1;
DROP INDEX dead_kind_name;
INSERT INTO dead_kind (id, task, error, count) SELECT 0, 0, '', count(*) FROM finished WHERE dead = 1 AND kind = 0;
CREATE INDEX finished_kind ON finished (kind) WHERE dead = 1;
CREATE INDEX finished_unusual ON finished (state) WHERE state <> 'succeeded';
-- How far the times in ids are from when their jobs were accepted (id_skew.py).
INSERT INTO meta (key, value)
SELECT 'id_skew_s', max(abs(created_at - (seq >> 21) / 1000.0)) + 1 FROM job HAVING count(*) > 0;

-- Operators. What is paused or draining: of a queue (`task` is ''), of a task (`queue` is ''), or of
-- one line. `by` is who asked, `note` why.
CREATE TABLE hold (
    queue TEXT NOT NULL,
    task  TEXT NOT NULL,
    kind  TEXT NOT NULL,
    by    TEXT NOT NULL,
    at    REAL NOT NULL,
    note  TEXT,
    PRIMARY KEY (queue, task, kind)
) WITHOUT ROWID;

-- Bulk actions, by when they were started: each a packed Action, written with each of its steps.
CREATE TABLE action (
    number INTEGER PRIMARY KEY,
    record BLOB NOT NULL
);

-- What operators have done. Numbers rise by one; the oldest entries are dropped.
CREATE TABLE audit (
    number  INTEGER PRIMARY KEY,
    at      REAL NOT NULL,
    by      TEXT NOT NULL,
    verb    TEXT NOT NULL,
    subject TEXT NOT NULL,
    count   INTEGER,
    note    TEXT,
    action  BLOB
);
-- A reason for which nothing was ever closed by those who use it.
DELETE FROM closed_line WHERE reason = 'draining';

-- Topics copy each message to all their channels. `messages` counts what was published. The number of a topic is never
-- given to another: idempotency keys of messages are kept in `idempotency` with the number of the topic, negated, as task.
CREATE TABLE topic (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL UNIQUE,
    messages INTEGER NOT NULL DEFAULT 0
);

-- A channel is a queue named topic:channel. `slot` goes into the ids of its messages (model/topics.py).
CREATE TABLE channel (
    queue INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL,
    name  TEXT NOT NULL,
    slot  INTEGER NOT NULL,
    UNIQUE (topic, name)
);

-- Unique keys.
CREATE TABLE unique_key (
    id        BLOB PRIMARY KEY,
    task      INTEGER NOT NULL,
    key       TEXT NOT NULL,
    states    INTEGER NOT NULL,
    period_s  REAL,
    until     REAL,
    holds     INTEGER,
    forget_at REAL
) WITHOUT ROWID;
CREATE UNIQUE INDEX unique_holder ON unique_key (task, key) WHERE holds = 1;
CREATE INDEX unique_forget ON unique_key (forget_at) WHERE forget_at IS NOT NULL;

-- --- retention by queue ------------------------------------------------------------------------------------------------
ALTER TABLE finished ADD COLUMN retained INTEGER;
ALTER TABLE finished ADD COLUMN size_bytes INTEGER;
CREATE TABLE retained_queue (
    queue      INTEGER PRIMARY KEY,
    size_bytes INTEGER NOT NULL DEFAULT 0,
    is_marked  INTEGER NOT NULL
);
CREATE INDEX finished_retained ON finished (retained, dead, keep_until) WHERE retained IS NOT NULL;

-- Bodies of messages that are large, once for all copies (shared_bodies.py). In the row of such a copy `body` is the number
-- of the row here. `copies`: how many there are.
CREATE TABLE shared_body (
    number INTEGER PRIMARY KEY,
    body   BLOB NOT NULL,
    copies INTEGER NOT NULL
);

-- Slots of keys.
CREATE TABLE slot (
    seq  INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key  TEXT NOT NULL,
    PRIMARY KEY (seq, kind, key)
) WITHOUT ROWID;
CREATE INDEX slot_key ON slot (kind, key);
CREATE TABLE key_bucket (
    kind      TEXT NOT NULL,
    key       TEXT NOT NULL,
    level     REAL NOT NULL,
    at        REAL NOT NULL,
    monotonic REAL NOT NULL,
    epoch     INTEGER NOT NULL,
    look_at   REAL NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX key_bucket_due ON key_bucket (look_at);

-- Fairness.
CREATE TABLE fair_queue (
    queue    INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    rank     INTEGER NOT NULL,
    PRIMARY KEY (queue, priority)
) WITHOUT ROWID;
CREATE TABLE fair_tenant (
    queue    INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    tenant   TEXT NOT NULL,
    rank     INTEGER NOT NULL,
    PRIMARY KEY (queue, priority, tenant)
) WITHOUT ROWID;
