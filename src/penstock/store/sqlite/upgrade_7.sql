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

ALTER TABLE job ADD COLUMN step INTEGER;
ALTER TABLE job ADD COLUMN place INTEGER;
ALTER TABLE finished ADD COLUMN became BLOB;
CREATE INDEX job_step ON job (step, place) WHERE step IS NOT NULL;

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
