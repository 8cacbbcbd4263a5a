"""What supervisor, forkserver and executors say to each other: msgpack arrays in frames of a length and a body."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from penstock.model.errors import TimeLimitExceeded
from penstock.model.flow import QueueRecord
from penstock.model.job import LeasedJob, Outcomes, Progress, TaskRecord
from penstock.model.schedules import Schedule

_LENGTH = struct.Struct("<I")
_encoder = msgspec.msgpack.Encoder()

PROCESS_LANE = "process"
ASYNC_LANE = "async"
THREAD_LANE = "thread"


class Lot(Struct, array_like=True, tag=1, frozen=True):
    """From the supervisor to a lane: jobs, to be started in this order.

    Attributes:
        first_fence: job ``i`` has the fence ``first_fence + i``, unless ``fences`` lists them.
        jobs: the bytes that the store sent for each. The supervisor passes them on undecoded.
        leased_at: when they were leased (seconds on the machine's monotonic clock).
    """

    first_fence: int
    fences: list[int] | None
    tasks: list[str]
    task_of: bytes
    jobs: list[LeasedJob]
    leased_at: float = 0.0


def fences_in(lot: Lot) -> Sequence[int]:
    """The fences of a lot's jobs, in order."""
    return lot.fences or range(lot.first_fence, lot.first_fence + len(lot.jobs))


class Recall(Struct, array_like=True, tag=2, frozen=True):
    """From the supervisor to a lane: give back every job that has not started. The lane answers with `Report.returned`.
    It cannot answer while a plain function runs in it; the supervisor does not wait for it then, since the scoreboard
    shows which jobs have not started (`penstock.worker.scoreboard`)."""


class Interrupt(Struct, array_like=True, tag=3, frozen=True):
    """From the supervisor to a lane: end this running job. ``overdue``: because of its time limit; otherwise because
    somebody has cancelled it."""

    fence: int
    overdue: bool


class Report(Struct, array_like=True):
    """From a lane to the supervisor: what became of its jobs since the last report. The first report is empty and says
    that the lane is ready.

    Attributes:
        forgotten_first: the first of ``forgotten_count`` consecutive fences whose jobs succeeded and of which nothing
            is kept.
        outcomes: all other outcomes, with the children of those that have some; None: none.
        busy_s: how long the jobs in this report ran together. The supervisor reckons the lane's rate with it.
        progress: by fence, the latest progress of running jobs.
        answers_recall: the lane has read a `Recall` since its last report; the jobs it gave back are in ``returned``.
        returned: fences of jobs that did not start: they were recalled, or had waited longer than they may.
    """

    forgotten_first: int = 0
    forgotten_count: int = 0
    outcomes: Outcomes | None = None
    busy_s: float = 0.0
    progress: list[tuple[int, Progress]] = []
    answers_recall: bool = False
    returned: list[int] = []


class Occupied(NamedTuple):
    """A slot of a lane in which a job runs, as the lane's scoreboard shows it to the supervisor. No message is sent.

    Attributes:
        started: seconds on the machine's monotonic clock.
    """

    slot: int
    fence: int
    started: float
    attempt: int


class TaskSheet(Struct, array_like=True, frozen=True):
    """What the supervisor has to know of a task. The forkserver sends it, since the supervisor never imports the
    application.

    Attributes:
        timeout_s: the time limit; None: none.
        retries_timeout: the retry policy covers a job that was over its time limit.
        channel: of a consumer, the channel whose messages it takes, as ``topic:channel``. None: it is a task.
    """

    name: str
    lane: str
    timeout_s: float | None
    retries_timeout: bool
    max_attempts: int
    backoff: str
    base_s: float
    factor: float
    max_s: float
    jitter: bool
    keep_record_s: float
    channel: str | None = None

    @classmethod
    def of(cls, task: Any, channel: str | None = None) -> TaskSheet:
        """The sheet of a `penstock.tasks.task.Task`, or of the consumer of a channel."""
        retry = task.retry
        return cls(
            name=task.name,
            lane=task.lane,
            timeout_s=task.timeout_s,
            retries_timeout=issubclass(TimeLimitExceeded, retry.on),
            max_attempts=retry.max_attempts,
            backoff=retry.backoff,
            base_s=retry.base_s,
            factor=retry.factor,
            max_s=retry.max_s,
            jitter=retry.jitter,
            keep_record_s=task.keep_record_s,
            channel=channel,
        )


class Loaded(Struct, array_like=True, tag=1, frozen=True):
    """The application is imported. ``queues`` and ``schedules`` are those that it declares, under this name."""

    sheets: list[TaskSheet]
    records: list[TaskRecord]
    queues: list[QueueRecord] = []
    schedules: list[Schedule] = []
    application: str | None = None


class LoadFailed(Struct, array_like=True, tag=2, frozen=True):
    """The application cannot be imported. ``reason`` is one line, ``detail`` the traceback."""

    reason: str
    detail: str


class Forked(Struct, array_like=True, tag=3, frozen=True):
    """Executor ``number`` runs as ``pid``."""

    number: int
    pid: int


class Exited(Struct, array_like=True, tag=4, frozen=True):
    """Executor ``number`` is gone; ``status`` as from `os.waitstatus_to_exitcode`: below 0 it is a signal."""

    number: int
    pid: int
    status: int


class NotForked(Struct, array_like=True, tag=5, frozen=True):
    """Executor ``number`` could not be forked, for want of processes, memory or descriptors. That may pass.

    Attributes:
        code: as in `errno`.
        reason: in words.
    """

    number: int
    code: int
    reason: str


class LaneOrder(Struct, array_like=True, frozen=True):
    """A lane that an executor is to have. ``slots``: jobs at a time."""

    kind: str
    slots: int


class Fork(Struct, array_like=True, frozen=True):
    """Fork executor ``number``. Passed along: its output pipe, then a socket and a scoreboard for each lane."""

    number: int
    lanes: list[LaneOrder]


lane_decoder = msgspec.msgpack.Decoder(Lot | Recall | Interrupt)
report_decoder = msgspec.msgpack.Decoder(Report)
template_decoder = msgspec.msgpack.Decoder(Loaded | LoadFailed | Forked | Exited | NotForked)
fork_decoder = msgspec.msgpack.Decoder(Fork)


def frame(message: Any) -> bytearray:
    """A message with its length before it."""
    buffer = bytearray(_LENGTH.size)
    _encoder.encode_into(message, buffer, _LENGTH.size)
    _LENGTH.pack_into(buffer, 0, len(buffer) - _LENGTH.size)
    return buffer


class MessageReader:
    """Cuts a stream of bytes into the bodies of its frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes | memoryview]:
        """Add bytes; answer the bodies that are complete now. They stay valid."""
        if self._rest:
            self._rest += data
            if not self._complete(self._rest):
                return []
            data = bytes(self._rest)
            self._rest = bytearray()
        bodies: list[bytes | memoryview] = []
        at, end, whole = 0, len(data), memoryview(data)
        while end - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, at)
            after = at + _LENGTH.size + length
            if after > end:
                break
            bodies.append(whole[at + _LENGTH.size : after])
            at = after
        if at < end:
            self._rest += whole[at:]
        return bodies

    @staticmethod
    def _complete(data: bytearray) -> bool:
        # A large frame arrives in many pieces; copying it out at each would be quadratic.
        return len(data) >= _LENGTH.size and len(data) >= _LENGTH.size + _LENGTH.unpack_from(data)[0]
