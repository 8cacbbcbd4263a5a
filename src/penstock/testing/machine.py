"""Random calls on a store and on `MemoryStore` side by side: every answer must be the same, and so must all they show.

After every call the two are compared: every job ever named, every count, and that nothing is unaccounted for. Both see
the same ids and the same clock; fences differ in value between stores and are compared by the lease they stand for.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock.model import limits
from penstock.model.deliveries import door_holders
from penstock.model.errors import QueueDraining, StaleCursor
from penstock.model.flow import QueueRecord
from penstock.model.job import (
    Extension,
    Filter,
    JobEntry,
    JobGroup,
    LeaseBatch,
    LeaseRequest,
    Outcomes,
    Progress,
    TaskRecord,
    checksum,
)
from penstock.model.source_cursors import SourceCursor
from penstock.model.topics import MessageEntry
from penstock.ports import Store
from penstock.store.paging import all_queues
from penstock.testing import calls
from penstock.testing.clock import VirtualClock
from penstock.testing.machine_acting import ActingRules
from penstock.testing.machine_answers import all_pages, bare_counts, dead_counts, or_refused, shown, ticked_out
from penstock.testing.machine_cursors import CursorRules
from penstock.testing.machine_keys import KeyRules
from penstock.testing.machine_limits import LimitRules
from penstock.testing.machine_schedules import ScheduleRules
from penstock.testing.machine_steps import StepRules
from penstock.testing.machine_topics import TopicRules
from penstock.testing.memory import MemoryStore

RECORDS_MAX = 6
DEAD_MAX = 4
_MADE_AT_MS = 1_800_000_000_000


class Fences(NamedTuple):
    """One lease: its fence in the store that is tried, and in the model, who holds it, and the id of its job."""

    tried: int
    model: int
    holder: bytes = calls.HOLDERS[0]
    job: bytes = b""


class MakeStore(Protocol):
    """Makes a new, empty store that takes its time from the clock and does nothing by itself."""

    def __call__(self, clock: VirtualClock, *, records_max: int, dead_max: int) -> Store:
        """A store that keeps that many finished and dead records."""
        ...


class StoreMachine(
    ActingRules, CursorRules, KeyRules, LimitRules, ScheduleRules, StepRules, TopicRules, RuleBasedStateMachine
):
    """The rules. `store_machine` makes a class of them that tries a store of yours."""

    @abstractmethod
    def make_store(self, clock: VirtualClock, *, records_max: int, dead_max: int) -> Store:
        """The store that is tried."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.tried = self.make_store(self.clock, records_max=RECORDS_MAX, dead_max=DEAD_MAX)
        self.model = MemoryStore(self.clock, epoch=7, records_max=RECORDS_MAX, dead_max=DEAD_MAX)
        self.made: list[tuple[str, JobEntry, float]] = []
        self.latest = self.clock.time()
        self.messages: dict[str, list[tuple[MessageEntry, float]]] = {}
        self.ids = [b"\x00" * 16]
        self.leases = [Fences(1, 1)]
        self.started: list[bytes] = []

    def teardown(self) -> None:
        """Close both."""
        self.tried.close()
        self.model.close()

    # --- jobs come in ------------------------------------------------------------------------------------------------
    @rule(groups=calls.new_groups, atomic=st.booleans(), cursor=calls.maybe_cursors)
    def enqueue(
        self,
        groups: list[calls.NewGroup],
        atomic: bool,  # noqa: FBT001 - drawn by name
        cursor: SourceCursor | None,
    ) -> None:
        """`Store.enqueue`, with the position of a source now and then."""
        asked = self._groups(groups)
        self._both(lambda store: _enqueued(store, asked, atomic=atomic, cursor=cursor))

    @rule(records=st.lists(calls.task_records, max_size=2), queues=st.lists(calls.queue_records, max_size=1))
    def register_tasks(self, records: list[TaskRecord], queues: list[QueueRecord]) -> None:
        """`Store.register_tasks`, `Store.tasks`."""
        self.tried.register_tasks(records, queues)
        self.model.register_tasks(records, queues)
        self._both(lambda store: store.tasks())

    def _groups(self, groups: list[calls.NewGroup], others: Iterable[calls.NewGroup] = ()) -> list[JobGroup]:
        """Groups of one call. ``others``: those that come with them in the same call."""
        asked = [self._group(group) for group in groups]
        if not any(group.options.unique for group in (*groups, *others)):
            return asked
        # Whether a job that is replaced, or one that is new, has a slot first is up to the store.
        return [_without_values(group) for group in asked]

    def _group(self, group: calls.NewGroup) -> JobGroup:
        run_at = None
        if group.options.delay_s is None and group.run_in_s is not None:
            run_at = self.clock.time() + group.run_in_s
        jobs = [self._entry(group.options.task, job) for job in group.jobs]
        return msgspec.structs.replace(group.options, jobs=jobs, run_at=run_at)

    def _entry(self, task: str, job: calls.NewJob) -> JobEntry:
        before = [entry for made_task, entry, made_at in self.made if made_task == task and self._is_fresh(made_at)]
        if job.again is not None and job.again < len(before):
            return before[-1 - job.again]
        crc = checksum(job.body) ^ job.is_corrupt
        names = job.searchable
        entry = JobEntry(self._new_id(), job.body, crc, job.key, job.identity, job.values, names, job.unique_key)
        self.made.append((task, entry, self.clock.time()))
        self.ids.append(entry.id)
        return entry

    def _is_fresh(self, made_at: float) -> bool:
        """Whether a job's key still counts: an id that comes again when its key does not is up to the store."""
        return self.latest < made_at + limits.IDEMPOTENCY_S

    def _new_id(self) -> bytes:
        """Rising ids, each two of which differ in the last byte alone."""
        number, twin = divmod(len(self.made) + sum(map(len, self.messages.values())), 2)
        milliseconds = (_MADE_AT_MS + number).to_bytes(6, "big")
        return milliseconds + b"\x70\x00\x80" + b"\x00" * 6 + bytes([twin])

    # --- jobs run ----------------------------------------------------------------------------------------------------
    @rule(
        holder=st.sampled_from(calls.HOLDERS),
        limit=st.integers(0, 7),
        queues=st.one_of(st.none(), st.none(), st.lists(st.sampled_from([*calls.QUEUES, "s:x"]), max_size=3)),
        lease_s=st.sampled_from([3.0, 30.0]),
        tasks=st.sampled_from([None, None, *([task] for task in calls.TASKS), [*calls.TASKS, "app.none"]]),
        channels=calls.lease_channels,
        limited=st.sampled_from([None, None, 0, 1, 3]),
    )
    def lease(
        self,
        holder: bytes,
        limit: int,
        queues: list[str] | None,
        lease_s: float,
        tasks: list[str] | None,
        channels: list[str] | None,
        limited: int | None,
    ) -> None:
        """`Store.lease`."""
        request = LeaseRequest(holder, limit, queues, lease_s, tasks, channels, limited)
        tried, model = self.tried.lease(request), self.model.lease(request)
        _same(_leased(tried), _leased(model))
        _same((tried.alone, tried.limited), (model.alone, model.limited))
        if tried.jobs:
            assert tried.first_fence > self.leases[-1].tried, "a fence is greater than any before it"
        self.leases += [
            Fences(tried.first_fence + place, model.first_fence + place, holder, job.id)
            for place, job in enumerate(tried.jobs)
        ]

    @rule(
        holder=st.sampled_from(calls.HOLDERS),
        picks=calls.picks,
        lease_s=st.sampled_from([3.0, 30.0]),
        started=calls.picks,
        progress=calls.picks,
    )
    def extend(
        self, holder: bytes, picks: calls.Picks, lease_s: float, started: calls.Picks, progress: calls.Picks
    ) -> None:
        """`Store.extend`."""
        leases = list(dict.fromkeys(self._leases(picks)))
        now = self.clock.time()

        def extension(side: Callable[[Fences], int]) -> Extension:
            return Extension(
                holder,
                [side(one) for one in leases],
                lease_s,
                [(side(one), now) for one in self._leases(started)],
                [(side(one), Progress(now)) for one in self._leases(progress)],
            )

        tried, model = self.tried.extend(extension(_tried)), self.model.extend(extension(_model))
        _same(self._from_tried(tried.lost), self._from_model(model.lost))
        _same(self._from_tried(tried.cancel), self._from_model(model.cancel))

    @rule(endings=calls.endings, strangers=st.sampled_from([False, False, False, True]))
    def settle(self, endings: list[calls.DrawnOutcome], strangers: bool) -> None:  # noqa: FBT001 - drawn by name
        """`Store.settle`, with children. ``strangers``: also of leases that others hold."""
        said = {self._leases([ending.pick])[0]: ending for ending in endings}
        holder = next(iter(said)).holder if said else calls.HOLDERS[0]
        said = {lease: ending for lease, ending in said.items() if strangers or lease.holder == holder}
        all_children = [group for ending in said.values() for group in ending.children]
        children = {lease: self._groups(ending.children, all_children) for lease, ending in said.items()}

        def outcomes(side: Callable[[Fences], int]) -> Outcomes:
            asked = Outcomes(holder, children=[(side(lease), groups) for lease, groups in children.items() if groups])
            for lease, ending in said.items():
                calls.add_ending(asked, ending, side(lease), self.clock.time())
            return asked

        tried, model = self.tried.settle(outcomes(_tried)), self.model.settle(outcomes(_model))
        tried_fates, model_fates = dict(tried.exceptions), dict(model.exceptions)
        _same(
            [(lease, tried_fates[lease.tried]) for lease in self._from_tried(tried_fates)],
            [(lease, model_fates[lease.model]) for lease in self._from_model(model_fates)],
        )

    @rule(holder=st.sampled_from([*calls.HOLDERS, calls.HOLDERS[0][:8], door_holders(b"door")]), picks=calls.picks)
    def reconcile(self, holder: bytes, picks: calls.Picks) -> None:
        """`Store.reconcile`."""
        listed = self._leases(picks)
        tried = self.tried.reconcile(holder, [one.tried for one in listed])
        assert tried == self.model.reconcile(holder, [one.model for one in listed])

    def _leases(self, picks: calls.Picks) -> list[Fences]:
        return [self.leases[-1 - pick % len(self.leases)] for pick in picks]

    def _from_tried(self, fences: Iterable[int]) -> list[Fences]:
        known = {lease.tried: lease for lease in self.leases}
        return sorted(known[fence] for fence in fences)

    def _from_model(self, fences: Iterable[int]) -> list[Fences]:
        known = {lease.model: lease for lease in self.leases}
        return sorted(known[fence] for fence in fences)

    # --- time passes -------------------------------------------------------------------------------------------------
    @rule(seconds=st.integers(0, 6))
    def wait(self, seconds: int) -> None:
        """Time passes in ticks."""
        for _ in range(seconds):
            self.clock.advance(1.0)
            self._tick()

    @rule(pause_s=st.sampled_from([2.0, 45.0, 3_700.0, 87_000.0]))
    def pause(self, pause_s: float) -> None:
        """The owner is stopped for a while."""
        self.clock.advance(pause_s)
        self._tick()

    @rule(by_s=st.sampled_from([-3_600.0, -5.0, 5.0, 3_600.0]))
    def jump(self, by_s: float) -> None:
        """Somebody sets the wall clock."""
        self.clock.jump(by_s)
        self._tick()

    def _tick(self) -> None:
        self.latest = max(self.latest, self.clock.time())
        tried, model = ticked_out(self.tried), ticked_out(self.model)
        _same(tried, model)

    # --- people ask --------------------------------------------------------------------------------------------------
    @rule(where=calls.filters, limit=st.integers(1, 5))
    def query(self, where: Filter, limit: int) -> None:
        """`Store.query`, all pages."""
        self._both(or_refused(lambda store: all_pages(store, where, limit)))

    @invariant()
    def every_job_looks_the_same(self) -> None:
        """`Store.get` of every id there ever was."""
        self._both(lambda store: [shown(view) for view in store.get(self.ids, result=True, body=True)])

    @invariant()
    def every_count_is_the_same_and_accounted_for(self) -> None:
        """`Store.stats`, of which a queue that counts nothing may be missing; and `Store.totals`."""
        self._both(lambda store: (bare_counts(all_queues(store)), store.totals().counts))
        self._both(dead_counts)

    def _ids(self, picks: calls.Picks) -> list[bytes]:
        return [self.ids[-1 - pick % len(self.ids)] for pick in picks]

    def _both(self, ask: Callable[[Store], Any]) -> None:
        tried, model = ask(self.tried), ask(self.model)
        _same(tried, model)


def store_machine(make: MakeStore) -> type[StoreMachine]:
    """A state machine that tries the stores that ``make`` makes; its ``TestCase`` is what pytest runs."""

    class Machine(StoreMachine):
        """`StoreMachine` over one store."""

        def make_store(self, clock: VirtualClock, *, records_max: int, dead_max: int) -> Store:
            """A new one."""
            return make(clock, records_max=records_max, dead_max=dead_max)

    return Machine


def _same(tried: Any, model: Any) -> None:
    assert tried == model, f"tried: {tried}\nmodel: {model}"


def _without_values(group: JobGroup) -> JobGroup:
    jobs = [msgspec.structs.replace(job, values=None) for job in group.jobs]
    return msgspec.structs.replace(group, jobs=jobs)


def _tried(lease: Fences) -> int:
    return lease.tried


def _model(lease: Fences) -> int:
    return lease.model


def _enqueued(
    store: Store, groups: Sequence[JobGroup], *, atomic: bool, cursor: SourceCursor | None
) -> tuple[int, list[Any]] | tuple[str, int, int]:
    """An answer; of a conflict it does not matter which state the other job is in. Or the position in force."""
    try:
        answer = store.enqueue(groups, atomic=atomic, cursor=cursor)
    except StaleCursor as error:
        return error.code, error.offset, error.fence
    except QueueDraining as error:
        return error.code, 0, 0
    told = [msgspec.structs.replace(one, state=None) if one.conflict else one for one in answer.exceptions]
    return answer.accepted, told


def _leased(batch: LeaseBatch) -> list[Any]:
    return [(batch.tasks[batch.task_of[place]], job) for place, job in enumerate(batch.jobs)]
