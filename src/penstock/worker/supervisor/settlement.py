"""Outcomes on their way to the store: collected into settlements, sent again, divided when the store refuses. Pure.

`flow.Flow` adds outcomes as they come, takes the next settlement when it may send one, and says what became of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence

from penstock.model import limits
from penstock.model.job import Buried, Cancelled, JobError, Lost, Outcomes, Refused, Retried, Snoozed
from penstock.model.losses import Loss

REFUSALS_MAX = 10
"""How often one outcome alone is refused. Then its job is dead, if others land with it (the store refuses those: there
are too many queues, for instance), and counts as lost if it does not, with the refusal for a reason. When that is
refused as often, it is let go of, and the store takes the job back when its lease ends."""
_FENCE_BYTES = 16
_REFUSAL_BYTES = 512
"""What one refusal that the supervisor makes takes in a request, at most: it names a task."""
_MADE_BYTES = 3 * limits.ERROR_MESSAGE_BYTES_MAX + limits.TRACEBACK_BYTES_MAX
"""What one outcome that the supervisor makes takes in a request, at most."""


class OutcomeBatch:
    """Outcomes that are sent to the store in one request, with the children of those that have some.

    Attributes:
        jobs: how many.
        children: how many jobs land with them, in whichever way.
        refusals: how often the store refused them, together with others or alone.
    """

    __slots__ = ("children", "jobs", "outcomes", "refusals", "size_bytes")

    def __init__(self, holder: bytes) -> None:
        self.outcomes = Outcomes(holder)
        self.jobs = 0
        self.children = 0
        self.size_bytes = 0
        self.refusals = 0

    def halves(self) -> tuple[OutcomeBatch, OutcomeBatch]:
        """The same outcomes in two."""
        holder = self.outcomes.holder
        first, second = OutcomeBatch(holder), OutcomeBatch(holder)
        first.jobs = self.jobs // 2
        second.jobs = self.jobs - first.jobs
        first.size_bytes = second.size_bytes = self.size_bytes // 2
        first.refusals = second.refusals = self.refusals
        first.outcomes, second.outcomes = self.outcomes.halves()
        if self.children:
            first.children, second.children = first.outcomes.landing_jobs(), second.outcomes.landing_jobs()
        return first, second


class Settlement:
    """Outcomes that wait to be sent, and those that are under way.

    Args:
        holder: who holds the leases, as the store knows it.

    Attributes:
        waiting: how many outcomes wait.
        unsettled: how many wait or are under way.
    """

    def __init__(self, holder: bytes) -> None:
        self._holder = holder
        self._queue: deque[OutcomeBatch] = deque()
        self._under_way: set[OutcomeBatch] = set()
        self.waiting = 0
        self.unsettled = 0

    def forget(self, fences: Sequence[int]) -> None:
        """Add the success of jobs of which nothing is kept."""
        if fences:
            self._room(len(fences), len(fences) * _FENCE_BYTES).forgotten.extend(fences)

    def add(self, outcomes: Outcomes, said: int, known: Collection[int], size_bytes: int) -> None:
        """Add what an executor has reported.

        Args:
            said: how many outcomes were reported. No lane reports two for one job. Should one do so, the first counts,
                and the store never sees the other.
            known: the fences of those jobs that this supervisor still holds. Outcomes of others come too late, and are
                dropped with their children.
            size_bytes: how much they take in a request.
        """
        if not known:
            return
        children = outcomes.landing_jobs() if outcomes.lands else 0
        mine = self._room(len(known), size_bytes, children)
        mine.extend(outcomes if len(known) == said else outcomes.only(set(known)).once())

    def release(self, fences: Sequence[int]) -> None:
        """Add jobs that go back to the store, uncharged."""
        if fences:
            self._room(len(fences), len(fences) * _FENCE_BYTES).released.extend(fences)

    def refuse(self, refused: Sequence[Refused]) -> None:
        """Add jobs that this worker cannot run. They go back, uncharged, for others to run."""
        if refused:
            self._room(len(refused), len(refused) * _REFUSAL_BYTES).refused.extend(refused)

    def lose(self, started_at: Mapping[int, float | None], loss: Loss, error: JobError) -> None:
        """Add jobs that were lost with their executor. ``started_at``: by fence, when they had started (Unix seconds;
        None: unknown)."""
        for fence, at in started_at.items():
            self._room(1, _MADE_BYTES).lost.append(Lost(fence, loss, error, at))

    def end(self, outcome: Retried | Buried | Snoozed | Cancelled) -> None:
        """Add the outcome of one job that the supervisor itself has ended."""
        self._room(1, _MADE_BYTES).add(outcome)

    def take(self) -> OutcomeBatch | None:
        """The next settlement, which is under way from now on. None: nothing waits."""
        if not self._queue:
            return None
        settling = self._queue.popleft()
        self._under_way.add(settling)
        self.waiting -= settling.jobs
        return settling

    def settled(self, settling: OutcomeBatch) -> None:
        """It is committed."""
        self._under_way.discard(settling)
        self.unsettled -= settling.jobs

    def put_back(self, settling: OutcomeBatch) -> None:
        """The store has not answered, or had no room. Send the settlement again, before the others. If it was committed
        after all, every fence in it is stale and nothing happens."""
        self._under_way.discard(settling)
        self._queue.appendleft(settling)
        self.waiting += settling.jobs

    def does_not_fit(self, settling: OutcomeBatch) -> None:
        """There is no room for it in the store now. It will be sent again in halves, and behind all others: what needs
        less room is not held up by what needs more, and every outcome that is committed may make room."""
        self._under_way.discard(settling)
        self._queue.extend(settling.halves() if settling.jobs > 1 else [settling])
        self.waiting += settling.jobs

    def refused(self, settling: OutcomeBatch, error: JobError) -> None:
        """The store has refused the settlement, because of one of its outcomes or because they are too many. It is sent
        again in halves, so that in the end only the outcome that is to blame is not settled. That one is given up after
        `REFUSALS_MAX` attempts: nobody may hold a lease for ever."""
        settling.refusals += 1
        if settling.jobs > 1:
            self._under_way.discard(settling)
            first, second = settling.halves()
            self.put_back(second)
            self.put_back(first)
            return
        if settling.refusals >= 2 * REFUSALS_MAX:
            self.settled(settling)
            return
        if settling.refusals >= REFUSALS_MAX:
            fences = settling.outcomes.fences()
            if settling.outcomes.lands:
                # Nothing is wrong with the executor: it is what lands with it that the store refuses, and says why.
                settling.outcomes = Outcomes(self._holder, buried=[Buried(fence, error) for fence in fences])
            else:
                settling.outcomes = Outcomes(self._holder, lost=[Lost(fence, Loss.BLAMED, error) for fence in fences])
        self.put_back(settling)

    def fences(self) -> list[int]:
        """The fence of every outcome here. As far as the store knows, these leases are still held."""
        return [fence for settling in (*self._under_way, *self._queue) for fence in settling.outcomes.fences()]

    def _room(self, jobs: int, size_bytes: int, children: int = 0) -> Outcomes:
        """The outcomes of the last settlement that waits, if these fit into it, or of a new one."""
        last = self._queue[-1] if self._queue else None
        if (
            last is None
            or last.refusals
            or last.jobs + jobs > limits.SETTLE_JOBS_MAX
            or last.children + children > limits.BATCH_JOBS_MAX
            or last.size_bytes + size_bytes > limits.SETTLE_BYTES_MAX
        ):
            last = OutcomeBatch(self._holder)
            self._queue.append(last)
        last.jobs += jobs
        last.children += children
        last.size_bytes += size_bytes
        self.waiting += jobs
        self.unsettled += jobs
        return last.outcomes
