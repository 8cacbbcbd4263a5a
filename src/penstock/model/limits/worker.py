"""What a worker, and the parts of a node, may have."""

from __future__ import annotations

from typing import Final

from penstock.model.limits.store import BATCH_JOBS_MAX

# --- the worker ------------------------------------------------------------------------------------------------------
CONCURRENCY: Final = 100
"""Async jobs at a time in one executor."""
CONCURRENCY_MAX: Final = 10_000
"""What may be asked for. Beyond: InvalidOption."""
EXECUTORS_MAX: Final = 256
"""Executor processes of one supervisor. Beyond: InvalidOption."""
LONE_EXECUTORS_MAX: Final = 32
"""Executors that run one suspect each, besides the others. Beyond: suspects wait."""
LONE_NEW_MAX: Final = 8
"""Those of them that may be younger than `LONE_NEW_S`. Beyond: suspects wait."""
LONE_NEW_S: Final = 2.0
SUSPECTS_WAITING_MAX: Final = 10_000
"""Suspects that wait in one supervisor for executors of their own. Beyond: no more jobs are leased."""
SUSPECTS_BYTES_MAX: Final = 64 * 1024 * 1024
"""Their bodies. Beyond: no more jobs are leased."""
THREADS_MAX: Final = 16
"""Jobs at a time in one executor of tasks that asked for a thread; fewer when the concurrency is less."""
PREFETCH_JOBS_MAX: Final = 1_000
"""Jobs waiting in one executor."""
PREFETCH_S: Final = 0.05
"""Work, at the executor's own rate, that may wait in it."""
PROGRESS_NOTE_BYTES_MAX: Final = 1_024
"""UTF-8 length of the note of a job's progress. Beyond: its beginning is kept."""
OUTPUT_TAIL_BYTES: Final = 4 * 1024
"""What is kept of an executor's latest output, for the error of a job that killed it."""
CHILDREN_MAX: Final = 1_000
"""Jobs that one job enqueues with its outcome (`Context.enqueue`). Beyond: InvalidOption at the call."""
CHILDREN_BYTES_MAX: Final = 4 * 1024 * 1024
"""What they take together; a single one may be as large as any job. Beyond: BodyTooLarge at the call."""
END_GRACE_S: Final = 1.0
"""How long a job that was told to end may take; then its executor is killed."""
SETTLE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Outcomes in one settlement. Beyond: they wait for the next."""
SETTLE_JOBS_MAX: Final = BATCH_JOBS_MAX
"""As many outcomes at most. Beyond: they wait for the next; a store refuses more with BodyTooLarge."""
LANE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Job bodies handed to one lane of an executor. Beyond: it gets no more until it has finished some."""
GRACE_S: Final = 30.0
STARTS_WITHOUT_READY_MAX: Final = 5
"""A part that starts this often in a row without becoming ready stops the whole."""
START_S_MAX: Final = 120.0
"""A part that is not ready by then is killed, which counts as a start without becoming ready."""
RESTART_BASE_S: Final = 0.1
RESTART_S_MAX: Final = 5.0
"""Between two starts of a part that keeps ending."""
SETTLED_S: Final = 1.0
"""A part that has been ready this long is started again at once when it ends."""
STOP_S: Final = 10.0
"""How long a part that runs no jobs has to stop. Then it is killed."""
