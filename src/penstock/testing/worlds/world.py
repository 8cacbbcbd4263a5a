"""A small world: a few jobs of one tenant and one unique key, a limit for the tenant, and workers that hold leases.

The world keeps a book of its own, made of nothing but the answers it was given: which jobs were accepted, which lease
of which job lives, what has ended. All promises are held against that book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from penstock.model.errors import IllegalTransition
from penstock.model.flow import ConcurrencyRule, TaskFlow
from penstock.model.job import Extension, Fate, JobView, LeasedJob, LeaseRequest, TaskRecord
from penstock.model.lines import Closed
from penstock.model.states import TERMINAL, State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.machine_answers import shown
from penstock.testing.worlds.actions import (
    ENDINGS,
    LEASE_S,
    STEP_S,
    TASK,
    Action,
    Ending,
    Lease,
    Size,
    group_of,
    holder_of,
    id_of,
    number_of,
    outcomes_of,
)
from penstock.testing.worlds.search import Breach
from penstock.testing.worlds.watched import Form, WatchedStore


class SmallWorld:
    """A store and those who call it. See `penstock.testing.worlds.search.World`.

    Args:
        make_store: an empty store that takes its time from this clock. `form` needs a `WatchedStore`; any other can be
            led along a way that a search has found.
    """

    endings: tuple[Ending, ...] = ENDINGS
    """What a worker may say of a lease."""

    def __init__(self, size: Size, make_store: Callable[[VirtualClock], Store] = WatchedStore) -> None:
        self._size = size
        self._clock = VirtualClock()
        self._store = make_store(self._clock)
        rule = ConcurrencyRule(size.limit, per="tenant", order=size.order)
        self._store.register_tasks([TaskRecord(TASK, flow=TaskFlow(limits=(rule,)))])
        self._is_job_of: dict[int, int] = {}
        self._asked: set[int] = set()
        self._ended: set[int] = set()
        self._holds_key: int | None = None
        self._leases: list[Lease] = []
        self._is_paused = False

    # --- what may happen ---------------------------------------------------------------------------------------------
    def actions(self) -> Iterator[Action]:
        """What may happen now: first what should change nothing."""
        workers, living = range(self._size.workers), self._living()
        yield from (Action("late", worker=worker) for worker in workers)
        yield from (Action("enqueue", job=job) for job in range(self._size.jobs))
        yield from (Action("lease", worker=worker) for worker in workers)
        yield from (Action("extend", worker=worker) for worker in workers if self._known_to(worker))
        if self._size.starts:
            yield from (Action("start", worker=worker) for worker in workers if self._known_to(worker))
        for lease in living:
            if lease.is_known:
                yield from (Action("settle", lease.job, lease.worker, ending) for ending in self.endings_of(lease))
        yield from (Action("crash", worker=worker) for worker in workers if self._known_to(worker))
        yield from (Action("reconcile", worker=worker) for worker in sorted({lease.worker for lease in living}))
        yield Action("time")
        if self._size.operators:
            for job in self._accepted():
                yield Action("cancel", job=job)
                yield Action("revive", job=job)
        if self._size.pauses:
            yield Action("resume" if self._is_paused else "pause")

    def _holder(self, worker: int) -> bytes:
        """What a worker holds leases as."""
        return holder_of(worker)

    def endings_of(self, lease: Lease) -> tuple[Ending, ...]:  # noqa: ARG002 - for worlds in which that matters
        """What may become of the job of a lease."""
        return self.endings

    def do(self, action: Action) -> None:
        """Let it happen.

        Raises:
            Breach: an answer is against what is promised, or the store has made a move that jobs do not make.
        """
        try:
            self._do(action)
        except IllegalTransition as error:
            raise Breach(str(error)) from error

    def _do(self, action: Action) -> None:
        worker, job = action.worker, action.job
        match action.verb:
            case "enqueue":
                self._enqueue(job)
            case "lease":
                self._lease(worker)
            case "extend" | "start":
                self._extend(worker, has_started=action.verb == "start")
            case "settle":
                self._settle(action)
            case "late":
                self._settle_late(worker)
            case "crash":
                self._crash(worker)
            case "reconcile":
                self._reconcile(worker)
            case "time":
                self._let_time_pass()
            case "cancel":
                self._cancel(job)
            case "revive":
                self._revive(job)
            case "pause" | "resume":
                self._pause(is_paused=action.verb == "pause")

    def form(self) -> Form:
        """The state of the store, and of the book what the store does not know."""
        assert isinstance(self._store, WatchedStore), "only such a store shows its state"
        known = tuple((lease.job, lease.is_known) for lease in self._living())
        asked = tuple(sorted(self._is_job_of.items()))
        return self._store.form(), known, asked, frozenset(self._ended), self._holds_key, self._is_paused

    def shown(self) -> tuple[object, ...]:
        """What the store shows of its state, in the same way as other stores."""
        views = self._store.get([id_of(job) for job in range(self._size.jobs)], body=True)
        return list(map(shown, views)), self._store.totals(), self._store.limits()

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    # --- the book ----------------------------------------------------------------------------------------------------
    def _living(self) -> list[Lease]:
        return [lease for lease in self._leases if lease.lives]

    def _known_to(self, worker: int) -> list[Lease]:
        return [lease for lease in self._living() if lease.worker == worker and lease.is_known]

    def _accepted(self) -> list[int]:
        return sorted({job for asked, job in self._is_job_of.items() if asked == job})

    def _view(self, job: int) -> JobView | None:
        return self._store.get([id_of(job)], body=True)[0]

    # --- what happens ------------------------------------------------------------------------------------------------
    def _enqueue(self, job: int) -> None:
        """Enqueue a job, or do it again: the first answer may have been lost."""
        held = None if self._holds_key is None else self._view(self._holds_key)
        answer = self._store.enqueue([group_of(job, self._size.on_conflict)])
        if answer.accepted:
            holds(job not in self._is_job_of, f"job {job} was accepted twice")
            self._is_job_of[job] = job
            if self._size.on_conflict is not None:
                self._check_new(held)
                self._holds_key = job
            return
        met = answer.exceptions[0]
        if met.conflict:
            self._check_met(number_of(met.id))
            return
        if job not in self._is_job_of:
            self._check_met(number_of(met.id))
            self._is_job_of[job] = number_of(met.id)
        holds(id_of(self._is_job_of[job]) == met.id, f"job {job} was another job when it was asked for again")

    def _check_new(self, held: JobView | None) -> None:
        """A job was accepted with the unique key that another may have held."""
        if held is None or held.state in TERMINAL:
            return
        displaces = self._size.on_conflict in ("replace", "keep_time") and held.state is State.RUNNING
        holds(displaces, "two jobs have one unique key")

    def _check_met(self, job: int) -> None:
        """A job was kept away from the unique key by this one."""
        holds(self._size.on_conflict is not None, "a job was kept away, although none is unique")
        holds(
            job == self._holds_key and job not in self._ended, "a unique key keeps jobs away, and its job is not there"
        )

    def _lease(self, worker: int) -> None:
        batch = self._store.lease(LeaseRequest(self._holder(worker), 1, lease_s=LEASE_S))
        holds(not batch.jobs or not self._is_paused, "a job of a paused line was leased")
        for place, leased in enumerate(batch.jobs):
            job, fence = number_of(leased.id), batch.first_fence + place
            holds(job in self._accepted() and job not in self._ended, f"job {job} runs again after its end")
            holds(all(lease.job != job for lease in self._living()), f"job {job} has two live leases")
            holds(all(lease.fence < fence for lease in self._leases), "a fence is not greater than those before it")
            ends_at = self._clock.monotonic() + LEASE_S
            self._leases.append(Lease(fence, job, worker, leased.attempt, ends_at))
            self._look_at_leased(job, leased)

    def _look_at_leased(self, job: int, leased: LeasedJob) -> None:
        """A job was leased: what worlds of other kinds promise of it."""

    def _extend(self, worker: int, *, has_started: bool) -> None:
        known = self._known_to(worker)
        fences = [lease.fence for lease in known]
        started = [(fence, self._clock.time()) for fence in fences if has_started]
        extended = self._store.extend(Extension(self._holder(worker), fences, LEASE_S, started))
        holds(not extended.lost, "a live lease was not extended")
        for lease in known:
            lease.ends_at = self._clock.monotonic() + LEASE_S

    def _settle(self, action: Action) -> None:
        lease = next(lease for lease in self._known_to(action.worker) if lease.job == action.job)
        assert action.ending is not None, "a settlement says how"
        is_last = action.ending == "retry" and lease.attempt >= self._size.attempts_max
        settled = self._store.settle(
            outcomes_of(self._holder(action.worker), lease.fence, action.ending, is_last=is_last)
        )
        fates = [fate for _, fate in settled.exceptions]
        holds(Fate.STALE not in fates, f"the outcome of a live lease of job {lease.job} was refused")
        lease.lives = False
        if action.ending == "succeed" or is_last or fates:
            self._end(lease.job)

    def _end(self, job: int) -> None:
        holds(job not in self._ended, f"job {job} has two outcomes")
        self._ended.add(job)
        self._asked.discard(job)

    def _settle_late(self, worker: int) -> None:
        """Say everything of leases that are over, and of those of others. Nothing may change."""
        before = self._all_seen()
        own = {lease.fence for lease in self._living() if lease.worker == worker}
        for lease in self._leases:
            if lease.fence in own:
                continue
            whose = f"job {lease.job} by the fence of worker {lease.worker}"
            for ending in self.endings:
                settled = self._store.settle(outcomes_of(self._holder(worker), lease.fence, ending))
                is_refused = settled.exceptions == [(lease.fence, Fate.STALE)]
                holds(is_refused, f"worker {worker} could settle ({ending}) {whose}, which is over or not its own")
            extended = self._store.extend(Extension(self._holder(worker), [lease.fence], LEASE_S))
            holds(extended.lost == [lease.fence], f"worker {worker} could extend {whose}")
            self._say_late(lease, whose)
        holds(before == self._all_seen(), "a call with a stale fence has changed something")

    def _say_late(self, lease: Lease, whose: str) -> None:
        """Say more by the fence of a lease that is over or another's. Nothing may change."""

    def _crash(self, worker: int) -> None:
        for lease in self._known_to(worker):
            lease.is_known = False

    def _all_seen(self) -> tuple[object, ...]:
        return self.shown(), self._store.form() if isinstance(self._store, WatchedStore) else None

    def _reconcile(self, worker: int) -> None:
        dropped = [lease for lease in self._living() if lease.worker == worker and not lease.is_known]
        number = self._store.reconcile(self._holder(worker), [lease.fence for lease in self._known_to(worker)])
        holds(number == len(dropped), f"{number} leases were taken back, and {len(dropped)} were not named")
        for lease in dropped:
            lease.lives = False
            self._see_if_cancelled(lease.job)

    def _let_time_pass(self) -> None:
        self._clock.advance(STEP_S)
        self._store.tick()
        for lease in self._living():
            if lease.ends_at <= self._clock.monotonic():
                lease.lives = False
                self._see_if_cancelled(lease.job)

    def _see_if_cancelled(self, job: int) -> None:
        """A lease was taken back: whoever wanted its job cancelled has that now."""
        if job in self._asked:
            self._end(job)

    def _cancel(self, job: int) -> None:
        (state,) = self._store.cancel([id_of(job)])
        if state is State.RUNNING:
            self._asked.add(job)
        elif job not in self._ended:
            self._end(job)

    def _revive(self, job: int) -> None:
        (state,) = self._store.revive([id_of(job)])
        if state is not None and state not in TERMINAL and job in self._ended:
            self._ended.discard(job)
            if self._size.on_conflict is not None:
                self._holds_key = job

    def _pause(self, *, is_paused: bool) -> None:
        self._is_paused = is_paused
        if is_paused:
            self._store.close_lines(Closed.PAUSED, task=TASK)
        else:
            self._store.open_lines(task=TASK)

    # --- what must hold ----------------------------------------------------------------------------------------------
    def check(self) -> None:
        """Look at everything, from outside.

        Raises:
            Breach: something that is promised in every state does not hold.
        """
        accepted = self._accepted()
        views = dict(zip(accepted, self._store.get([id_of(job) for job in accepted]), strict=True))
        states = {job: view.state for job, view in views.items() if view is not None}
        leased = {lease.job for lease in self._living()}
        for job in accepted:
            is_over = states.get(job) is None or states[job] in TERMINAL
            holds(not is_over or job in self._ended, f"job {job} was accepted and is lost")
            holds(is_over or job not in self._ended, f"job {job} has ended and is there again")
            holds(
                (states.get(job) is State.RUNNING) == (job in leased), f"job {job} runs without a lease, or the reverse"
            )
        holds(len(leased) <= self._size.limit, f"{len(leased)} run of a tenant that may run {self._size.limit}")
        held = [view.reason != Closed.PAUSED for view in views.values() if view and view.state is State.BLOCKED]
        self._check_slots(states, sum(held))
        self._check_counts(states)

    def _check_slots(self, states: dict[int, State], blocked: int) -> None:
        """``blocked``: how many jobs wait for the limit."""
        (limit,) = self._store.limits()
        with_slot = {State.READY, State.RUNNING}
        if self._size.order == "fifo":
            with_slot.add(State.SCHEDULED)
        wanted = sum(state in with_slot for state in states.values())
        holds(limit.in_use == wanted, f"{limit.in_use} slots are taken, and {wanted} jobs should have one")
        holds(limit.in_use <= self._size.limit, f"{limit.in_use} of {self._size.limit} slots are taken")
        holds(blocked == limit.waiting, f"{blocked} jobs are blocked, and the limit says {limit.waiting}")
        holds(not blocked or limit.in_use == self._size.limit, "a job is blocked, and there is a slot for it")

    def _check_counts(self, states: dict[int, State]) -> None:
        counts = self._store.totals().counts
        holds(counts.unaccounted() == 0, f"{counts.unaccounted()} jobs are unaccounted for")
        for state in State:
            there = sum(one is state for one in states.values())
            counted = getattr(counts, state.value)
            if state not in TERMINAL:
                holds(there == counted, f"{there} jobs are {state.value}, and {counted} are counted")


def holds(condition: bool, breach: str) -> None:  # noqa: FBT001 - as an assertion has it
    """Pass when this is so. Raises Breach."""
    if not condition:
        raise Breach(breach)
