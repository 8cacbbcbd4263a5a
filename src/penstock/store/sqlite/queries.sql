-- Statements of the embedded engine. Each block: name, inputs in order -> outputs.

-- name: epoch
-- -> the epoch of the last owner, or nothing
SELECT value FROM meta WHERE key = 'epoch';

-- name: redo_token
-- -> what tells this store's redo log from another's
SELECT value FROM meta WHERE key = 'redo';

-- name: insert_job
-- seq, id, line, priority, rank, arrival, checksum, body, extra, created_at, run_at, expires_at, interest ->
INSERT INTO job (seq, id, line, priority, rank, arrival, checksum, body, extra, created_at, run_at, expires_at, interest)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_job_with_values
-- as insert_job, then flow_values ->
INSERT INTO job (seq, id, line, priority, rank, arrival, checksum, body, extra, created_at, run_at, expires_at, interest,
    flow_values)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_job_of_step
-- as insert_job_with_values, then step, place ->
INSERT INTO job (seq, id, line, priority, rank, arrival, checksum, body, extra, created_at, run_at, expires_at, interest,
    flow_values, step, place)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: highest
-- -> the highest seq, or nothing
SELECT max(seq) FROM job;

-- name: insert_displaced
-- id, seq ->
INSERT OR REPLACE INTO displaced (id, seq) VALUES (?, ?);

-- name: insert_ready
-- line, urgency, rank, arrival, seq ->
INSERT INTO ready (line, urgency, rank, arrival, seq) VALUES (?, ?, ?, ?, ?);

-- name: line_up
-- first seq, last seq, first arrival, arrival behind the last, line -> the jobs among them join the ready line
INSERT INTO ready (line, urgency, rank, arrival, seq)
SELECT line, -priority, rank, arrival, seq FROM job WHERE seq BETWEEN ? AND ? AND arrival >= ? AND arrival < ? AND line = ?;

-- name: insert_scheduled
-- due, seq ->
INSERT INTO scheduled (due, seq) VALUES (?, ?);

-- name: id_at
-- seq -> id
SELECT id FROM job WHERE seq = ?;

-- name: taken_from
-- seq -> the numbers that are taken, from this one on
SELECT seq FROM job WHERE seq >= ? ORDER BY seq;

-- name: ready_since
-- lines (a JSON array) -> of each: its number, and the least run_at of the first jobs of each priority. Of other jobs
-- nothing is read.
SELECT wanted.value, (
    WITH RECURSIVE present (urgency) AS (
        SELECT min(ready.urgency) FROM ready WHERE ready.line = wanted.value
        UNION ALL
        SELECT (SELECT min(ready.urgency) FROM ready WHERE ready.line = wanted.value
                AND ready.urgency > present.urgency)
        FROM present WHERE present.urgency IS NOT NULL
    )
    SELECT min((SELECT job.run_at FROM ready CROSS JOIN job ON job.seq = ready.seq WHERE ready.line = wanted.value
                AND ready.urgency = present.urgency ORDER BY ready.rank, ready.arrival LIMIT 1))
    FROM present
) FROM json_each(?) AS wanted;

-- name: ready_entries
-- line, urgency, rank, arrival, limit -> the places behind this one: urgency, rank, arrival, seq, key (line_heads.py)
SELECT urgency, rank, arrival, seq, (urgency << 56) + arrival FROM ready
WHERE line = ? AND (urgency, rank, arrival) > (?, ?, ?) ORDER BY urgency, rank, arrival LIMIT ?;

-- name: refused_entries
-- party, line, urgency, rank, arrival, limit -> as ready_entries
SELECT urgency, rank, arrival, seq, (urgency << 56) + arrival FROM refused
WHERE party = ? AND line = ? AND (urgency, rank, arrival) > (?, ?, ?) ORDER BY urgency, rank, arrival LIMIT ?;

-- name: waiting_lines
-- -> the lines that have ready jobs
SELECT id FROM line WHERE EXISTS (SELECT 1 FROM ready WHERE ready.line = line.id);

-- name: jobs_at
-- seq -> what `take_ready` has of a job besides its place. Large bodies (SMALL_BYTES_MAX in ready_line.py) are left out.
SELECT seq, id, attempts, checksum, CASE WHEN length(body) <= 65536 THEN body END, extra, expires_at, interest, step, place
FROM job WHERE seq IN (?);

-- name: take_ready
-- line, limit -> the jobs at the front of the line (ready_line.py: Ready)
SELECT ready.line, ready.urgency, ready.rank, ready.arrival, job.seq, job.id, job.attempts, job.checksum, job.body,
       job.extra, job.expires_at, job.interest, job.step, job.place
FROM ready CROSS JOIN job ON job.seq = ready.seq
WHERE ready.line = ? ORDER BY ready.urgency, ready.rank, ready.arrival LIMIT ?;

-- name: refused_since
-- parties and lines (a JSON array of pairs) -> as ready_since
SELECT wanted.line, (
    WITH RECURSIVE present (urgency) AS (
        SELECT min(refused.urgency) FROM refused WHERE refused.party = wanted.party AND refused.line = wanted.line
        UNION ALL
        SELECT (SELECT min(refused.urgency) FROM refused WHERE refused.party = wanted.party
                AND refused.line = wanted.line AND refused.urgency > present.urgency)
        FROM present WHERE present.urgency IS NOT NULL
    )
    SELECT min((SELECT job.run_at FROM refused CROSS JOIN job ON job.seq = refused.seq
                WHERE refused.party = wanted.party AND refused.line = wanted.line
                AND refused.urgency = present.urgency ORDER BY refused.rank, refused.arrival LIMIT 1))
    FROM present
) FROM (SELECT json_extract(value, '$[0]') AS party, json_extract(value, '$[1]') AS line FROM json_each(?)) AS wanted;

-- name: refused_counts
-- -> party, line, how many stand there
SELECT party, line, count(*) FROM refused GROUP BY party, line;

-- name: refusal
-- seq -> party, since, unfit_since, error
SELECT party, since, unfit_since, error FROM refused WHERE seq = ?;

-- name: refusals_due
-- now, limit -> seq, party, line, since, unfit_since, error
SELECT seq, party, line, since, unfit_since, error FROM refused
WHERE until IS NOT NULL AND until <= ? ORDER BY until LIMIT ?;

-- name: next_refusal
-- -> the earliest until, or nothing
SELECT until FROM refused WHERE until IS NOT NULL ORDER BY until LIMIT 1;

-- name: refuse
-- seq, party, line, urgency, rank, arrival, until, since, unfit_since, error ->
INSERT OR REPLACE INTO refused (seq, party, line, urgency, rank, arrival, until, since, unfit_since, error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: place_refused
-- party, until, seq ->
UPDATE refused SET party = ?, until = ? WHERE seq = ?;

-- name: forget_refusal
-- seq ->
DELETE FROM refused WHERE seq = ?;

-- name: refused_seqs
-- party, line -> seq of every job that stands there
SELECT seq FROM refused WHERE party = ? AND line = ?;

-- name: waiting_identity
-- seq -> id, attempts
SELECT id, attempts FROM job WHERE seq = ?;

-- name: delete_ready_to
-- line, urgency, rank, arrival: the place of the last one taken ->
DELETE FROM ready WHERE line = ? AND (urgency, rank, arrival) <= (?, ?, ?);

-- name: delete_ready_alike_to
-- line, urgency, rank, arrival: as `delete_ready_to`, where all that are taken have this urgency and this rank ->
DELETE FROM ready WHERE line = ? AND urgency = ? AND rank = ? AND arrival <= ?;

-- name: delete_ready_between
-- line, urgency, first arrival, last arrival -> deletes what stands between and has no rank (ready_rows.py: of many lines)
DELETE FROM ready WHERE line IN (?) AND urgency = ? AND rank = 0 AND arrival BETWEEN ? AND ?;

-- name: delete_ready
-- line, urgency, rank, arrival ->
DELETE FROM ready WHERE line = ? AND urgency = ? AND rank = ? AND arrival = ?;

-- name: insert_blocked
-- reason, key, urgency, rank, arrival, seq ->
INSERT INTO blocked (reason, key, urgency, rank, arrival, seq) VALUES (?, ?, ?, ?, ?, ?);

-- name: first_blocked
-- reason, key, limit -> the first of those that wait: seq, line, urgency, rank, arrival, flow_values
SELECT job.seq, job.line, -job.priority, job.rank, job.arrival, job.flow_values
FROM blocked CROSS JOIN job ON job.seq = blocked.seq WHERE blocked.reason = ? AND blocked.key = ?
ORDER BY blocked.urgency, blocked.rank, blocked.arrival LIMIT ?;

-- name: count_blocked
-- reason, key -> how many
SELECT count(*) FROM blocked WHERE reason = ? AND key = ?;

-- name: delete_blocked
-- seq (of many) ->
DELETE FROM blocked WHERE seq IN (?);

-- name: delete_scheduled
-- due, seq ->
DELETE FROM scheduled WHERE due = ? AND seq = ?;

-- name: insert_running
-- fence, seq, holder, interest ->
INSERT INTO running (fence, seq, holder, interest) VALUES (?, ?, ?, ?);

-- name: delete_running
-- fence ->
DELETE FROM running WHERE fence = ?;

-- name: delete_running_range
-- first fence, last fence ->
DELETE FROM running WHERE fence BETWEEN ? AND ?;

-- name: delete_jobs_running
-- first fence, last fence ->
DELETE FROM job WHERE seq IN (SELECT seq FROM running WHERE fence BETWEEN ? AND ?);

-- name: delete_job_running
-- fence ->
DELETE FROM job WHERE seq = (SELECT seq FROM running WHERE fence = ?);

-- name: delete_job
-- seq ->
DELETE FROM job WHERE seq = ?;

-- name: start_running
-- started_at, fence ->
UPDATE running SET started_at = ? WHERE fence = ?;

-- name: cancel_running
-- fence ->
UPDATE running SET cancel = 1 WHERE fence = ?;

-- name: insert_finished
-- seq, state, dead, keep_until, attempt, started_at, finished_at, error, result, result_until ->
INSERT INTO finished (seq, state, dead, keep_until, attempt, started_at, finished_at, error, result, result_until)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: delete_finished
-- seq ->
DELETE FROM finished WHERE seq = ?;

-- name: repeat_job
-- attempts, losses, error, run_at, priority, rank, arrival, seq ->
UPDATE job SET attempts = ?, losses = ?, error = ?, run_at = ?, priority = ?, rank = ?, arrival = ? WHERE seq = ?;

-- name: to_replay
-- seq -> of a job that has ended: line, priority, interest, flow_values, created_at, keep_until
SELECT job.line, job.priority, job.interest, job.flow_values, job.created_at, finished.keep_until
FROM job CROSS JOIN finished ON finished.seq = job.seq WHERE job.seq = ?;

-- name: load_mishaps
-- -> seq, strays, suspect of every job that has a row
SELECT seq, strays, suspect FROM mishap;

-- name: insert_mishap
-- seq, strays, suspect ->
INSERT OR REPLACE INTO mishap (seq, strays, suspect) VALUES (?, ?, ?);

-- name: delete_mishap
-- seq ->
DELETE FROM mishap WHERE seq = ?;

-- name: place_job
-- line, priority, rank, arrival, run_at, seq ->
UPDATE job SET line = ?, priority = ?, rank = ?, arrival = ?, run_at = ? WHERE seq = ?;

-- name: losses
-- seq -> priority, rank, arrival, losses, run_at, error, flow_values
SELECT priority, rank, arrival, losses, run_at, error, flow_values FROM job WHERE seq = ?;

-- name: due
-- now, limit -> due, seq, line, priority, flow_values, interest
SELECT scheduled.due, job.seq, job.line, job.priority, job.flow_values, job.interest
FROM scheduled CROSS JOIN job ON job.seq = scheduled.seq
WHERE scheduled.due <= ? ORDER BY scheduled.due, scheduled.seq LIMIT ?;

-- name: next_due
-- the time that never comes (step_history.NEVER) -> the earliest due before it, or nothing
SELECT due FROM scheduled WHERE due < ? ORDER BY due LIMIT 1;

-- name: expiring
-- now, limit -> seq, id, attempts
SELECT seq, id, attempts FROM job WHERE expires_at > 0 AND expires_at <= ? ORDER BY expires_at LIMIT ?;

-- name: next_expiry
-- -> the earliest expires_at, or nothing
SELECT expires_at FROM job WHERE expires_at > 0 ORDER BY expires_at LIMIT 1;

-- name: hide_expiry
-- seq -> takes a job that is leased, or has ended, out of the expiry index
UPDATE job SET expires_at = -abs(expires_at) WHERE seq = ?;

-- name: show_expiry
-- seq -> a job that was leased and not started may expire again
UPDATE job SET expires_at = abs(expires_at) WHERE seq = ?;

-- name: expires_at
-- seq -> when it expires or would have
SELECT abs(expires_at) FROM job WHERE seq = ?;

-- name: start_job
-- seq -> a job with an expiry was started: it does not expire any more
UPDATE job SET has_started = 1 WHERE seq = ?;

-- name: aged
-- dead, now, limit -> seq, line, state, interest of records whose time is up
SELECT finished.seq, job.line, finished.state, job.interest
FROM finished CROSS JOIN job ON job.seq = finished.seq
WHERE finished.dead = ? AND finished.keep_until <= ? ORDER BY finished.keep_until LIMIT ?;

-- name: next_age
-- dead -> the earliest keep_until, or nothing. That of jobs of workflows never comes.
SELECT keep_until FROM finished WHERE dead = ? AND keep_until < 1e18 ORDER BY keep_until LIMIT 1;

-- name: idempotency
-- task, key, now -> id, checksum, size_bytes
SELECT id, checksum, size_bytes FROM idempotency WHERE task = ? AND key = ? AND until > ?;

-- name: insert_idempotency
-- task, key, id, checksum, size_bytes, until ->
INSERT OR REPLACE INTO idempotency (task, key, id, checksum, size_bytes, until) VALUES (?, ?, ?, ?, ?, ?);

-- name: forget_idempotency
-- now, limit ->
DELETE FROM idempotency WHERE (task, key) IN (SELECT task, key FROM idempotency WHERE until <= ? ORDER BY until LIMIT ?);

-- name: next_idempotency
-- -> when the first key may be forgotten, or nothing
SELECT until FROM idempotency ORDER BY until LIMIT 1;

-- name: forget_displaced
-- -> jobs that are gone need not be known as displaced
DELETE FROM displaced WHERE seq NOT IN (SELECT seq FROM job);

-- name: forget_holder
-- identity ->
DELETE FROM holder WHERE identity = ?;

-- name: view
-- seq -> everything of a job but its body and result; the last columns say in which table besides `finished` it stands
SELECT job.seq, job.id, job.line, job.priority, job.extra, job.created_at, job.run_at, abs(job.expires_at), job.attempts,
       job.losses, job.error, finished.state, finished.keep_until, finished.attempt, finished.started_at,
       finished.finished_at, finished.error, finished.result_until, finished.result IS NOT NULL, finished.became,
       ready.seq IS NOT NULL, refused.error, blocked.reason, blocked.key, scheduled.seq IS NOT NULL, job.interest
FROM job
LEFT JOIN finished ON finished.seq = job.seq
LEFT JOIN ready ON ready.line = job.line AND ready.urgency = -job.priority AND ready.rank = job.rank
    AND ready.arrival = job.arrival AND ready.seq = job.seq
LEFT JOIN refused ON refused.seq = job.seq AND refused.party > 0
LEFT JOIN blocked ON blocked.seq = job.seq
LEFT JOIN scheduled ON scheduled.due = job.run_at AND scheduled.seq = job.seq
WHERE job.seq = ?;

-- name: place
-- seq -> where a job that waits stands: line, priority, rank, arrival, run_at, and whether there is a row of `ready`,
-- `refused`, `blocked`, `scheduled`
SELECT job.line, job.priority, job.rank, job.arrival, job.run_at, ready.seq IS NOT NULL, refused.seq IS NOT NULL,
       blocked.seq IS NOT NULL, scheduled.seq IS NOT NULL
FROM job
LEFT JOIN ready ON ready.line = job.line AND ready.urgency = -job.priority AND ready.rank = job.rank
    AND ready.arrival = job.arrival AND ready.seq = job.seq
LEFT JOIN refused ON refused.seq = job.seq AND refused.party > 0
LEFT JOIN blocked ON blocked.seq = job.seq
LEFT JOIN scheduled ON scheduled.due = job.run_at AND scheduled.seq = job.seq
WHERE job.seq = ?;

-- name: flow_values
-- seq -> flow_values
SELECT flow_values FROM job WHERE seq = ?;

-- name: body
-- seq -> body
SELECT CASE typeof(body) WHEN 'integer' THEN
    (SELECT coalesce(max(shared_body.body), x'') FROM shared_body WHERE shared_body.number = job.body) ELSE body END
FROM job WHERE seq = ?;

-- name: result
-- seq -> result
SELECT result FROM finished WHERE seq = ?;

-- name: ready_seqs
-- -> seq of every job in `ready`
SELECT seq FROM ready;

-- name: ready_seqs_of_lines
-- lines (a JSON array) -> seq of every job in `ready` that stands in them; of other lines nothing is read
SELECT ready.seq FROM json_each(?) AS wanted CROSS JOIN ready ON ready.line = wanted.value;

-- name: scheduled_seqs
-- -> seq of every scheduled job
SELECT seq FROM scheduled;

-- name: load_running
-- -> every lease: its fence, the first fields of `in_memory.Lease`, and the rest of what is kept of it in memory
SELECT running.fence, running.seq, job.id, job.line, line.queue, line.task, job.attempts, holder.identity,
       running.started_at, running.cancel, job.expires_at IS NOT NULL AND job.has_started IS NULL,
       refused.seq IS NOT NULL, running.interest, job.step, job.place
FROM running CROSS JOIN job ON job.seq = running.seq CROSS JOIN holder ON holder.id = running.holder
LEFT JOIN line ON line.id = job.line
LEFT JOIN refused ON refused.seq = running.seq
ORDER BY running.fence;

-- name: count_running
-- -> how many leases there are
SELECT count(*) FROM running;

-- name: insert_journal
-- number, at, ledgers, answers ->
INSERT INTO journal (number, at, ledgers, answers) VALUES (?, ?, ?, ?);

-- name: load_lines
-- -> id, queue, task
SELECT id, queue, task FROM line;

-- name: insert_line
-- queue, task ->
INSERT INTO line (queue, task) VALUES (?, ?);

-- name: load_closed_lines
-- -> queue, task, reason
SELECT queue, task, reason FROM closed_line;

-- name: insert_closed_line
-- queue, task, reason ->
INSERT OR IGNORE INTO closed_line (queue, task, reason) VALUES (?, ?, ?);

-- name: delete_closed_line
-- queue, task, reason ->
DELETE FROM closed_line WHERE queue = ? AND task = ? AND reason = ?;

-- name: load_journal
-- -> every row, in order
SELECT number, at, ledgers, answers FROM journal ORDER BY number;

-- name: journal_ledgers
-- -> number, ledgers, in order
SELECT number, ledgers FROM journal ORDER BY number;

-- name: journal_answers
-- number: behind the last -> number, size in bytes, answers, in order
SELECT number, length(ledgers) + length(answers), answers FROM journal WHERE number < ? ORDER BY number;

-- name: journal_answer
-- number -> answers
SELECT answers FROM journal WHERE number = ?;

-- name: drop_journal
-- number: behind the last ->
DELETE FROM journal WHERE number < ?;

-- name: save_queue
-- arrival, the ledger in the order of QueueStats, id ->
UPDATE queue SET arrival = ?, scheduled = ?, blocked = ?, ready = ?, running = ?, succeeded = ?, dead = ?,
    cancelled = ?, expired = ?, accepted_total = ?, succeeded_total = ?, dead_total = ?, cancelled_total = ?,
    expired_total = ?, discarded_total = ?, dead_discarded_total = ?, revived_total = ?, moved_in_total = ?,
    moved_out_total = ?, retried_total = ?, snoozed_total = ?, released_total = ?, lost_total = ?
WHERE id = ?;

-- name: load_queues
-- -> name, id, arrival, then the ledger in the order of QueueStats
SELECT name, id, arrival, scheduled, blocked, ready, running, succeeded, dead, cancelled, expired, accepted_total,
    succeeded_total, dead_total, cancelled_total, expired_total, discarded_total, dead_discarded_total, revived_total,
    moved_in_total, moved_out_total, retried_total, snoozed_total, released_total, lost_total
FROM queue;

-- name: load_removed
-- -> the last arrival number, and the counts added up, of the queues that have been removed
SELECT arrival, scheduled, blocked, ready, running, succeeded, dead, cancelled, expired, accepted_total, succeeded_total,
       dead_total, cancelled_total, expired_total, discarded_total, dead_discarded_total, revived_total, moved_in_total,
       moved_out_total, retried_total, snoozed_total, released_total, lost_total
FROM removed;

-- name: save_removed
-- as load_removed ->
UPDATE removed SET arrival = ?, scheduled = ?, blocked = ?, ready = ?, running = ?, succeeded = ?, dead = ?,
    cancelled = ?, expired = ?, accepted_total = ?, succeeded_total = ?, dead_total = ?, cancelled_total = ?,
    expired_total = ?, discarded_total = ?, dead_discarded_total = ?, revived_total = ?, moved_in_total = ?,
    moved_out_total = ?, retried_total = ?, snoozed_total = ?, released_total = ?, lost_total = ?;

-- name: insert_queue
-- id, name ->
INSERT INTO queue (id, name) VALUES (?, ?);

-- name: delete_queue
-- id ->
DELETE FROM queue WHERE id = ?;

-- name: delete_lines
-- queue -> its lines, in which no job is
DELETE FROM line WHERE queue = ?;

-- name: is_queue_held
-- name of a queue -> a row if somebody has closed or holds it, or a task in it
SELECT 1 FROM closed_line WHERE queue = ?1 UNION ALL SELECT 1 FROM hold WHERE queue = ?1 LIMIT 1;

-- name: get_meta
-- key -> value
SELECT value FROM meta WHERE key = ?;

-- name: put_meta
-- key, value ->
INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?);

-- name: oldest_results
-- after seq, finished before, limit -> jobs that succeeded and have something to strip, oldest first, none of workflows: seq,
-- id, line, state, size of the result, size of the body
SELECT finished.seq, job.id, job.line, finished.state, ifnull(length(finished.result), 0), length(job.body)
FROM finished CROSS JOIN job ON job.seq = finished.seq
WHERE finished.seq > ? AND finished.dead = 0 AND finished.state = 'succeeded' AND finished.finished_at <= ?
    AND finished.keep_until < 1e18
    AND (finished.result IS NOT NULL OR length(job.body) > 0)
ORDER BY finished.seq LIMIT ?;

-- name: oldest_finished
-- after seq, finished before, limit -> records other than dead, as oldest_results
SELECT finished.seq, job.id, job.line, finished.state, ifnull(length(finished.result), 0), length(job.body), job.interest
FROM finished CROSS JOIN job ON job.seq = finished.seq
WHERE finished.seq > ? AND finished.dead = 0 AND finished.finished_at <= ? AND finished.keep_until < 1e18
ORDER BY finished.seq LIMIT ?;

-- name: oldest_dead
-- after seq, finished before, limit -> dead records, as oldest_results
SELECT finished.seq, job.id, job.line, finished.state, ifnull(length(finished.result), 0), length(job.body), job.interest
FROM finished CROSS JOIN job ON job.seq = finished.seq
WHERE finished.seq > ? AND finished.dead = 1 AND finished.finished_at <= ? AND finished.keep_until < 1e18
ORDER BY finished.seq LIMIT ?;

-- name: load_tasks
-- -> id, name, packed record or NULL of every task
SELECT id, name, record FROM task;

-- name: insert_task
-- name ->
INSERT INTO task (name) VALUES (?);

-- name: save_task
-- packed record, id ->
UPDATE task SET record = ? WHERE id = ?;

-- name: load_holders
-- -> id, identity of every lease holder
SELECT id, identity FROM holder;

-- name: insert_holder
-- identity ->
INSERT INTO holder (identity) VALUES (?);

-- name: load_displaced
-- -> id, seq of every job that did not get the number its id asks for
SELECT id, seq FROM displaced;

-- name: forget_expiry
-- seq -> the job does not expire any more
UPDATE job SET expires_at = NULL WHERE seq = ?;

-- name: interest
-- seq -> who has to be told when the job ends
SELECT interest FROM job WHERE seq = ?;

-- name: add_interest
-- interest, seq ->
UPDATE job SET interest = interest | ? WHERE seq = ?;

-- name: add_interest_leased
-- interest, fence ->
UPDATE running SET interest = interest | ? WHERE fence = ?;

-- Positions of sources (source_cursors.py).

-- name: source_cursor
-- source, partition -> the position in force
SELECT source, partition, position, fence FROM source_cursor WHERE source = ? AND partition = ?;

-- name: source_cursors
-- source or NULL for all -> the positions, in order
SELECT source, partition, position, fence FROM source_cursor WHERE ?1 IS NULL OR source = ?1 ORDER BY source, partition;

-- name: count_source_cursors
-- -> how many there are
SELECT count(*) FROM source_cursor;

-- name: put_source_cursor
-- source, partition, position, fence ->
INSERT OR REPLACE INTO source_cursor (source, partition, position, fence) VALUES (?, ?, ?, ?);

-- name: remove_source_cursors
-- source, partition or NULL for all -> one row for each that is removed
DELETE FROM source_cursor WHERE source = ?1 AND (?2 IS NULL OR partition = ?2) RETURNING 1;

-- --- limits (line_limits.py) ---

-- name: load_queue_records
-- -> name, packed QueueRecord
SELECT name, record FROM queue_record;

-- name: save_queue_record
-- name, packed QueueRecord ->
INSERT OR REPLACE INTO queue_record (name, record) VALUES (?, ?);

-- name: load_live_limits
-- -> scope, packed rules
SELECT scope, rules FROM live_limit;

-- name: save_live_limits
-- scope, packed rules ->
INSERT OR REPLACE INTO live_limit (scope, rules) VALUES (?, ?);

-- name: delete_live_limits
-- scope ->
DELETE FROM live_limit WHERE scope = ?;

-- name: level
-- scope -> how many tokens its bucket held, and when
SELECT level, at FROM bucket WHERE scope = ?;

-- name: save_level
-- scope, level, at ->
INSERT OR REPLACE INTO bucket (scope, level, at) VALUES (?, ?, ?);

-- name: delete_level
-- scope ->
DELETE FROM bucket WHERE scope = ?;

-- name: count_ready_of_lines
-- lines (a JSON array), most -> how many jobs of these lines stand in `ready`, counted up to that number
SELECT count(*) FROM (SELECT 1 FROM json_each(?1) AS wanted CROSS JOIN ready ON ready.line = wanted.value LIMIT ?2);

-- name: blocked_seqs
-- -> seq of every blocked job
SELECT seq FROM blocked;

-- name: insert_dead
-- seq, keep_until, attempt, started_at, finished_at, error, kind ->
INSERT INTO finished (seq, state, dead, keep_until, attempt, started_at, finished_at, error, kind)
VALUES (?, 'dead', 1, ?, ?, ?, ?, ?, ?);

-- name: kind_of
-- seq -> the kind of a dead record
SELECT kind FROM finished WHERE seq = ?;

-- name: load_dead_kinds
-- -> id, task, error, count of every kind
SELECT id, task, error, count FROM dead_kind;

-- name: save_dead_kind
-- id, task, error, count ->
INSERT OR REPLACE INTO dead_kind (id, task, error, count) VALUES (?, ?, ?, ?);

-- name: delete_dead_kind
-- id ->
DELETE FROM dead_kind WHERE id = ?;

-- name: insert_searchable
-- name, text, seq ->
INSERT OR IGNORE INTO searchable (name, text, seq) VALUES (?, ?, ?);

-- name: delete_searchable
-- seq ->
DELETE FROM searchable WHERE seq = ?;

-- name: has_searchable
-- name, text, seq -> a row if the job has this text
SELECT 1 FROM searchable WHERE name = ? AND text = ? AND seq = ?;

-- name: is_searchable
-- name -> a row if some job has an argument of this name
SELECT 1 FROM searchable WHERE name = ? LIMIT 1;

-- name: count_searchable
-- name, text, most -> how many jobs have this text; no more than ``most`` are counted
SELECT count(*) FROM (SELECT 1 FROM searchable WHERE name = ? AND text = ? LIMIT ?);

-- name: keyed
-- key, now, task (its number; NULL: any) -> the ids of jobs that an idempotency key stands for, and of those that hold a
-- unique key of this text. Two looks a task.
SELECT idempotency.id FROM task CROSS JOIN idempotency ON idempotency.task = task.id AND idempotency.key = ?1
WHERE idempotency.until > ?2 AND (?3 IS NULL OR task.id = ?3)
UNION ALL
SELECT unique_key.id FROM task CROSS JOIN unique_key
    ON unique_key.task = task.id AND unique_key.key = ?1 AND unique_key.holds = 1
WHERE ?3 IS NULL OR task.id = ?3;

-- name: keyed_messages
-- key, now -> the ids of messages that an idempotency key stands for. One look a topic.
SELECT idempotency.id FROM topic CROSS JOIN idempotency ON idempotency.task = -topic.id AND idempotency.key = ?1
WHERE idempotency.until > ?2;

-- name: blocked_of_key
-- key, most -> seq of the jobs that are blocked for this key, whatever the reason: a line that is paused is no key. One look
-- a reason.
WITH RECURSIVE reasons (reason) AS (
    SELECT min(reason) FROM blocked
    UNION ALL
    SELECT (SELECT min(blocked.reason) FROM blocked WHERE blocked.reason > reasons.reason)
    FROM reasons WHERE reasons.reason IS NOT NULL
)
SELECT blocked.seq FROM reasons CROSS JOIN blocked ON blocked.reason = reasons.reason AND blocked.key = ?1
WHERE reasons.reason <> 'paused' LIMIT ?2;

-- operators (operator_records.py)

-- name: load_holds
-- -> queue, task, kind, by, at, note
SELECT queue, task, kind, by, at, note FROM hold;

-- name: save_hold
-- queue, task, kind, by, at, note ->
INSERT OR REPLACE INTO hold (queue, task, kind, by, at, note) VALUES (?, ?, ?, ?, ?, ?);

-- name: delete_holds
-- queue, task ->
DELETE FROM hold WHERE queue = ? AND task = ?;

-- name: load_actions
-- -> number, packed Action, the oldest first
SELECT number, record FROM action ORDER BY number;

-- name: save_action
-- number, packed Action ->
INSERT OR REPLACE INTO action (number, record) VALUES (?, ?);

-- name: delete_action
-- number ->
DELETE FROM action WHERE number = ?;

-- name: last_audit
-- -> the number of the latest entry, or nothing
SELECT max(number) FROM audit;

-- name: insert_audit
-- number, at, by, verb, subject, count, note, id of the action ->
INSERT INTO audit (number, at, by, verb, subject, count, note, action) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: drop_audit
-- number -> this entry and those before it go
DELETE FROM audit WHERE number <= ?;

-- name: save_audit_count
-- count, number ->
UPDATE audit SET count = ? WHERE number = ?;

-- name: audit
-- number, limit -> the entries before it, the latest first
SELECT number, at, by, verb, subject, count, note, action FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?;

-- name: edit_arguments
-- body, checksum, flow_values, seq ->
UPDATE job SET body = ?, checksum = ?, flow_values = ? WHERE seq = ?;

-- Topics ---------------------------------------------------------------------------------------------------------------

-- name: load_topics
-- -> id, name, messages of every topic
SELECT id, name, messages FROM topic;

-- name: load_channels
-- -> topic, name, queue, slot of every channel, by slot
SELECT topic, name, queue, slot FROM channel ORDER BY topic, slot;

-- name: insert_topic
-- name ->
INSERT INTO topic (name) VALUES (?);

-- name: delete_topic
-- id -> its channels are gone already
DELETE FROM topic WHERE id = ?;

-- name: count_messages
-- how many were published, id ->
UPDATE topic SET messages = messages + ? WHERE id = ?;

-- name: insert_channel
-- topic, name, queue, slot ->
INSERT INTO channel (topic, name, queue, slot) VALUES (?, ?, ?, ?);

-- name: replace_channel_queue
--- queue, queue before ->
UPDATE channel SET queue = ? WHERE queue = ?;

-- name: delete_channel
-- queue ->
DELETE FROM channel WHERE queue = ?;

-- name: rename_queue
-- name, id ->
UPDATE queue SET name = ? WHERE id = ?;

-- name: copies
-- first seq, last seq -> id of the jobs that there are with these numbers
SELECT id FROM job WHERE seq BETWEEN ? AND ?;

-- name: take_messages
-- as take_ready, of a channel's line
SELECT ready.line, ready.urgency, ready.rank, ready.arrival, job.seq, job.id, job.attempts, job.checksum,
       CASE typeof(job.body) WHEN 'integer' THEN
           (SELECT coalesce(max(shared_body.body), x'') FROM shared_body WHERE shared_body.number = job.body)
       ELSE job.body END,
       job.extra, job.expires_at, job.interest, job.step, job.place
FROM ready CROSS JOIN job ON job.seq = ready.seq
WHERE ready.line = ? ORDER BY ready.urgency, ready.rank, ready.arrival LIMIT ?;

-- name: has_shared_body
-- number -> a row if there is one
SELECT 1 FROM shared_body WHERE number = ?;

-- name: insert_shared_body
-- number, body, copies ->
INSERT INTO shared_body (number, body, copies) VALUES (?, ?, ?);

-- name: release_shared_body
-- how many copies have gone, number ->
UPDATE shared_body SET copies = copies - ? WHERE number = ?;

-- name: drop_shared_body
-- number -> deletes it if it has no copy any more
DELETE FROM shared_body WHERE number = ? AND copies <= 0;

-- name: front_of_line
-- line, limit -> the jobs at the front of the line: urgency, rank, arrival, seq, id, interest
SELECT ready.urgency, ready.rank, ready.arrival, job.seq, job.id, job.interest
FROM ready CROSS JOIN job ON job.seq = ready.seq
WHERE ready.line = ? ORDER BY ready.urgency, ready.rank, ready.arrival LIMIT ?;

-- name: ids_at
-- seqs (a JSON array) -> the ids of the jobs that have these numbers
SELECT job.id FROM json_each(?) AS wanted CROSS JOIN job ON job.seq = wanted.value;

-- name: unique_holder
-- task, key -> the job that holds the key, if one does: key, id, states, period_s, until
SELECT key, id, states, period_s, until FROM unique_key WHERE task = ? AND key = ? AND holds = 1;

-- name: unique_holders
-- task, keys (a JSON array) -> as unique_holder, of each of these keys
SELECT unique_key.key, unique_key.id, unique_key.states, unique_key.period_s, unique_key.until
FROM json_each(?2) AS wanted CROSS JOIN unique_key
    ON unique_key.task = ?1 AND unique_key.key = wanted.value AND unique_key.holds = 1;

-- name: insert_unique
-- id, task, key, states, period_s, until, holds -> a job's key; what was remembered of a job with the same id goes
INSERT INTO unique_key (id, task, key, states, period_s, until, holds) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET task = excluded.task, key = excluded.key, states = excluded.states,
    period_s = excluded.period_s, until = excluded.until, holds = excluded.holds, forget_at = NULL;

-- name: unique_claims
-- id (unique_keys.py: of many) -> id, states, period_s, until, holds
SELECT id, states, period_s, until, holds FROM unique_key WHERE id IN (?);

-- name: unique_key
-- id -> task, key, states, period_s, until
SELECT task, key, states, period_s, until FROM unique_key WHERE id = ?;

-- name: unique_rule
-- seq -> key, states, period_s
SELECT unique_key.key, unique_key.states, unique_key.period_s
FROM job CROSS JOIN unique_key ON unique_key.id = job.id WHERE job.seq = ?;

-- name: release_unique
-- id -> the job does not hold its key any more
UPDATE unique_key SET holds = NULL WHERE id = ?;

-- name: hold_unique
-- key, until, id -> the job holds this key
UPDATE unique_key SET key = ?, holds = 1, until = ? WHERE id = ?;

-- name: renew_unique
-- until, id ->
UPDATE unique_key SET until = ? WHERE id = ?;

-- name: outlive_unique
-- until, id -> the job's record is gone, and its key counts until then
UPDATE unique_key SET forget_at = ? WHERE id = ?;

-- name: forget_unique
-- id (of many) ->
DELETE FROM unique_key WHERE id IN (?);

-- name: forget_old_unique
-- now, limit ->
DELETE FROM unique_key WHERE id IN (SELECT id FROM unique_key WHERE forget_at <= ? ORDER BY forget_at LIMIT ?);

-- name: next_old_unique
-- -> when the first key may be forgotten, or nothing
SELECT forget_at FROM unique_key WHERE forget_at IS NOT NULL ORDER BY forget_at LIMIT 1;

-- name: replace_job
-- checksum, body, extra, flow_values, seq -> a job that waits has the arguments of another, and starts at attempt one
UPDATE job SET checksum = ?, body = ?, extra = ?, flow_values = ?, attempts = 0, losses = 0, error = NULL WHERE seq = ?;

-- name: renew_expiry
-- expires_at, seq -> a job that waits may expire as if it were new
UPDATE job SET expires_at = ?, has_started = NULL WHERE seq = ?;

-- --- retention by queue (retained_queues.py) ---

-- name: load_retained
-- -> queue, size_bytes, is_marked
SELECT queue, size_bytes, is_marked FROM retained_queue;

-- name: insert_retained
-- queue, is_marked ->
INSERT INTO retained_queue (queue, is_marked) VALUES (?, ?);

-- name: save_retained
-- size_bytes, queue ->
UPDATE retained_queue SET size_bytes = ? WHERE queue = ?;

-- name: all_marked
-- queue ->
UPDATE retained_queue SET is_marked = 1 WHERE queue = ?;

-- name: delete_retained
-- queue ->
DELETE FROM retained_queue WHERE queue = ?;

-- name: mark_retained
-- queue, seq -> the queue, to which the record belongs from now on, and the size of the record
UPDATE finished SET retained = ?1,
    size_bytes = ifnull(length(result), 0) + ifnull((SELECT CASE typeof(job.body) WHEN 'integer' THEN
        (SELECT length(shared_body.body) FROM shared_body WHERE shared_body.number = job.body)
        ELSE length(job.body) END FROM job WHERE job.seq = ?2), 0)
WHERE seq = ?2 RETURNING retained, size_bytes;

-- name: retained_of
-- seq -> the queue that a record is marked with, and its size
SELECT retained, size_bytes FROM finished WHERE seq = ?;

-- name: unmarked_records
-- above seq -> every record that is of no workflow: its seq, its line, whether it is marked
SELECT finished.seq, job.line, finished.retained IS NOT NULL
FROM finished CROSS JOIN job ON job.seq = finished.seq WHERE finished.seq > ? AND finished.keep_until < 1e18
ORDER BY finished.seq;

-- name: oldest_retained
-- queue, dead, limit -> its records whose time ends first: seq, line, state, interest, size
SELECT finished.seq, job.line, finished.state, job.interest, finished.size_bytes
FROM finished CROSS JOIN job ON job.seq = finished.seq
WHERE finished.retained = ? AND finished.retained IS NOT NULL AND finished.dead = ? ORDER BY finished.keep_until, finished.seq LIMIT ?;

-- Slots of keys, and who waits for one (slots.py). A kind and a key are those of `penstock.model.keyed_limits.Key`; in
-- `blocked` the kind is called reason.

-- name: count_slots
-- kind, key -> how many are taken
SELECT count(*) FROM slot WHERE kind = ? AND key = ?;

-- name: any_slot
-- -> a row if any slot is taken
SELECT 1 FROM slot LIMIT 1;

-- name: slots_of
-- seq -> kind, key of the slots that a job holds
SELECT kind, key FROM slot WHERE seq = ?;

-- name: insert_slot
-- seq, kind, key ->
INSERT INTO slot (seq, kind, key) VALUES (?, ?, ?);

-- name: delete_slots
-- seq (slots.py: of many) -> kind, key of those that are deleted
DELETE FROM slot WHERE seq IN (?) RETURNING kind, key;

-- name: delete_slot
-- seq, kind, key ->
DELETE FROM slot WHERE seq = ? AND kind = ? AND key = ?;

-- name: any_blocked
-- reason, key -> a row if a job waits for it
SELECT 1 FROM blocked WHERE reason = ? AND key = ? LIMIT 1;

-- name: blocked_for
-- seq -> reason, key
SELECT reason, key FROM blocked WHERE seq = ?;

-- name: next_blocked_key
-- reason, key -> the next of those for which jobs wait
SELECT reason, key FROM blocked WHERE (reason, key) > (?, ?) ORDER BY reason, key LIMIT 1;

-- name: joiner
-- seq -> line, urgency, rank, arrival, flow_values
SELECT line, -priority, rank, arrival, flow_values FROM job WHERE seq = ?;

-- name: slot_holders
-- seq, limit -> seq, line of the jobs behind this one that hold slots
SELECT DISTINCT slot.seq, job.line FROM slot CROSS JOIN job ON job.seq = slot.seq WHERE slot.seq > ? ORDER BY slot.seq LIMIT ?;

-- name: next_slot_key
-- kind, key -> the next of which slots are taken
SELECT kind, key FROM slot WHERE (kind, key) > (?, ?) ORDER BY kind, key LIMIT 1;

-- name: holders_behind
-- kind, key, seq, limit -> seq, urgency, rank, arrival of the jobs behind this one that hold a slot of the key
SELECT job.seq, -job.priority, job.rank, job.arrival FROM slot CROSS JOIN job ON job.seq = slot.seq
WHERE slot.kind = ? AND slot.key = ? AND slot.seq > ? ORDER BY slot.seq LIMIT ?;

-- name: ready_behind
-- line, urgency, rank, arrival, limit -> urgency, rank, arrival, seq, whether it has values, of the ready jobs behind
SELECT ready.urgency, ready.rank, ready.arrival, ready.seq, job.flow_values IS NOT NULL
FROM ready CROSS JOIN job ON job.seq = ready.seq
WHERE ready.line = ? AND (ready.urgency, ready.rank, ready.arrival) > (?, ?, ?)
ORDER BY ready.urgency, ready.rank, ready.arrival LIMIT ?;

-- name: refused_behind
-- seq, limit -> seq of the refused jobs behind this one that wait and have values
SELECT refused.seq FROM refused CROSS JOIN job ON job.seq = refused.seq
WHERE refused.seq > ? AND refused.party > 0 AND job.flow_values IS NOT NULL ORDER BY refused.seq LIMIT ?;

-- name: delete_meta
-- key ->
DELETE FROM meta WHERE key = ?;

-- Buckets of keys (key_buckets.py).

-- name: key_bucket
-- kind, key -> level, at, monotonic, epoch
SELECT level, at, monotonic, epoch FROM key_bucket WHERE kind = ? AND key = ?;

-- name: save_key_bucket
-- kind, key, level, at, monotonic, epoch, look_at ->
INSERT OR REPLACE INTO key_bucket (kind, key, level, at, monotonic, epoch, look_at) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: look_at_bucket
-- look_at, kind, key ->
UPDATE key_bucket SET look_at = ? WHERE kind = ? AND key = ?;

-- name: buckets_due
-- now (monotonic), limit -> kind, key
SELECT kind, key FROM key_bucket WHERE look_at <= ? ORDER BY look_at LIMIT ?;

-- name: next_bucket
-- -> the earliest look_at, or nothing
SELECT look_at FROM key_bucket ORDER BY look_at LIMIT 1;

-- name: delete_key_bucket
-- kind, key ->
DELETE FROM key_bucket WHERE kind = ? AND key = ?;

-- name: old_buckets
-- kind, key, epoch, limit -> kind, key of those behind this one that are of other epochs
SELECT kind, key FROM key_bucket WHERE (kind, key) > (?, ?) AND epoch <> ? ORDER BY kind, key LIMIT ?;

-- name: rate_slots
-- seq (slots.py: of many) -> seq, kind, key of the slots of rates that jobs hold
SELECT seq, kind, key FROM slot WHERE seq IN (?) AND kind BETWEEN 'rate' AND 'ratf';

-- name: buckets_of_kind
-- kind, key, limit -> keys of that kind, in order, beginning with this one
SELECT key FROM key_bucket WHERE kind = ? AND key >= ? ORDER BY key LIMIT ?;

-- name: count_slots_of_kind
-- kind, most -> how many slots of its keys are taken, counted up to that number
SELECT count(*) FROM (SELECT 1 FROM slot WHERE kind = ? LIMIT ?);

-- name: count_blocked_of_kind
-- reason, most -> how many jobs are blocked for its keys, counted up to that number
SELECT count(*) FROM (SELECT 1 FROM blocked WHERE reason = ? LIMIT ?);

-- name: any_rate_slot
-- -> a row if a job holds a slot of a rate
SELECT 1 FROM slot WHERE kind BETWEEN 'rate' AND 'ratf' LIMIT 1;

-- Fairness (fair_queues.py).

-- name: load_fair_queues
-- -> queue, priority, rank
SELECT queue, priority, rank FROM fair_queue;

-- name: load_fair_tenants
-- -> queue, priority, tenant, rank
SELECT queue, priority, tenant, rank FROM fair_tenant;

-- name: save_fair_queue
-- queue, priority, rank ->
INSERT OR REPLACE INTO fair_queue (queue, priority, rank) VALUES (?, ?, ?);

-- name: save_fair_tenant
-- queue, priority, tenant, rank ->
INSERT OR REPLACE INTO fair_tenant (queue, priority, tenant, rank) VALUES (?, ?, ?, ?);

-- name: delete_fair_queue
-- queue, priority ->
DELETE FROM fair_queue WHERE queue = ? AND priority = ?;

-- name: delete_fair_tenant
-- queue, priority, tenant ->
DELETE FROM fair_tenant WHERE queue = ? AND priority = ? AND tenant = ?;

-- name: rank_job
-- rank, seq ->
UPDATE job SET rank = ? WHERE seq = ?;

-- Durable steps (durable_steps.py) -----------------------------------------------------------------------------------

-- name: put_record
-- seq, place, packed Record ->
INSERT OR REPLACE INTO recorded (seq, place, record) VALUES (?, ?, ?);

-- name: record_at
-- seq, place -> packed Record
SELECT record FROM recorded WHERE seq = ? AND place = ?;

-- name: last_record
-- seq -> packed Record at the last place
SELECT record FROM recorded WHERE seq = ? ORDER BY place DESC LIMIT 1;

-- name: records_from
-- seq, first place, limit -> place, packed Record, in order
SELECT place, record FROM recorded WHERE seq = ? AND place >= ? ORDER BY place LIMIT ?;

-- name: delete_records
-- seq ->
DELETE FROM recorded WHERE seq = ?;

-- name: put_checkpoint
-- seq, value ->
INSERT OR REPLACE INTO checkpoint (seq, value) VALUES (?, ?);

-- name: checkpoint
-- seq -> value
SELECT value FROM checkpoint WHERE seq = ?;

-- name: delete_checkpoint
-- seq ->
DELETE FROM checkpoint WHERE seq = ?;

-- name: insert_awaiting
-- owner, event, seq, place -> behind those that wait for the same
INSERT INTO awaiting (owner, event, number, seq, place)
SELECT ?1, ?2, ifnull(max(number), 0) + 1, ?3, ?4 FROM awaiting WHERE owner = ?1 AND event = ?2;

-- name: first_awaiting
-- owner, event -> seq, place of the job that has waited longest
SELECT seq, place FROM awaiting WHERE owner = ? AND event = ? ORDER BY number LIMIT 1;

-- name: awaiting
-- seq -> the place at which the job waits for an event, or nothing
SELECT place FROM awaiting WHERE seq = ?;

-- name: delete_awaiting
-- seq ->
DELETE FROM awaiting WHERE seq = ?;

-- name: insert_signal
-- owner, event, payload, at -> behind those that are kept of the same
INSERT INTO signal (owner, event, number, payload, at)
SELECT ?1, ?2, ifnull(max(number), 0) + 1, ?3, ?4 FROM signal WHERE owner = ?1 AND event = ?2;

-- name: first_signal
-- owner, event -> number, payload of the first that is kept
SELECT number, payload FROM signal WHERE owner = ? AND event = ? ORDER BY number LIMIT 1;

-- name: count_signals
-- owner -> how many are kept
SELECT count(*) FROM signal WHERE owner = ?;

-- name: delete_signal
-- owner, event, number ->
DELETE FROM signal WHERE owner = ? AND event = ? AND number = ?;

-- name: delete_signals
-- owner ->
DELETE FROM signal WHERE owner = ?;

-- name: put_published
-- owner, name, value, at ->
INSERT OR REPLACE INTO published (owner, name, value, at) VALUES (?, ?, ?, ?);

-- name: published
-- owner, name -> value, at
SELECT value, at FROM published WHERE owner = ? AND name = ?;

-- name: published_names
-- owner -> names, in order
SELECT name FROM published WHERE owner = ? ORDER BY name;

-- name: delete_published
-- owner ->
DELETE FROM published WHERE owner = ?;

-- name: extra
-- seq -> packed JobExtra or NULL
SELECT extra FROM job WHERE seq = ?;

-- --- schedules (schedule_rows.py) ---

-- name: schedule
-- name -> number, name, packed Standing
SELECT number, name, standing FROM schedule WHERE name = ?;

-- name: last_schedule
-- -> the highest number that was given out
SELECT seq FROM sqlite_sequence WHERE name = 'schedule';

-- name: count_schedules
-- -> how many there are
SELECT count(*) FROM schedule;

-- name: save_schedule
-- number, name, declared_by, look_at, packed Standing ->
INSERT INTO schedule (number, name, declared_by, look_at, standing) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (number) DO UPDATE SET
    declared_by = excluded.declared_by, look_at = excluded.look_at, standing = excluded.standing;

-- name: delete_schedule
-- number ->
DELETE FROM schedule WHERE number = ?;

-- name: due_schedules
-- now, limit -> number, name, packed Standing
SELECT number, name, standing FROM schedule WHERE look_at <= ? ORDER BY look_at, number LIMIT ?;

-- name: next_schedule
-- -> when the first is to be looked at
SELECT min(look_at) FROM schedule WHERE look_at IS NOT NULL;

-- name: schedules_after
-- name, limit -> number, name, packed Standing
SELECT number, name, standing FROM schedule WHERE name > ? ORDER BY name LIMIT ?;

-- name: schedules_of
-- application -> number, name, packed Standing
SELECT number, name, standing FROM schedule WHERE declared_by = ?;

-- name: schedule_told
-- number -> packed Schedules: in force, declared
SELECT in_force, declared FROM schedule_told WHERE number = ?;

-- name: save_schedule_told
-- number, in force, declared ->
INSERT OR REPLACE INTO schedule_told (number, in_force, declared) VALUES (?, ?, ?);

-- name: delete_schedule_told
-- number ->
DELETE FROM schedule_told WHERE number = ?;

-- name: schedule_run
-- schedule, number -> packed ScheduleRun
SELECT record FROM schedule_run WHERE schedule = ? AND number = ?;

-- name: save_schedule_run
-- schedule, number, job, state, packed ScheduleRun ->
INSERT OR REPLACE INTO schedule_run (schedule, number, job, state, record) VALUES (?, ?, ?, ?, ?);

-- name: delete_schedule_runs
-- schedule, highest number ->
DELETE FROM schedule_run WHERE schedule = ? AND number <= ? AND state NOT IN ('started', 'queued');

-- name: delete_all_schedule_runs
-- schedule ->
DELETE FROM schedule_run WHERE schedule = ?;

-- name: schedule_runs
-- schedule, number, limit -> packed ScheduleRuns, newest first
SELECT record FROM schedule_run WHERE schedule = ? AND number < ? ORDER BY number DESC LIMIT ?;

-- name: started_schedule_runs
-- schedule, limit -> packed ScheduleRuns, oldest first
SELECT record FROM schedule_run WHERE schedule = ? AND state = 'started' ORDER BY number LIMIT ?;

-- name: count_started_schedule_runs
-- schedule, limit -> how many have started and not ended
SELECT count(*) FROM (SELECT 1 FROM schedule_run WHERE schedule = ? AND state = 'started' LIMIT ?);

-- name: schedule_run_of_job
-- id of a job or a workflow -> name of the schedule, packed ScheduleRun
SELECT schedule.name, schedule_run.record FROM schedule_run JOIN schedule ON schedule.number = schedule_run.schedule
WHERE schedule_run.job = ? AND schedule_run.state = 'started';

-- Workflows (workflow_rows.py).

-- name: load_workflow_records
-- -> queue, dead, count
SELECT queue, dead, count FROM workflow_records;

-- name: save_workflow_records
-- queue, dead, count ->
INSERT OR REPLACE INTO workflow_records (queue, dead, count) VALUES (?, ?, ?);

-- name: delete_workflow_records
-- queue, dead ->
DELETE FROM workflow_records WHERE queue = ? AND dead = ?;

-- name: insert_workflow
-- id, name, state, origin, plan, standing ->
INSERT INTO workflow (id, name, state, origin, plan, standing) VALUES (?, ?, ?, ?, ?, ?);

-- name: workflow_counts
-- -> state, how many workflows are in it
SELECT state, count FROM workflow_count WHERE count > 0;

-- name: workflow_number
-- id -> number
SELECT number FROM workflow WHERE id = ?;

-- name: workflow_by_id
-- id -> number, id, plan, standing
SELECT number, id, plan, standing FROM workflow WHERE id = ?;

-- name: workflow_at
-- number -> as workflow_by_id
SELECT number, id, plan, standing FROM workflow WHERE number = ?;

-- name: save_workflow
-- state, standing, number ->
UPDATE workflow SET state = ?, standing = ? WHERE number = ?;

-- name: insert_step
-- row, standing ->
INSERT INTO step (row, standing) VALUES (?, ?);

-- name: insert_step_facts
-- row, facts ->
INSERT INTO step_facts (row, facts) VALUES (?, ?);

-- name: step
-- row -> facts, standing
SELECT step_facts.facts, step.standing FROM step CROSS JOIN step_facts ON step_facts.row = step.row WHERE step.row = ?;

-- name: save_step
-- standing, row ->
UPDATE step SET standing = ? WHERE row = ?;

-- name: insert_member_block
-- step, place, first ->
INSERT OR REPLACE INTO member_block (step, place, first) VALUES (?, ?, ?);

-- name: member_blocks
-- step -> place, first
SELECT place, first FROM member_block WHERE step = ?;

-- name: result_of_step
-- step -> the result of its job
SELECT finished.result FROM job CROSS JOIN finished ON finished.seq = job.seq WHERE job.step = ? AND job.place IS NULL;

-- name: member_results
-- step, place -> place, result of the members that have jobs, from this place on; result NULL: it has none
SELECT job.place, CASE finished.state WHEN 'succeeded' THEN finished.result END
FROM job LEFT JOIN finished ON finished.seq = job.seq WHERE job.step = ? AND job.place >= ? ORDER BY job.place;

-- name: insert_work
-- workflow, work ->
INSERT INTO workflow_work (workflow, work) VALUES (?, ?);

-- name: next_work
-- number, workflows, numbers (JSON arrays) -> number, workflow, work of the next that is of none of these workflows, and
-- none of these
SELECT number, workflow, work FROM workflow_work
WHERE number > ?1 AND workflow NOT IN (SELECT value FROM json_each(?2))
    AND number NOT IN (SELECT value FROM json_each(?3)) ORDER BY number LIMIT 1;

-- name: work_of
-- workflow -> number, work
SELECT number, work FROM workflow_work WHERE workflow = ? ORDER BY number;

-- name: save_work
-- work, number ->
UPDATE workflow_work SET work = ? WHERE number = ?;

-- name: delete_work
-- number ->
DELETE FROM workflow_work WHERE number = ?;

-- name: replace_body
-- body, checksum, seq ->
UPDATE job SET body = ?, checksum = ? WHERE seq = ?;

-- name: last_held
-- step -> jobs of the last row
SELECT jobs FROM held_members WHERE step = ? ORDER BY first DESC LIMIT 1;

-- name: all_held
-- step -> jobs of every row
SELECT jobs FROM held_members WHERE step = ?;

-- name: insert_held
-- step, first, count, opened, jobs ->
INSERT INTO held_members (step, first, count, opened, jobs) VALUES (?, ?, ?, ?, ?);

-- name: next_held
-- step -> first, jobs of the first row that was not opened
SELECT first, jobs FROM held_members WHERE step = ? AND opened = 0 ORDER BY first LIMIT 1;

-- name: held_at
-- step, place -> first, count, jobs of the row that has it, if one does
SELECT first, count, jobs FROM held_members WHERE step = ? AND first <= ? ORDER BY first DESC LIMIT 1;

-- name: note_opened
-- step, first ->
UPDATE held_members SET opened = 1 WHERE step = ? AND first = ?;

-- name: delete_held
-- step, first ->
DELETE FROM held_members WHERE step = ? AND first = ?;

-- name: ended_members
-- step, place, place behind the last, limit -> seq, place, state of the members with jobs from this place on; state NULL:
-- it has not ended
SELECT job.seq, job.place, finished.state FROM job LEFT JOIN finished ON finished.seq = job.seq
WHERE job.step = ? AND job.place >= ? AND job.place < ? ORDER BY job.place LIMIT ?;

-- name: unended_members
-- step, place, limit -> place, id of the members with jobs from this place on, and whether each has ended
SELECT job.place, job.id, finished.seq IS NOT NULL FROM job LEFT JOIN finished ON finished.seq = job.seq
WHERE job.step = ? AND job.place >= ? ORDER BY job.place LIMIT ?;

-- name: set_workflow_due
-- due, number ->
UPDATE workflow SET due = ? WHERE number = ?;

-- name: set_step_due
-- due, row ->
UPDATE step SET due = ? WHERE row = ?;

-- name: step_of_job
-- seq -> step, place
SELECT step, place FROM job WHERE seq = ?;

-- name: ended_well
-- seqs (a JSON array) -> of those that have succeeded: step, what they are to it (0: its job, 1: its compensation, 2: its
-- members), how many, the size of their results without the format byte
SELECT job.step, CASE WHEN job.place IS NULL THEN 0 WHEN job.place < 0 THEN 1 ELSE 2 END AS kind, count(*),
    ifnull(sum(max(0, length(finished.result) - 1)), 0)
FROM json_each(?) AS ended CROSS JOIN job ON job.seq = ended.value CROSS JOIN finished ON finished.seq = ended.value
WHERE finished.state = 'succeeded' GROUP BY job.step, kind;

-- name: ended_otherwise
-- seqs (a JSON array) -> of the others: step, place, state, error
SELECT job.step, job.place, finished.state, finished.error
FROM json_each(?) AS ended CROSS JOIN job ON job.seq = ended.value CROSS JOIN finished ON finished.seq = ended.value
WHERE finished.state <> 'succeeded';

-- name: next_workflows_due
-- limit -> number, due of the first
SELECT number, due FROM workflow WHERE due IS NOT NULL ORDER BY due LIMIT ?;

-- name: next_steps_due
-- limit -> row, due of the first
SELECT row, due FROM step WHERE due IS NOT NULL ORDER BY due LIMIT ?;

-- name: workflows_due
-- now, limit -> number
SELECT number FROM workflow WHERE due IS NOT NULL AND due <= ? ORDER BY due LIMIT ?;

-- name: steps_due
-- now, limit -> row
SELECT row FROM step WHERE due IS NOT NULL AND due <= ? ORDER BY due LIMIT ?;

-- name: fork_of
-- number -> a row if a workflow was forked from this one
SELECT 1 FROM workflow WHERE origin = ? LIMIT 1;

-- name: delete_workflow
-- number ->
DELETE FROM workflow WHERE number = ?;

-- name: ring_origin
-- now, id -> a workflow whose time was up is looked at again
UPDATE workflow SET due = ? WHERE id = ? AND due IS NULL;

-- name: records_of_steps
-- first row, last row, limit -> records of the jobs of these steps: seq, line, state, interest
SELECT job.seq, job.line, finished.state, job.interest FROM job CROSS JOIN finished ON finished.seq = job.seq
WHERE job.step BETWEEN ? AND ? LIMIT ?;

-- name: delete_held_of
-- first row, last row, limit ->
DELETE FROM held_members WHERE (step, first) IN
    (SELECT step, first FROM held_members WHERE step BETWEEN ? AND ? LIMIT ?);

-- name: delete_blocks_of
-- first row, last row, limit ->
DELETE FROM member_block WHERE (step, place) IN
    (SELECT step, place FROM member_block WHERE step BETWEEN ? AND ? LIMIT ?);

-- name: delete_facts_of
-- first row, last row, limit ->
DELETE FROM step_facts WHERE row IN (SELECT row FROM step_facts WHERE row BETWEEN ? AND ? LIMIT ?);

-- name: delete_steps_of
-- first row, last row, limit ->
DELETE FROM step WHERE row IN (SELECT row FROM step WHERE row BETWEEN ? AND ? LIMIT ?);

-- name: workflow_below
-- number -> number, state, name of the next below it
SELECT number, state, name FROM workflow WHERE number < ? ORDER BY number DESC LIMIT 1;

-- name: steps_from
-- first row, row behind the last, limit -> row, facts, standing
SELECT step.row, step_facts.facts, step.standing FROM step CROSS JOIN step_facts ON step_facts.row = step.row
WHERE step.row >= ? AND step.row < ? ORDER BY step.row LIMIT ?;

-- name: note_became
-- workflow, seq -> a job that returned a call has become this workflow
UPDATE finished SET became = ? WHERE seq = ?;

-- name: held_behind
-- step, place -> first, jobs of the first row of held members, opened or not, that has this place or a later one
SELECT first, jobs FROM held_members WHERE step = ? AND first + count > ? ORDER BY first LIMIT 1;

-- name: member_calls
-- step, place, limit -> of the members with jobs from this place on: place, seq, line, priority, checksum, body, extra,
-- flow_values, expires_s
SELECT place, seq, line, priority, checksum, body, extra, flow_values, abs(expires_at) - created_at FROM job
WHERE step = ? AND place >= ? ORDER BY place LIMIT ?;

-- name: searchable_of
-- seq -> name, text
SELECT name, text FROM searchable WHERE seq = ?;

-- name: last_place
-- step, place -> the last place before this one that a job has, or NULL
SELECT max(place) FROM job WHERE step = ? AND place >= 0 AND place < ?;

-- name: all_work
-- -> number, workflow, work of everything
SELECT number, workflow, work FROM workflow_work ORDER BY number;

-- name: oldest_over
-- number -> number, id of the next workflows behind this one that are over, and that no others were forked from
SELECT number, id FROM workflow AS one WHERE number > ? AND state IN ('succeeded', 'failed', 'cancelled')
    AND NOT EXISTS (SELECT 1 FROM workflow WHERE origin = one.number) ORDER BY number LIMIT 50;
