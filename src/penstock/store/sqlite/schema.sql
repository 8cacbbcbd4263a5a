-- The embedded store, schema version 7.
--
-- A job's unchanging part is one row of `job`; its state is which of the small tables it stands in besides:
-- `ready`, `refused`, `blocked`, `scheduled`, `running`, `finished`. It stands in exactly one of them. So a lease or a
-- settlement never rewrites a body, and each state has exactly the index it needs. `job.seq` is the front of the job's
-- UUIDv7, so jobs land in order at the end of the table and an id needs no index of its own; in the rare case that two
-- ids share a front, the later one takes the next free number.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;
-- What tells this store's redo log from another's (redo_log.py).
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

-- A line is the jobs of one task in one queue: leases take from lines, and lines are what is closed. A row stays as long
-- as its queue has any record.
CREATE TABLE line (
    id    INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    task  INTEGER NOT NULL,
    UNIQUE (queue, task)
);

-- Lines that give out no jobs, and why: those of a queue (`task` is ''), of a task (`queue` is ''), or the one of both.
CREATE TABLE closed_line (
    queue  TEXT NOT NULL,
    task   TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (queue, task, reason)
) WITHOUT ROWID;

-- One row: the last arrival number and the ledgers, added up, of the queues that were empty and have been removed.
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

-- `priority`, `rank` and `arrival` are the job's place in its line: first the higher priority, then the lower rank, then
-- the earlier arrival. Arrival numbers are given out store-wide. The place is decided when the job joins `ready`, and
-- kept when the job comes back from a lease without having run. `extra` is a packed JobExtra, `error` the packed
-- JobError of the last attempt that is to be repeated. `created_at` is when the job was accepted; `run_at` is since when
-- it may start. `expires_at` is negative while the job is leased, and once it was started or has ended, which keeps it
-- out of the index that expiry is found by. `has_started` is 1 when a job with an expiry was started; it does not expire
-- any more. `losses` counts executors that died while this job was alone in them. `interest` is a mask: who has to be
-- told when the job ends (model/interests.py). `flow_values` is the packed `JobEntry.values`; NULL: it has none. `step` is
-- the row of the step that it belongs to. `place` says which member of this it is, -1 that it is its compensation, NULL
-- that it is its job. `step` NULL: it is of no workflow.
CREATE TABLE job (
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
    interest    INTEGER NOT NULL DEFAULT 0,
    flow_values BLOB,
    step        INTEGER,
    place       INTEGER
);
CREATE INDEX job_expiry ON job (expires_at) WHERE expires_at > 0;
CREATE INDEX job_step ON job (step, place) WHERE step IS NOT NULL;

-- What else is held against jobs that were lost, which few are (loss_records.py). A row goes with its job's.
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

-- `urgency` is the priority negated, so that a line is read in rising order.
CREATE TABLE ready (
    line    INTEGER NOT NULL,
    urgency INTEGER NOT NULL,
    rank    INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (line, urgency, rank, arrival)
) WITHOUT ROWID;

-- Jobs that may not start for a reason that counts for one key, such as a limit per customer: in one line for each reason
-- and key.
CREATE TABLE blocked (
    reason  TEXT NOT NULL,
    key     TEXT NOT NULL,
    urgency INTEGER NOT NULL,
    rank    INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    seq     INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (reason, key, urgency, rank, arrival, seq)
) WITHOUT ROWID;

-- Slots of keys that jobs hold which are ready, leased, or to run again before others of their key (slots.py). A row goes
-- when the job ends.
CREATE TABLE slot (
    seq  INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key  TEXT NOT NULL,
    PRIMARY KEY (seq, kind, key)
) WITHOUT ROWID;
CREATE INDEX slot_key ON slot (kind, key);

-- How many tokens the bucket of a key held, and when (Unix seconds, and the owner's monotonic seconds in its epoch). A key
-- without a row has a full one. `look_at` (monotonic): when somebody who waits may be next, or it is full.
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

-- Jobs that a worker refused (refused_jobs.py). Ready ones stand here and not in `ready`: in one line for each `party`, the
-- set of workers that refused them, which is known in memory alone. Party 0: the job is leased. `until` is when to look at
-- it again; `since` when it was first refused, `unfit_since` when first for its arguments, `error` why (a packed JobError).
CREATE TABLE refused (
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
CREATE INDEX refused_line ON refused (party, line, urgency, rank, arrival);
CREATE INDEX refused_until ON refused (until) WHERE until IS NOT NULL;

CREATE TABLE scheduled (
    due REAL NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (due, seq)
) WITHOUT ROWID;

-- Keyed by fence: fences only rise, so leases are appended, and a batch settled whole is one range. `interest` is the
-- job's.
CREATE TABLE running (
    fence      INTEGER PRIMARY KEY,
    seq        INTEGER NOT NULL,
    holder     INTEGER NOT NULL,
    started_at REAL,
    cancel     INTEGER NOT NULL DEFAULT 0,
    interest   INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE holder (
    id       INTEGER PRIMARY KEY,
    identity BLOB NOT NULL UNIQUE
);

-- `keep_until` is when the row may go, infinite for jobs of workflows, which go with these; `result_until` when its result is no longer given out. `kind` is what a dead record
-- is counted as: a row of `dead_kind`. `retained` is the record's queue, and `size_bytes` what its result and its body
-- take, where the queue's records have bounds of their own (retained_queues.py). `became` is the id of the workflow that
-- a job returned.
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
    result_until REAL,
    kind         INTEGER,
    retained     INTEGER,
    size_bytes   INTEGER,
    became       BLOB
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
-- the answers it gave. The oldest are dropped (transaction_journal.py).
CREATE TABLE journal (
    number  INTEGER PRIMARY KEY,
    at      REAL NOT NULL,
    ledgers BLOB NOT NULL,
    answers BLOB NOT NULL
);

-- How far the partitions of sources have become jobs (model/source_cursors.py).
CREATE TABLE source_cursor (
    source    TEXT NOT NULL,
    partition TEXT NOT NULL,
    position  INTEGER NOT NULL,
    fence     INTEGER NOT NULL,
    PRIMARY KEY (source, partition)
) WITHOUT ROWID;

-- --- limits (line_limits.py) ---
-- What applications declare of queues: a packed QueueRecord.
CREATE TABLE queue_record (
    name   TEXT PRIMARY KEY,
    record BLOB NOT NULL
) WITHOUT ROWID;
-- Limits that were put over declared ones: of each scope (`queue:NAME`, `task:NAME`) a packed list of rules.
CREATE TABLE live_limit (
    scope TEXT PRIMARY KEY,
    rules BLOB NOT NULL
) WITHOUT ROWID;
-- How many tokens the bucket of a scope's rate held, and when (Unix seconds).
CREATE TABLE bucket (
    scope TEXT PRIMARY KEY,
    level REAL NOT NULL,
    at    REAL NOT NULL
) WITHOUT ROWID;

-- --- searching ---------------------------------------------------------------------------------------------------------
-- What jobs can be found by that were enqueued with searchable arguments. Rows go with their job's (Interest.SEARCHABLE).
CREATE TABLE searchable (
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    seq  INTEGER NOT NULL,
    PRIMARY KEY (name, text, seq)
) WITHOUT ROWID;
CREATE INDEX searchable_seq ON searchable (seq);

-- How many dead records there are of each task and type of error. 0: of all others (model/dead_kinds.py).
CREATE TABLE dead_kind (
    id    INTEGER PRIMARY KEY,
    task  INTEGER NOT NULL,
    error TEXT NOT NULL,
    count INTEGER NOT NULL
);
CREATE INDEX finished_kind ON finished (kind) WHERE dead = 1;
-- Records of jobs that succeeded are many, and are in neither of these two.
CREATE INDEX finished_unusual ON finished (state) WHERE state <> 'succeeded';

-- Operators (operator_records.py). What is paused or draining: of a queue (`task` is ''), of a task (`queue` is ''), or of
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

-- Unique keys (unique_keys.py): a row for each job that was enqueued with one, as long as the job has a record, and
-- beyond that while its key counts. `states` are bits: in which the job keeps others away; `until` is when its period of
-- `period_s` is over. `holds` is 1 for the job that holds the key now, of which there is one at most, otherwise NULL.
-- `forget_at` is set once the record is gone.
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
-- Queues whose records have, or had, bounds of their own: how large these are together; 0 while some are not marked.
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

-- Fairness (fair_queues.py). Of each priority of a fair queue: the rank of the last job that was leased.
CREATE TABLE fair_queue (
    queue    INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    rank     INTEGER NOT NULL,
    PRIMARY KEY (queue, priority)
) WITHOUT ROWID;
-- And the last rank that each tenant was given. A row that is not above the queue's says nothing, and goes.
CREATE TABLE fair_tenant (
    queue    INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    tenant   TEXT NOT NULL,
    rank     INTEGER NOT NULL,
    PRIMARY KEY (queue, priority, tenant)
) WITHOUT ROWID;

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

-- --- schedules (schedule_rows.py) --------------------------------------------------------------------------------------
-- How schedules stand: a packed Standing, written at each firing. `look_at` is when something is to be done about one.
CREATE TABLE schedule (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    declared_by TEXT,
    look_at     REAL,
    standing    BLOB NOT NULL
);
CREATE INDEX schedule_look ON schedule (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX schedule_application ON schedule (declared_by) WHERE declared_by IS NOT NULL;

-- What they say: packed Schedules, the one in force, and what the application declares.
CREATE TABLE schedule_told (
    number   INTEGER PRIMARY KEY,
    in_force BLOB NOT NULL,
    declared BLOB
);

-- Their histories: packed ScheduleRuns. `job` is the id of the job or the workflow that a run has started.
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

-- --- workflows (workflow_rows.py) --------------------------------------------------------------------------------------
-- `plan` is the packed plan without its steps, `standing` what changes (WorkflowRow of penstock.workflow). `due` is when it
-- is to be looked at: its alarm or, when it is over, when its record goes. `origin` is the number of the one that it was
-- forked from, which is kept as long as this one.
CREATE TABLE workflow (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    id       BLOB NOT NULL UNIQUE,
    name     TEXT NOT NULL,
    state    TEXT NOT NULL,
    due      REAL,
    origin   INTEGER,
    plan     BLOB NOT NULL,
    standing BLOB NOT NULL
);
CREATE INDEX workflow_due ON workflow (due) WHERE due IS NOT NULL;
CREATE INDEX workflow_origin ON workflow (origin) WHERE origin IS NOT NULL;

-- How many workflows there are by state, kept by triggers.
CREATE TABLE workflow_count (
    state TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER workflow_counted AFTER INSERT ON workflow BEGIN
    INSERT INTO workflow_count VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER workflow_counted_anew AFTER UPDATE OF state ON workflow WHEN new.state <> old.state BEGIN
    UPDATE workflow_count SET count = count - 1 WHERE state = old.state;
    INSERT INTO workflow_count VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER workflow_uncounted AFTER DELETE ON workflow BEGIN
    UPDATE workflow_count SET count = count - 1 WHERE state = old.state;
END;

-- Steps of workflows. `row` is the workflow's number, and in its twenty low bits that of the step. `standing` is what
-- changes (StepRow), `facts` in `step_facts` what does not (StepFacts). `due`: its alarm.
CREATE TABLE step (
    row      INTEGER PRIMARY KEY,
    due      REAL,
    standing BLOB NOT NULL
);
CREATE INDEX step_due ON step (due) WHERE due IS NOT NULL;
CREATE TABLE step_facts (
    row   INTEGER PRIMARY KEY,
    facts BLOB NOT NULL
);

-- Members of groups that start later, or that take values: `jobs` is a packed list of JobGroup, `first` the place of the
-- first of so many (`count`). `opened` is 1 when they have become jobs.
CREATE TABLE held_members (
    step   INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    jobs   BLOB NOT NULL,
    PRIMARY KEY (step, first)
) WITHOUT ROWID;
CREATE INDEX held_unopened ON held_members (step, first) WHERE opened = 0;

-- Members of groups that are blocks of steps: `first` is the number of the step that the block begins with.
CREATE TABLE member_block (
    step  INTEGER NOT NULL,
    place INTEGER NOT NULL,
    first INTEGER NOT NULL,
    PRIMARY KEY (step, place)
) WITHOUT ROWID;

-- What is still to be done for workflows, a bounded part at a time (workflow_work.py). `workflow` is a number.
CREATE TABLE workflow_work (
    number   INTEGER PRIMARY KEY,
    workflow INTEGER NOT NULL,
    work     BLOB NOT NULL
);
CREATE INDEX workflow_work_of ON workflow_work (workflow);

-- How many finished records of each queue belong to workflows, dead ones (1) and others (0): they go with these alone.
CREATE TABLE workflow_records (
    queue INTEGER NOT NULL,
    dead  INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (queue, dead)
) WITHOUT ROWID;
