"""The supervisor's account of one lane: which jobs it holds, how fast it is, and how many more it should have. Pure.

Within a lane fences only rise: the store gives each lease a greater one, and jobs are handed over in that order. So one
number, the greatest fence known to have started, separates the jobs that have started from those that have not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Any, Protocol

from penstock.model import limits

AHEAD_ROUND_TRIP_S = 0.02
"""As many jobs as a lane does in this time are leased ahead of it, besides those that wait in the executor. They cover
the round trip to the store: a commit of many jobs takes a while, and costs less per job the more they are."""
AHEAD_JOBS_MAX = 4_000
"""The most that is leased ahead of a lane for that."""
ONE_AHEAD_S = 0.5
"""Up to this mean length one job waits behind the running one, so that its executor does not idle for a round trip."""
STALL_S = 0.1
"""A lane that has started nothing for this long, although jobs wait in it, is stalled: its jobs are better off
elsewhere.
"""
LIMITED_AHEAD_S = 0.005
"""Limited jobs are not handed ahead to a lane that is busy, except for so much of its time while each of its jobs takes
less than that."""
_NEWEST_WEIGHT = 0.3
_ABRUPT = 4.0


class Piece:
    """Jobs of one lease that are for the same kind of lane, and have not been handed over. ``rows`` are the store's
    bytes, which are passed on undecoded; ``leased_at`` is on the monotonic clock. ``limited``: their queue or their
    task has limits, so they are handed to lanes that can start them at once."""

    __slots__ = ("fences", "leased_at", "limited", "rows", "task_of", "tasks")

    def __init__(
        self,
        fences: Sequence[int],
        tasks: list[str],
        task_of: bytes,
        rows: Sequence[Any],
        leased_at: float = 0.0,
        *,
        limited: bool = False,
    ) -> None:
        self.fences = fences
        self.tasks = tasks
        self.task_of = task_of
        self.rows = rows
        self.leased_at = leased_at
        self.limited = limited

    def __len__(self) -> int:
        return len(self.fences)

    def split(self, count: int) -> tuple[Piece, Piece]:
        """The first ``count`` jobs, and the rest."""
        leased_at, limited = self.leased_at, self.limited
        return (
            Piece(self.fences[:count], self.tasks, self.task_of[:count], self.rows[:count], leased_at, limited=limited),
            Piece(self.fences[count:], self.tasks, self.task_of[count:], self.rows[count:], leased_at, limited=limited),
        )

    def select(self, places: Sequence[int]) -> Piece:
        """The jobs at these places."""
        return Piece(
            [self.fences[at] for at in places],
            self.tasks,
            bytes([self.task_of[at] for at in places]),
            [self.rows[at] for at in places],
            self.leased_at,
            limited=self.limited,
        )


class Leased(Protocol):
    """A leased batch, see `penstock.model.job.LeaseBatch`; its jobs may be of any kind."""

    @property
    def first_fence(self) -> int: ...  # noqa: D102 - as in LeaseBatch
    @property
    def tasks(self) -> list[str]: ...  # noqa: D102 - as in LeaseBatch
    @property
    def task_of(self) -> bytes: ...  # noqa: D102 - as in LeaseBatch
    @property
    def jobs(self) -> Sequence[Any]: ...  # noqa: D102 - as in LeaseBatch


def pieces_by_lane(
    batch: Leased, lane_of: dict[str, str], otherwise: str, leased_at: float = 0.0
) -> list[tuple[str, Piece]]:
    """A leased batch, divided by the kind of lane that its tasks run in. It stays whole when that is one.

    Args:
        otherwise: stands for the lane of tasks that are not known.
        leased_at: on the monotonic clock.
    """
    rows = batch.jobs
    whole = Piece(range(batch.first_fence, batch.first_fence + len(rows)), batch.tasks, batch.task_of, rows, leased_at)
    lanes = [lane_of.get(task, otherwise) for task in batch.tasks]
    kinds = dict.fromkeys(lanes)
    if len(kinds) == 1:
        return [(lanes[0], whole)]
    parted = []
    for kind in kinds:
        places = [at for at, index in enumerate(batch.task_of) if lanes[index] == kind]
        if places:
            parted.append((kind, whole.select(places)))
    return parted


def parted(piece: Piece, first_fence: int, limited: Sequence[int]) -> list[Piece]:
    """The jobs of a piece in parts, in order, each of which is limited or is not.

    Args:
        limited: the places of limited jobs in their batch, rising.
    """
    fences = {first_fence + place for place in limited}
    parts: list[Piece] = []
    for is_limited, run in groupby(enumerate(piece.fences), lambda one: one[1] in fences):
        places = [at for at, _ in run]
        part = piece if len(places) == len(piece) else piece.select(places)
        part.limited = is_limited
        parts.append(part)
    return parts


class Assigned:
    """A piece that was handed to a lane. Its bytes count against `limits.LANE_BYTES_MAX` until the last of its jobs has
    ended."""

    __slots__ = ("left", "piece_of_task", "size_bytes", "tasks")

    def __init__(self, piece: Piece, size_bytes: int) -> None:
        self.tasks = piece.tasks
        # Most lots are of one task; then nothing is kept for each job.
        self.piece_of_task = None if len(piece.tasks) == 1 else dict(zip(piece.fences, piece.task_of, strict=True))
        self.left = len(piece)
        self.size_bytes = size_bytes

    def task(self, fence: int) -> str:
        """The name of a job's task."""
        return self.tasks[0 if self.piece_of_task is None else self.piece_of_task[fence]]


class Unfinished:
    """The jobs that a lane held when its executor died: those that had ``begun``, of which some may have ended
    unreported, and the ``others``, which had not."""

    __slots__ = ("begun", "others")

    def __init__(self, begun: list[int], others: list[int]) -> None:
        self.begun = begun
        self.others = others


class LaneLedger:
    """The jobs of one lane.

    Attributes:
        slots: jobs that run at a time.
        held: jobs handed over and not ended, in order of fence, each with its lot.
        ready: its executor takes jobs.
        recalling: it was told to forget its waiting jobs, and has not answered: it gets no others until it does.
        per_job_s: how long a job takes, recent ones weighing more; None: unknown.
        assigned_to: the greatest fence ever handed over; 0: none.
        ended: jobs of which an outcome was heard, ever.
    """

    __slots__ = (
        "_moved_at",
        "_size_bytes",
        "_started_to",
        "assigned_to",
        "ended",
        "held",
        "kind",
        "per_job_s",
        "ready",
        "recalling",
        "slots",
    )

    def __init__(self, kind: str, slots: int) -> None:
        self.kind = kind
        self.slots = slots
        self.ready = False
        self.recalling = False
        self.held: dict[int, Assigned] = {}
        self.per_job_s: float | None = None
        self.assigned_to = 0
        self.ended = 0
        self._size_bytes = 0
        self._started_to = 0
        self._moved_at = 0.0

    def ahead(self) -> int:
        """Jobs that should wait in the executor behind those that run."""
        if self.per_job_s is None:
            return 0
        count = int(limits.PREFETCH_S * self.slots / max(self.per_job_s, 1e-9))
        return min(count, limits.PREFETCH_JOBS_MAX) or int(self.per_job_s < ONE_AHEAD_S)

    def wanted(self) -> int:
        """Jobs that should be leased for this lane, here or on the way."""
        if not self.ready:
            return 0
        round_trip = 0
        if self.per_job_s is not None:
            round_trip = int(AHEAD_ROUND_TRIP_S * self.slots / max(self.per_job_s, 1e-9))
        return self.slots + self.ahead() + min(round_trip, AHEAD_JOBS_MAX)

    def credit(self, now: float) -> int:
        """Jobs it may be given now."""
        if not self.ready or self.recalling or self._size_bytes >= limits.LANE_BYTES_MAX:
            return 0
        return max(0, self.slots + (0 if self.still(now) else self.ahead()) - len(self.held))

    def startable(self, now: float) -> int:
        """Limited jobs that may be leased for it: those that it can start at once, or has started within
        `limits.PREFETCH_S` at the rate it has shown."""
        if not self.credit(now):
            return 0
        soon = 0 if self.still(now) else self._done_in(limits.PREFETCH_S)
        if not self.is_fast():
            return min(self.slots, max(0, self.slots - len(self.held)) + soon)
        return min(self.slots + soon, limits.PREFETCH_JOBS_MAX)

    def free(self, now: float) -> int:
        """Limited jobs that may be handed to it: those that it can start at once, and while its jobs are very short
        those of `LIMITED_AHEAD_S` besides. To send it each by itself would take longer than the job."""
        if not self.ready or self.recalling:
            return 0
        ahead = self._done_in(LIMITED_AHEAD_S) if self.is_fast() and not self.still(now) else 0
        return max(0, self.slots + ahead - len(self.held))

    def is_fast(self) -> bool:
        """Whether its jobs take less than `LIMITED_AHEAD_S` each."""
        return self.per_job_s is not None and self.per_job_s < LIMITED_AHEAD_S

    def _done_in(self, for_s: float) -> int:
        """How many jobs it does in this time. 0: it has not shown yet."""
        return 0 if self.per_job_s is None else int(for_s * self.slots / max(self.per_job_s, 1e-9))

    def assign(self, piece: Piece, size_bytes: int, now: float) -> None:
        """These jobs are being sent to the lane."""
        if not self.has_waiting():
            self._moved_at = now
        self.held.update(dict.fromkeys(piece.fences, Assigned(piece, size_bytes)))
        self._size_bytes += size_bytes
        self.assigned_to = max(self.assigned_to, piece.fences[-1])

    def finish(self, fences: Iterable[int]) -> list[int]:
        """Jobs have ended. Answers those that were held: the others' outcomes are late and must be dropped."""
        held, known = self.held, []
        for fence in fences:
            assigned = held.pop(fence, None)
            if assigned is not None:
                known.append(fence)
                assigned.left -= 1
                if not assigned.left:
                    self._size_bytes -= assigned.size_bytes
        return known

    def measure(self, count: int, busy_s: float) -> None:
        """A report says that ``count`` jobs ran for ``busy_s`` together."""
        if count <= 0:
            return
        self.ended += count
        sample_s = busy_s / count
        if self.per_job_s is None or sample_s > self.per_job_s * _ABRUPT:
            # A much longer job changes the rate at once. Averaging would leave jobs waiting behind it for too long.
            self.per_job_s = sample_s
        else:
            self.per_job_s += _NEWEST_WEIGHT * (sample_s - self.per_job_s)

    def moved(self, latest: int, now: float) -> None:
        """Note which job the scoreboard shows as started last."""
        if latest > self._started_to:
            self._started_to = latest
            self._moved_at = now

    def has_waiting(self) -> bool:
        """Whether it holds a job that is not known to have started."""
        return bool(self.held) and next(reversed(self.held)) > self._started_to

    def still(self, now: float, for_s: float = STALL_S) -> bool:
        """Whether nothing has started for ``for_s``, although a job waits or every slot is taken."""
        return now - self._moved_at > for_s and (len(self.held) >= self.slots or self.has_waiting())

    def stalled_s(self, now: float) -> float:
        """For how long a job has waited in the lane while none has started. 0: none waits, or for less than
        `STALL_S`."""
        waited_s = now - self._moved_at
        return waited_s if waited_s > STALL_S and not self.recalling and self.has_waiting() else 0.0

    def unstarted(self, last: int) -> list[int]:
        """Jobs up to the fence ``last`` that it holds and that have not started."""
        started_to = self._started_to
        return [fence for fence in self.held if started_to < fence <= last]

    def close(self, running: Collection[int], latest: int) -> Unfinished:
        """The lane's executor is gone: forget what it held, and answer that.

        Args:
            running: the jobs that its scoreboard shows.
            latest: the job that started last, as the scoreboard says.
        """
        started_to = max(latest, self._started_to)
        begun = [fence for fence in self.held if fence <= started_to or fence in running]
        others = [fence for fence in self.held if fence > started_to and fence not in running]
        self.held.clear()
        self._size_bytes = 0
        self.ready = False
        return Unfinished(begun, others)
