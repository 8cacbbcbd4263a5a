"""What one job, one request and one store may have."""

from __future__ import annotations

from typing import Final

# --- one job: InvalidArguments, InvalidOption or BodyTooLarge -------------------------------------------------------
JOB_BODY_BYTES_MAX: Final = 4 * 1024 * 1024
"""Encoded arguments of one job. Beyond: BodyTooLarge / `body-too-large`."""
JOB_HEADERS_BYTES_MAX: Final = 8 * 1024
"""Names and values of a job's headers together. Beyond: InvalidOption / `body-too-large`."""
JOB_TAGS_MAX: Final = 32
"""Tags of one job. Beyond: InvalidOption."""
IDEMPOTENCY_KEY_BYTES_MAX: Final = 256
"""UTF-8 length of an idempotency key. Beyond: InvalidOption."""
PRIORITY_MIN: Final = -100
PRIORITY_MAX: Final = 100
JOB_VALUES_MAX: Final = 16
"""Texts of one job that limits and fairness go by, and those that it is found by. Beyond: InvalidOption."""
JOB_VALUE_BYTES_MAX: Final = 256
"""UTF-8 length of such a text. Beyond: InvalidOption; whoever enqueues sends the SHA-256 of a longer one."""
JOB_VALUE_NAME_BYTES_MAX: Final = 200
"""UTF-8 length of the name of such a text. Beyond: InvalidOption."""
DELAY_S_MAX: Final = 100 * 365 * 86_400.0
"""The farthest a job may be scheduled. Beyond: InvalidOption."""
JOB_TEXT_BYTES_MAX: Final = 5 * 1024 * 1024
"""JSON of one job as a client of the gate sends it: its arguments, its options, white space. Beyond: `body-too-large`.
"""
JOB_OPTIONS_BYTES_MAX: Final = 512 * 1024
"""What of that is not its arguments: it is decoded in one call. Beyond: `body-too-large`."""
TIME_S_MAX: Final = 1e17
"""Times and durations on the wire, either side of 0. Beyond, and what is no number: InvalidOption."""
JOB_COMPARED_PARTS_MAX: Final = 100_000
"""Lists and objects in the arguments of a job that came through a gate with an idempotency key: they are made there, to
be compared. Beyond: `body-too-large`."""
JOB_COMPARED_MEMBERS_MAX: Final = 150_000
"""Members of objects there, which are put in order for that."""
JOB_COMPARED_DIGITS_MAX: Final = 500_000
"""Digits there in integers of 200 and more, which are made and written for that."""
NESTING_MAX: Final = 100
"""Depth of JSON accepted from outside. Beyond: `malformed-body`."""

# --- one request -----------------------------------------------------------------------------------------------------
REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024
"""One HTTP request body. Beyond: `body-too-large`."""
CLOSED_LINES_MAX: Final = 10_000
"""Queues, tasks and lines that are closed at a time."""
QUEUES_MAX: Final = 10_000
"""Queues of one store. Beyond: empty ones are removed, and if there are none: InvalidOption."""
QUEUES_OF_CLIENT_MAX: Final = QUEUES_MAX // 2
"""Queues that one client of the store may make, of those that are there. Beyond: InvalidOption for it alone."""
QUEUE_EMPTY_S: Final = 86_400.0
"""A queue that has had neither jobs nor records for this long is removed. What it counted stays in the totals."""
BATCH_JOBS_MAX: Final = 10_000
"""Jobs in one request. Beyond: `body-too-large`."""
ADMIN_JOBS_MAX: Final = 1_000
"""Jobs that one step of a bulk action (retry, move, delete by filter) touches; the caller goes on with the cursor."""
PAGE_JOBS_MAX: Final = 1_000
"""Jobs in one page of a query."""
PAGE_QUEUES: Final = 500
"""Queues in one page of counts, where nobody asks for another number, and queues that `/metrics` shows by name."""
PAGE_QUEUES_MAX: Final = 1_000
"""Queues in one page of counts."""
SLICE_S: Final = 0.005
"""How long one search, one page of counts or one step of a bulk action holds up the work of others, about. Then it
answers with what it has, and a cursor that goes on."""
WAIT_S_MAX: Final = 60.0
"""The longest a request may be parked. Longer waits repeat it."""

# --- sources ---------------------------------------------------------------------------------------------------------
SOURCE_CURSORS_MAX: Final = 10_000
"""Partitions of sources whose positions are kept. Beyond: InvalidOption, until some are removed."""
SOURCE_NAME_CHARS_MAX: Final = 128
"""Characters of the name of a source, and of a partition. Beyond: InvalidOption."""

# --- the store's file ------------------------------------------------------------------------------------------------
COPY_IDLE_S: Final = 30.0
"""A copy of the file of which nobody asks for the next pages for this long is given up."""
COPY_SYNC_BYTES: Final = 4 * 1024 * 1024
"""How much of a copy is written before it is synced, by who asked for it: the owner's own syncs wait behind it."""
COPY_SPARED_BYTES: Final = 64 * 1024 * 1024
"""What a copy leaves free on its disk. Below: CareFailed, so that no copy fills the disk of the store."""

# --- what tasks and queues declare of the flow of jobs: InvalidOption -----------------------------------------------
FLOW_NAMES_DECLARED_MAX: Final = 8
"""Different names of the limits and the fairness of one task, of the limits of one queue, and to find jobs by."""
FAIR_WEIGHTS_MAX: Final = 1_000
"""Tenants with a weight of their own, of one task."""
FAIR_WEIGHT_MIN: Final = 0.001
FAIR_WEIGHT_MAX: Final = 1_000.0
"""What a tenant's weight may be."""
FAIR_TENANTS_MAX: Final = 20_000
"""Tenants of one queue and priority that have turns ahead of them. Beyond: others have their turns together, as the
jobs without a tenant."""

# --- searching ------------------------------------------------------------------------------------------------------
ERROR_TYPE_LENGTH_MAX: Final = 200
"""Characters of the type of an error that is searched for (beyond: InvalidOption), or that dead jobs count by."""
DEAD_KINDS_MAX: Final = 1_000
"""Tasks and types of error that dead records are counted by. Beyond: the rest is counted together, as others."""

# --- topics and channels ---------------------------------------------------------------------------------------------
CHANNELS_MAX: Final = 10_000
"""Channels of one store, apart from its queues. A topic without a channel counts as one. Beyond: InvalidOption."""
CHANNELS_OF_TOPIC_MAX: Final = 100
"""Channels of one topic. Beyond: InvalidOption."""
PUBLISH_COPIES_MAX: Final = 100_000
"""Messages of one request times the channels of its topic. Beyond: BodyTooLarge, and none is published."""
TOPIC_KEPT_MAX: Final = 10_000_000
"""Messages that a topic keeps while it has no channel. Beyond: StoreFull for who publishes."""
EPHEMERAL_MESSAGES_MAX: Final = 10_000
"""Messages that wait in an ephemeral channel. Beyond: those in front are discarded, and counted; of new ones that are
delayed or blocked the last, when none is ready."""
EPHEMERAL_DISCARDS_MAX: Final = 10_000
"""Messages that one request discards from an ephemeral channel, besides as many as it publishes: the channel may have
taken over what its topic kept. Beyond: the next requests do."""
EPHEMERAL_S: Final = 30.0
"""An ephemeral channel that nobody has asked for messages for this long is deleted."""
SHARED_BODY_BYTES_MIN: Final = 1_024
"""A message whose body is larger is stored once for all its copies. A smaller one is copied."""

# --- the wire --------------------------------------------------------------------------------------------------------
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
"""One frame between a client and the owner. Beyond: the connection is closed with a reason."""
ANSWER_BYTES_MAX: Final = 48 * 1024 * 1024
"""Results and bodies in one answer. Beyond: BodyTooLarge for who asked."""
CLIENT_REQUESTS_MAX: Final = 64
"""Requests one client has unanswered. Beyond: the caller waits. Also how many answers the owner keeps for a client."""
CLIENT_CALLERS_MAX: Final = 10_000
"""Callers waiting in one client. Beyond: StoreOverloaded."""
OWNER_CONNECTIONS_MAX: Final = 1_024
"""Connections at the owner, less where the system allows it fewer descriptors. Beyond: who has not said hello for the
longest time gives way; when all have, the new one is refused with `overloaded`."""
OWNER_CONNECTIONS_OF_PROCESS_MAX: Final = OWNER_CONNECTIONS_MAX // 2
"""As many of them may be one process's. Beyond: `overloaded` for it; a program that leaks locks nobody else out."""
OWNER_DESCRIPTORS: Final = 32
"""What the owner needs besides its connections: the database's files, the lock, its own ends."""
HELLO_S: Final = 10.0
"""How long a new connection may take to say hello. Beyond: closed with a reason."""
HELLO_BYTES_MAX: Final = 16 * 1024
"""What is kept of a hello that is not whole yet. Beyond: closed with a reason."""
ACCEPT_PAUSE_S: Final = 0.5
"""How long the owner takes no new connections when it has no descriptor for one, unless one is let go before."""
LOST_FILES_S: Final = 1.0
"""How often the owner looks whether its files are still where they were."""
OWNER_BATCH_BYTES_MAX: Final = 32 * 1024 * 1024
"""Request bytes in one group commit. Beyond: they wait for the next."""
OWNER_OUTBOX_BYTES_MAX: Final = 64 * 1024 * 1024
"""Answers waiting for a client that does not read. Beyond: the owner stops reading from it until it does."""
OWNER_INBOX_BYTES_MAX: Final = 8 * 1024 * 1024
"""Requests of one client waiting at the owner. Beyond: the owner stops reading from it until some are done."""
OWNER_GROUP_S: Final = 0.02
"""How long the owner goes on adding requests to one group commit. Beyond: they wait for the next."""
ANSWERS_KEPT_S: Final = 3_600.0
"""How long the answers to a client's last requests are kept for a repeat."""
OWNER_IDLE_S: Final = 30.0
"""A detached owner leaves after this long without clients."""
RECONNECT_S_MAX: Final = 30.0
"""How long a client tries to reach an owner before StoreUnavailable."""

# --- leases ----------------------------------------------------------------------------------------------------------
LEASE_S: Final = 30.0
LEASE_S_MAX: Final = 3_600.0
"""The longest that a lease is asked for or extended for. Beyond: InvalidOption. A longer job has its lease extended."""
EXTEND_S: Final = 10.0
STARTED_REPORT_S: Final = 0.1
"""A job that has started is known as such within this time."""
CANCEL_NOTICE_S: Final = 1.0
"""How often a supervisor asks about its running jobs."""
LEASE_JOBS_MAX: Final = 2_000
"""Jobs in one lease."""
LEASE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bodies in one lease; the job that reaches it is the last one in it."""
RUNNING_JOBS_MAX: Final = 200_000
"""Jobs leased at once. Beyond: a lease answers empty until some are settled."""
LOSSES_MAX: Final = 3
"""A job under which, while it was alone, so many executors died is dead (poison)."""
STRAYS_MAX: Final = 20
"""A job that was lost this often with its whole node, its supervisor or its lease, after it had started, is dead."""
REFUSED_AGAIN_S: Final = 10.0
"""A worker that refused a job is not given it again for this long, then for as long as the job has been refused."""
REFUSED_AGAIN_S_MAX: Final = 600.0
"""The longest of these times. After it the job is tried there again when that worker has nothing else to do."""
REFUSED_S: Final = 3_600.0
"""A job whose arguments every live worker that asks for its queue and its task has refused is dead after this time."""
HOLDER_ALIVE_S: Final = 60.0
"""A worker that has neither asked for leases nor extended one for this long is not alive as far as refusals go."""
LANES_OF_HOLDER_MAX: Final = 8
"""Kinds of lanes that one worker asks for jobs with apart. Beyond: what the first of them asked for is forgotten."""
REFUSAL_SETS_MAX: Final = 64
"""Different sets of workers that refused jobs. Beyond: such jobs are set aside for all workers there are."""
UNKNOWN_TASKS_MAX: Final = 1_000
"""Tasks that the store remembers as unknown to one worker. Beyond: jobs of others are sent there to be refused."""
TICK_STEP_JOBS: Final = 500
"""Jobs one step of a chore touches, so that no chore holds up a lease. Of trimming, while it falls behind, one part."""
TRIM_S: Final = OWNER_GROUP_S
"""How long such trimming goes on, between parts: as long as jobs may be settled before it."""
TICK_S: Final = 0.05
"""The owner's tick while something is due."""
TICK_GAP_S: Final = 2.0
"""A gap this long between two ticks starts every live lease anew: the owner was stopped, not its clients."""

# --- limits on queues and tasks: InvalidOption ------------------------------------------------------------------------
LIMITS_OF_SCOPE_MAX: Final = 16
"""Limits of one queue or task, declared or live."""
LIVE_LIMITS_MAX: Final = 1_000
"""Queues and tasks that have live limits."""
LIMIT_COUNT_MAX: Final = 1_000_000_000
"""What a limit allows: jobs at a time, jobs per time, jobs at once. Less than 1 is refused as well."""
RATE_PER_S_MAX: Final = 366 * 86_400.0
"""The longest time that a rate counts by."""
LIMIT_NAME_CHARS_MAX: Final = 200
"""The name that a limit counts by (``per``)."""
QUEUE_RECORDS_MAX: Final = QUEUES_MAX
"""Queues that applications have declared."""
LIMIT_WAITING_MAX: Final = 1_000
"""Jobs that wait behind one limit are counted up to this number when somebody asks. More are told as so many."""

# --- retries, records ------------------------------------------------------------------------------------------------
MAX_ATTEMPTS: Final = 5
BACKOFF_BASE_S: Final = 1.0
BACKOFF_FACTOR: Final = 2.0
BACKOFF_S_MAX: Final = 3_600.0
KEEP_RESULT_S: Final = 86_400.0
KEEP_RECORD_S: Final = 86_400.0
KEEP_DEAD_S: Final = 30 * 86_400.0
RECORDS_MAX: Final = 1_000_000
"""Finished records other than dead. Beyond: the oldest are trimmed."""
DEAD_MAX: Final = 1_000_000
"""Dead records. Beyond: the oldest are trimmed and counted as discarded."""
RECORD_SPARED_S: Final = 60.0
"""On a full disk the records of jobs that ended this short a time ago go last: somebody may be about to ask."""
IDEMPOTENCY_S: Final = 86_400.0
IDEMPOTENCY_S_MAX: Final = 30 * 86_400.0
"""How long the idempotency keys of messages may be asked to count. Beyond: InvalidOption."""
RESULT_BYTES_MAX: Final = 4 * 1024 * 1024
"""One encoded result. Beyond: the job is dead with ResultTooLarge."""
ERROR_MESSAGE_BYTES_MAX: Final = 8 * 1024
"""An error's message. Beyond: its beginning is kept."""
TRACEBACK_BYTES_MAX: Final = 32 * 1024
"""A traceback's tail that is kept."""

# --- workflows -------------------------------------------------------------------------------------------------------
WORKFLOW_STEPS_MAX: Final = 10_000
"""Steps of one workflow; bare members of groups are none. Beyond: InvalidOption."""
CANVAS_NESTING_MAX: Final = 100
"""Groups and alternatives that stand in each other in one canvas. What tasks return in place of a value may go deeper.
Beyond: InvalidOption."""
GROUP_MEMBERS_MAX: Final = 10_000_000
"""Members of one group. Beyond: InvalidOption."""
GROUP_OPEN_S: Final = 300.0
"""An open group to which nothing was added for this long has been abandoned."""
RESULTS_INLINE_MAX: Final = 10_000
"""Members of a group whose results are handed over as a list. Beyond: as `Results`, which are read in pages."""
RESULTS_INLINE_BYTES_MAX: Final = 4 * 1024 * 1024
"""What they take together as a list. Beyond: as `Results`."""
HANDED_BODY_BYTES_MAX: Final = 8 * 1024 * 1024
"""The arguments of a job with the values that it is handed. Beyond: its step fails with ResultTooLarge. Also what the
parts of a value that is put together from several steps take, and the result of a workflow."""
WORKFLOW_RESULT_BYTES_MAX: Final = 1024 * 1024 * 1024
"""Results of one workflow, kept until it goes. Beyond: it fails with ResultTooLarge."""
SIGNALS_KEPT_MAX: Final = 1_000
"""Signals of one workflow that nobody has waited for yet. Beyond: StoreFull for who signals."""
RECORDS_OF_JOB_MAX: Final = 10_000
"""Durable steps of one job. Beyond: InvalidOption in the job."""
RECORD_BYTES_MAX: Final = 4 * 1024 * 1024
"""The value of one of them, a checkpoint, a published value, or a signal's payload. Beyond: ResultTooLarge."""
STEP_NAME_BYTES_MAX: Final = 200
"""UTF-8 length of the name of a durable step, of an event, or of a published value. Beyond: InvalidOption."""
HISTORY_PAGE_RECORDS: Final = 1_000
"""Records in one page of a job's history."""
HISTORY_PAGE_BYTES: Final = 8 * 1024 * 1024
"""What they take together; the record that reaches it is the last one of its page."""
PUBLISHED_VALUES_MAX: Final = 100
"""Names under which one workflow publishes values. Beyond: InvalidOption."""
SCHEDULES_MAX: Final = 2_000_000
"""Schedules in one store. Beyond: InvalidOption."""
SCHEDULES_DECLARED_MAX: Final = 1_000
"""Schedules that one application declares. Beyond: InvalidOption."""
APPLICATION_CHARS_MAX: Final = 1_000
"""The name under which an application declares them. Beyond: InvalidOption."""
SCHEDULE_NAME_CHARS_MAX: Final = 200
"""The name of a schedule. Beyond: InvalidOption."""
SCHEDULE_BYTES_MAX: Final = 1024 * 1024
"""What a schedule says, packed, with the arguments of what it starts. Beyond: BodyTooLarge."""
SCHEDULE_EVERY_S_MIN: Final = 1.0
"""The shortest interval. Below: InvalidOption."""
SCHEDULE_JITTER_S_MAX: Final = 3_600.0
"""By how much chance puts a slot off, and never by more than the interval. Beyond: InvalidOption."""
SCHEDULE_LATE_S: Final = 10.0
"""A slot that is looked at so late is on time. Beyond: it is missed, and `Missed` says what happens."""
SCHEDULE_MISSED_MAX: Final = 1_000
"""Missed slots that are made up for. Beyond: InvalidOption."""
SCHEDULE_STEP_RUNS: Final = 100
"""Runs that one step of the owner's chore starts. Beyond: they wait for the next step, which follows at once."""
SCHEDULE_RUNNING_MAX: Final = 1_000
"""Runs of one schedule that have not ended. Beyond: slots are skipped, and by hand it is a Conflict."""
SCHEDULE_RUNS_KEPT: Final = 100
"""Entries of one schedule's history, besides runs that have not ended. Beyond: the oldest go."""
SCHEDULE_KEEP_S: Final = 30 * 86_400.0
"""How long a schedule that was made at run time is shown when it has no slots any more."""
PAGE_SCHEDULES_MAX: Final = 1_000
"""Schedules, or entries of a history, in one page."""
SCHEDULE_LOOK_AGAIN_S: Final = 60.0
"""When a schedule that could not be looked at is looked at again."""
BACKFILL_SLOTS_MAX: Final = 1_000
"""Slots that one backfill fires. Beyond: InvalidOption."""

# --- operators ------------------------------------------------------------------------------------------------------
HOLDS_MAX: Final = 1_000
"""Queues, tasks and lines that operators hold at a time (paused, draining). Beyond: InvalidOption."""
ACTIONS_UNDER_WAY_MAX: Final = 16
"""Bulk actions that are counting or running. Beyond: InvalidOption, until one has ended or was stopped."""
ACTIONS_KEPT_MAX: Final = 200
"""Bulk actions that have ended and can still be asked for. Beyond: the oldest are forgotten; the audit log has them."""
ACTION_REST_S: Final = 0.02
"""Between two steps of bulk actions, each of which takes up to `SLICE_S`: so they take a fifth of the owner's time."""
ACTION_SLOW_STEP_S: Final = 0.5
"""One step of an action that may touch only so many jobs a second touches those of this time."""
ACTION_PER_S_MAX: Final = 1_000_000
"""The most that may be asked for there. Beyond: InvalidOption."""
ACTION_FAILURES_MAX: Final = 3
"""An action of which so many steps in a row failed has failed."""
AUDIT_ENTRIES_MAX: Final = 100_000
"""Entries of the audit log. Beyond: the oldest are dropped."""
PAGE_AUDIT_MAX: Final = 1_000
"""Entries in one page of it."""
NOTE_BYTES_MAX: Final = 1_000
"""What an operator says to a pause or an action. Beyond: InvalidOption."""
BY_BYTES_MAX: Final = 200
"""The name of who asks. Beyond: InvalidOption."""
