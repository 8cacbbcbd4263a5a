"""Settling: what became of messages, of all connections of a turn together.

All leases of a door are settled in the name of the door (`penstock.model.deliveries.door_holders`), so that one request
carries the outcomes of many connections. At most `REQUESTS_MAX` are under way; what comes meanwhile is gathered. A
settlement that did not get through is made again until it does: nothing that was finished is delivered again because
the store was away. One whose lease had ended by then tells the connection so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from penstock.model import limits
from penstock.model.errors import PenstockError, StoreFull, StoreUnavailable
from penstock.model.job import Buried, Extension, JobError, Outcomes, Refused, Retried, Snoozed, Succeeded
from penstock.ports import AsyncStore

REQUESTS_MAX: Final = 2
_AGAIN_S: Final = 0.5


class Settler(Protocol):
    """Who is told of what did not become what was asked."""

    def settled_late(self, verb: str, message: bytes) -> None:
        """The lease of this message had ended when what the client said of it came to the store."""

    def lost(self, fences: set[int]) -> None:
        """These leases have ended, as was found when they were to be extended."""


class Gathered:
    """Outcomes that go with one request.

    Attributes:
        said: who has said what of which message, for the fences of `Outcomes`: runs of ids, and of their fences.
    """

    __slots__ = ("count", "outcomes", "said")

    def __init__(self, holder: bytes) -> None:
        self.outcomes = Outcomes(
            holder, forgotten=[], succeeded=[], retried=[], snoozed=[], buried=[], released=[], refused=[]
        )
        self.said: list[tuple[Settler, str, Sequence[bytes], Sequence[int]]] = []
        self.count = 0


class Settling:
    """Settles for all connections of a door.

    Args:
        store: where to.
        holder: the front of the identities of the door's holders.
        clock: Unix seconds.
        keep_record_s: how long what was finished is kept.
        due: has `flush` called at the end of this turn of the loop.
        failed: told of a settlement that the store refused, or could not be asked for.
    """

    def __init__(
        self,
        store: AsyncStore,
        holder: bytes,
        *,
        clock: Callable[[], float],
        keep_record_s: float,
        due: Callable[[], None],
        failed: Callable[[PenstockError], None],
    ) -> None:
        self._store = store
        self._holder = holder
        self._clock = clock
        self._keep_record_s = keep_record_s
        self._due = due
        self._failed = failed
        self._gathered = Gathered(holder)
        self._full: list[Gathered] = []
        self._sending: set[Gathered] = set()
        self._touched: list[tuple[Settler, int]] = []
        self._touched_lease_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._extending: asyncio.Task[None] | None = None

    # --- gathering ----------------------------------------------------------------------------------------------------
    def finish(self, settler: Settler, messages: Sequence[bytes], fences: Sequence[int]) -> None:
        """These are done with."""
        most = limits.NSQ_SETTLE_MAX
        for start in range(most, len(fences), most):
            self.finish(settler, messages[start : start + most], fences[start : start + most])
        messages, fences = messages[:most], fences[:most]
        gathered = self._room(len(fences))
        if self._keep_record_s > 0:
            now = self._clock()
            keep_s = self._keep_record_s
            gathered.outcomes.succeeded += [
                Succeeded(fence, now, now, keep_result_s=0.0, keep_record_s=keep_s) for fence in fences
            ]
        else:
            gathered.outcomes.forgotten += fences
        gathered.said.append((settler, "FIN", messages, fences))

    def again(
        self, settler: Settler, verb: str, message: bytes, fence: int, delay_s: float, error: JobError | None
    ) -> None:
        """It is to be delivered again: an attempt, unless there is no error."""
        gathered = self._room(1)
        if error is None:
            gathered.outcomes.snoozed.append(Snoozed(fence, delay_s))
        else:
            gathered.outcomes.retried.append(Retried(fence, delay_s, error))
        gathered.said.append((settler, verb, (message,), (fence,)))

    def unanswered(self, fences: Iterable[int], error: JobError) -> None:
        """These were delivered, and nobody can say any more what became of them: an attempt."""
        for fence in fences:
            self._room(1).outcomes.retried.append(Retried(fence, 0.0, error))

    def give_back(self, fences: Iterable[int]) -> None:
        """These were not sent to anybody."""
        for fence in fences:
            self._room(1).outcomes.released.append(fence)

    def later(self, fence: int, delay_s: float, error: JobError) -> None:
        """It is to be looked at again after a while: an attempt."""
        self._room(1).outcomes.retried.append(Retried(fence, delay_s, error))

    def refuse(self, fences: Iterable[int], error: JobError) -> None:
        """These are for other consumers than the one that leased them."""
        for fence in fences:
            self._room(1).outcomes.refused.append(Refused(fence, error))

    def discard(self, fences: Sequence[int]) -> None:
        """These are for nobody."""
        for fence in fences:
            self._room(1).outcomes.forgotten.append(fence)

    def bury(self, fence: int, error: JobError) -> None:
        """It is dead."""
        self._room(1).outcomes.buried.append(Buried(fence, error))

    def touch(self, settler: Settler, fence: int, lease_s: float) -> None:
        """The client needs longer for this one."""
        if not self._touched:
            self._due()
        self._touched.append((settler, fence))
        self._touched_lease_s = max(self._touched_lease_s, lease_s)

    def _room(self, count: int) -> Gathered:
        gathered = self._gathered
        if not gathered.count:
            self._due()
        elif gathered.count + count > limits.NSQ_SETTLE_MAX:
            self._full.append(gathered)
            gathered = self._gathered = Gathered(self._holder)
        gathered.count += count
        return gathered

    def fences(self) -> Iterator[int]:
        """Every fence of which an outcome has not come to the store yet, as far as is known."""
        for gathered in (self._gathered, *self._full, *self._sending):
            yield from gathered.outcomes.fences()

    # --- sending ------------------------------------------------------------------------------------------------------
    def flush(self) -> None:
        """Send what has been gathered, as far as requests may be under way."""
        while len(self._tasks) < REQUESTS_MAX and (self._full or self._gathered.count):
            if self._full:
                gathered = self._full.pop(0)
            else:
                gathered, self._gathered = self._gathered, Gathered(self._holder)
            self._sending.add(gathered)
            task = asyncio.get_running_loop().create_task(self._settle(gathered))
            self._tasks.add(task)
            task.add_done_callback(self._sent)
        if self._touched and self._extending is None:
            self._extending = asyncio.get_running_loop().create_task(self._extend())

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.flush()
        if not task.cancelled():
            task.result()

    async def drained(self) -> None:
        """Return when all that was gathered has been settled."""
        self.flush()
        while self._tasks:
            await asyncio.wait(self._tasks)
            self.flush()

    async def _settle(self, gathered: Gathered) -> None:
        try:
            while True:
                try:
                    settled = await self._store.settle(gathered.outcomes)
                except (StoreUnavailable, StoreFull) as error:
                    self._failed(error)
                    await asyncio.sleep(_AGAIN_S)
                else:
                    break
        except PenstockError as error:
            self._failed(error)
            return
        finally:
            self._sending.discard(gathered)
        if settled.exceptions:
            self._tell(gathered, set(settled.stale))

    def _tell(self, gathered: Gathered, stale: set[int]) -> None:
        for settler, verb, messages, fences in gathered.said:
            for message, fence in zip(messages, fences, strict=True):
                if fence in stale:
                    settler.settled_late(verb, message)

    async def _extend(self) -> None:
        try:
            while self._touched:
                touched, self._touched = self._touched, []
                lease_s, self._touched_lease_s = self._touched_lease_s, 0.0
                try:
                    extended = await self._store.extend(
                        Extension(self._holder, [fence for _, fence in touched], lease_s)
                    )
                except PenstockError as error:
                    self._failed(error)
                    continue
                if extended.lost:
                    lost = set(extended.lost)
                    for settler in {settler for settler, fence in touched if fence in lost}:
                        settler.lost(lost)
        finally:
            self._extending = None
