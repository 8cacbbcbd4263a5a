"""What a store decides about jobs that workers refuse. Pure; every store decides so.

A worker refuses a job that it cannot run: its task is unknown there, or the arguments do not fit the signature there (a
newer version's, or an older one's). That costs nothing. The job has its old place in the line again, but not for that
worker: for it the job is *aside*, first for `limits.REFUSED_AGAIN_S`, then for as long as it has been refused, up to
`limits.REFUSED_AGAIN_S_MAX`. After that the worker is asked *again*, but only when it has nothing else to do, so a pile
of jobs that nobody can run does not hold up those that somebody can.

As long as its task is unknown to all, a job waits for a worker that can run it: for ever, or until it expires. One that
a worker has refused for its arguments is dead when that is `limits.REFUSED_S` ago and every live worker that asks for
jobs of its queue and its task has refused it: then there is no version that takes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from penstock.model import limits
from penstock.model.job import MESSAGE_TASK, UNKNOWN_TASK, JobError, LeaseRequest

_SEEN_MAX = 1_000
"""With more holders than this, and than twice those that are alive, those that are not are forgotten. Every connection
of a door is one."""


class Seen:
    """When a lease holder was heard of last (monotonic seconds), and what it asked for last: as a whole, and with each
    of its lanes since. Nothing: it never asked."""

    __slots__ = ("at", "requests")

    def __init__(self, at: float) -> None:
        self.at = at
        self.requests: dict[str | None, LeaseRequest] = {}

    def asks(self, request: LeaseRequest) -> None:
        """The holder asks for jobs. A lane's request leaves those of the holder's other lanes as they are."""
        if request.lane is None:
            self.requests.clear()
        elif request.lane not in self.requests and len(self.requests) >= limits.LANES_OF_HOLDER_MAX:
            del self.requests[next(iter(self.requests))]
        self.requests[request.lane] = request

    def asks_for(self, queue: str | None, task: str | None) -> bool:
        """Whether this holder leases jobs of a queue and a task. None: whichever."""
        return not self.requests or any(_asks_for(request, queue, task) for request in self.requests.values())

    def channels(self) -> set[str]:
        """Those whose messages this holder takes."""
        return {channel for request in self.requests.values() for channel in request.channels or ()}


def _asks_for(request: LeaseRequest, queue: str | None, task: str | None) -> bool:
    if queue is not None and request.queues is not None and queue not in request.queues:
        return False
    return task is None or request.takes(queue or "", task)


class Holders:
    """The lease holders that a store has heard of."""

    def __init__(self, now: float) -> None:
        """``now``: monotonic seconds."""
        self._born = now
        self._seen: dict[bytes, Seen] = {}
        self._seen_max = _SEEN_MAX

    def leases(self, request: LeaseRequest, now: float) -> None:
        """A holder has asked for jobs."""
        seen = self._seen.get(request.holder)
        if seen is None or now - seen.at >= limits.HOLDER_ALIVE_S:
            # Whether one that was away for so long has been forgotten already must make no difference.
            seen = self._seen[request.holder] = Seen(now)
            if len(self._seen) > self._seen_max:
                self._forget_gone(now)
                self._seen_max = max(_SEEN_MAX, 2 * len(self._seen))
        seen.at = now
        seen.asks(request)

    def extends(self, holder: bytes, now: float) -> None:
        """A holder holds on to what it has."""
        seen = self._seen.get(holder)
        if seen is None or now - seen.at >= limits.HOLDER_ALIVE_S:
            self._seen[holder] = Seen(now)
        else:
            seen.at = now

    def _forget_gone(self, now: float) -> None:
        gone = [holder for holder, seen in self._seen.items() if now - seen.at >= limits.HOLDER_ALIVE_S]
        for holder in gone:
            del self._seen[holder]

    def consumers(self, now: float) -> Counter[str]:
        """How many of those that are alive take the messages of each channel."""
        found = Counter[str]()
        for seen in self._seen.values():
            if now - seen.at < limits.HOLDER_ALIVE_S:
                found.update(seen.channels())
        return found

    def live(self, now: float, queue: str | None = None, task: str | None = None) -> set[bytes]:
        """Those that are alive, and ask for jobs of this queue and this task as far as these are named. Those that are
        not alive any more are forgotten."""
        self._forget_gone(now)
        return {holder for holder, seen in self._seen.items() if seen.asks_for(queue, task)}

    def unknown_task(self, queue: str, task: str, now: float) -> JobError | None:
        """Why a ready job is not given out when all who lease from its queue have named their tasks, and none its task.
        None: somebody may run it, or nobody leases from the queue. A message simply waits for a consumer."""
        if task == MESSAGE_TASK or not self.live(now, queue) or self.live(now, queue, task):
            return None
        return JobError(UNKNOWN_TASK, f"No worker that asks for the queue {queue!r} knows the task {task!r}.")

    def knows_all(self, now: float) -> bool:
        """Whether the store has listened for long enough to have heard of everybody."""
        return now - self._born >= limits.HOLDER_ALIVE_S


def aside_until(since: float, unfit_since: float | None, now: float) -> float:
    """Until when a job is aside for those that have refused it. Unix seconds.

    Args:
        since: when it was first refused.
        unfit_since: when it was first refused for its arguments; None: it was not.
    """
    until = now + min(max(now - since, limits.REFUSED_AGAIN_S), limits.REFUSED_AGAIN_S_MAX)
    if unfit_since is not None and unfit_since + limits.REFUSED_S > now:
        until = min(until, unfit_since + limits.REFUSED_S)
    return until


def is_hopeless(
    refused_by: Mapping[bytes, bool], live: Collection[bytes], unfit_since: float | None, now: float
) -> bool:
    """Whether a job is to be given up.

    Args:
        refused_by: the holders that have refused it; True: for its arguments.
        live: those that ask for jobs of its queue and its task.
    """
    if unfit_since is None or now - unfit_since < limits.REFUSED_S:
        return False
    return all(holder in refused_by for holder in live) and any(refused_by.get(holder) for holder in live)
