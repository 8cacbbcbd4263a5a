"""A small world whose jobs record a step, sleep, or wait for an event: what was recorded stands, and nobody waits for
what has come.

Each job may record one step, and may be suspended once after it. The value of the step is another in each lease, so a
record that takes the place of another shows. A worker that crashed, or whose lease is over, says all of it once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from penstock.model.durable_steps import JobRecords, Record, Recorded, RecordKind
from penstock.model.errors import WorkflowNotFound
from penstock.model.job import JobExtra, LeasedJob
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.worlds.actions import (
    ENDINGS,
    EVENT,
    STEP_PLACE,
    STEP_S,
    SUSPENSIONS,
    WAIT_PLACE,
    Action,
    Ending,
    Lease,
    Size,
    id_of,
)
from penstock.testing.worlds.watched import Form, WatchedStore
from penstock.testing.worlds.world import SmallWorld, holds

_TIMED_OUT = b""
"""Instead of the payload of an event that has not come in time."""


class _Wait(NamedTuple):
    """What a suspended job waits for. ``until`` None: without a limit, else by the monotonic clock."""

    kind: RecordKind
    until: float | None


class SuspendingWorld(SmallWorld):
    """A `SmallWorld` of jobs with durable steps, whose book says what they have recorded and wait for."""

    endings = (*ENDINGS, *SUSPENSIONS)

    def __init__(self, size: Size, make_store: Callable[[VirtualClock], Store] = WatchedStore) -> None:
        super().__init__(size, make_store)
        self._recorded: dict[int, bytes] = {}
        self._waits: dict[int, _Wait] = {}
        self._waited: dict[int, bytes] = {}
        self._kept: dict[int, list[bytes]] = {}
        self._signalled: dict[int, int] = {}
        self._failures: dict[int, int] = {}

    # --- what may happen ---------------------------------------------------------------------------------------------
    def actions(self) -> Iterator[Action]:
        """What may happen now."""
        yield from super().actions()
        for lease in self._living():
            if lease.is_known:
                yield Action("record", lease.job, lease.worker)
        for job in self._accepted():
            if self._signalled.get(job, 0) < (self._size.signals or 0):
                yield Action("signal", job)

    def endings_of(self, lease: Lease) -> tuple[Ending, ...]:
        """A job is suspended once."""
        return ENDINGS if lease.job in self._waited else self.endings

    def _do(self, action: Action) -> None:
        match action.verb:
            case "record":
                self._record(action)
            case "signal":
                self._signal(action.job)
            case _:
                super()._do(action)

    def form(self) -> Form:
        """As of any small world, and what the book says besides. Which value was recorded decides nothing."""
        waited = tuple(sorted((job, bool(payload)) for job, payload in self._waited.items()))
        failures = tuple(sorted(self._failures.items()))
        signalled = tuple(sorted(self._signalled.items()))
        return super().form(), frozenset(self._recorded), frozenset(self._waits), waited, failures, signalled

    def shown(self) -> tuple[object, ...]:
        """What the store shows, histories included."""
        return (*super().shown(), [self._store.history(id_of(job)) for job in range(self._size.jobs)])

    # --- what happens ------------------------------------------------------------------------------------------------
    def _record(self, action: Action) -> None:
        """Record the step; or say so again, because the answer was lost: what stands is answered."""
        job = action.job
        lease = next(lease for lease in self._known_to(action.worker) if lease.job == job)
        (recorded,) = self._store.record([self._records_of(lease)])
        holds(recorded.held, f"a step of job {job} was not recorded, and its lease lives")
        standing = [record.value for record in recorded.standing]
        expected = [self._recorded[job]] if job in self._recorded else []
        holds(standing == expected, f"the step of job {job} came to {expected}, and {standing} was answered")
        self._recorded.setdefault(job, self._value_of(lease))

    def _records_of(self, lease: Lease) -> JobRecords:
        record = Record(STEP_PLACE, "charge", RecordKind.STEP, self._value_of(lease))
        return JobRecords(lease.fence, id_of(lease.job), [record])

    def _value_of(self, lease: Lease) -> bytes:
        """What the step comes to in this lease, and in no other."""
        return b"m" + bytes([1 + self._leases.index(lease)])

    def _say_late(self, lease: Lease, whose: str) -> None:
        if lease.lives:
            # Who records says the fence and the job, and no name: it is the process that has the lease.
            return
        answer = self._store.record([self._records_of(lease)])
        holds(answer == [Recorded(held=False)], f"a step of {whose}, was recorded after its end")

    def _settle(self, action: Action) -> None:
        super()._settle(action)
        job, now = action.job, self._clock.monotonic()
        match action.ending:
            case "retry":
                self._failures[job] = self._failures.get(job, 0) + 1
            case "sleep":
                self._waits[job] = _Wait(RecordKind.SLEEP, now + STEP_S)
            case "await" | "await a while" if self._kept.get(job):
                self._waited[job] = self._kept[job].pop(0)
            case "await" | "await a while":
                self._waits[job] = _Wait(RecordKind.EVENT, None if action.ending == "await" else now + STEP_S)

    def _signal(self, job: int) -> None:
        """Signal an event: each time with another payload."""
        self._signalled[job] = count = self._signalled.get(job, 0) + 1
        payload = b"m" + bytes([count])
        try:
            signalled = self._store.signal(id_of(job), EVENT, payload)
        except WorkflowNotFound:
            holds(job in self._ended, f"job {job} is not over, and takes no event")
            return
        holds(job not in self._ended, f"job {job} is over, and took an event")
        wait = self._waits.get(job)
        is_awaited = wait is not None and wait.kind is RecordKind.EVENT
        kept = self._kept.setdefault(job, [])
        if is_awaited:
            del self._waits[job]
            self._waited[job] = payload
        else:
            kept.append(payload)
        holds(signalled.delivered is is_awaited, f"job {job}: an event was {'not ' * is_awaited}delivered")
        holds(signalled.kept == len(kept), f"job {job}: {signalled.kept} events are kept, and {len(kept)} should be")

    def _let_time_pass(self) -> None:
        super()._let_time_pass()
        for job, wait in list(self._waits.items()):
            if wait.until is not None and wait.until <= self._clock.monotonic():
                del self._waits[job]
                self._waited[job] = _TIMED_OUT

    # --- what must hold ----------------------------------------------------------------------------------------------
    def _look_at_leased(self, job: int, leased: LeasedJob) -> None:
        """It does not wait any more, it was charged for failures alone, and its worker is told of its history."""
        holds(job not in self._waits, f"job {job} was leased while it waits")
        failures = self._failures.get(job, 0)
        holds(
            leased.attempt == failures + 1, f"job {job} failed {failures} times, and this is attempt {leased.attempt}"
        )
        extra = JobExtra() if leased.extra is None else msgspec.msgpack.decode(leased.extra, type=JobExtra)
        has_history = job in self._recorded or job in self._waited
        holds(extra.recorded or not has_history, f"the worker of job {job} is not told that it has a history")

    def check(self) -> None:
        """As in any small world; and every job that is not over has recorded what the book says."""
        super().check()
        for job in self._accepted():
            if job in self._ended:
                continue
            records = {record.place: record for record in self._store.history(id_of(job)).records}
            step = records.get(STEP_PLACE)
            value = None if step is None else step.value
            expected = self._recorded.get(job)
            holds(value == expected, f"the step of job {job} came to {expected!r}, and {value!r} is recorded")
            self._check_wait(job, records.get(WAIT_PLACE))

    def _check_wait(self, job: int, record: Record | None) -> None:
        view = self._view(job)
        is_suspended = view is not None and view.state is State.SCHEDULED and view.reason is not None
        holds(is_suspended == (job in self._waits), f"job {job} waits for what has come, or does not wait")
        if job not in self._waits and job not in self._waited:
            holds(record is None, f"job {job} has never waited, and there is a record of that")
            return
        payload = self._waited.get(job)
        if record is None:
            holds(False, f"what job {job} waits for, or has waited for, is not recorded")
        elif record.kind is RecordKind.EVENT:
            found = _TIMED_OUT if record.timed_out else record.value
            holds(found == payload, f"the event of job {job} came as {payload!r}, and {found!r} is recorded")
