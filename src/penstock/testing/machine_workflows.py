"""`penstock.testing.machine` for workflows: they are started, grow, fail, and are cancelled, paused and retried while
their jobs are leased, lost and settled in any order.

It is a machine of its own. Among all that may be asked of a store, the few calls in a row that bring a workflow further
are rare; here there are beside them only those that jobs of workflows have to do with. Forks are left out: each store
gives their jobs ids of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RULE_MARKER, invariant, rule
from msgspec.structs import replace

from penstock.model.empty_queues import is_empty
from penstock.model.entry import JobGroup
from penstock.model.errors import PenstockError
from penstock.model.job import JobEntry, Outcomes, QueueStats, Succeeded, checksum
from penstock.model.losses import Loss
from penstock.model.workflow_plan import (
    Block,
    Callback,
    GroupPlan,
    Members,
    OnFailure,
    Output,
    StepPlan,
    Take,
    WorkflowPlan,
)
from penstock.model.workflow_views import StepState
from penstock.ports import Store
from penstock.store.paging import all_queues
from penstock.testing import calls
from penstock.testing.clock import VirtualClock
from penstock.testing.machine import Fences, MakeStore, StoreMachine
from penstock.testing.machine_answers import bare_counts, dead_counts

_BODY: Final = b"m\x92\x90\x80"
_RULES: Final = frozenset({
    "start_workflow", "start_again", "add_members", "act_on_workflow", "work", "signal_workflow",
    "end", "lease", "extend", "reconcile", "wait", "pause", "record", "signal", "cancel", "revive", "delete",
})  # fmt: skip
"""What is asked. All else `StoreMachine` asks."""
_OPEN_S: Final = 1e7
"""No group is abandoned, and no workflow has a deadline: in which order two alarms ring is up to the store."""
_STEPS_SHOWN: Final = 1_000


class DrawnStep(NamedTuple):
    """A step to be made.

    Attributes:
        members: with which a group starts; None: it is a job.
        more: members that are still to come, or None: how many is not known.
        takes: the value of the step before it.
        otherwise: another job stands in for it.
        undone: it has a compensation.
        told: somebody is called when it has ended.
    """

    members: int | None
    more: int | None
    takes: bool
    otherwise: bool
    undone: bool
    told: bool
    failures_max: int
    on_failure: OnFailure


class DrawnFlow(NamedTuple):
    """A workflow to be made."""

    steps: list[DrawnStep]
    on_failure: OnFailure
    keep_s: float
    key: str | None
    told: bool


_flows = st.builds(
    DrawnFlow,
    steps=st.lists(
        st.builds(
            DrawnStep,
            members=st.sampled_from([None, None, 0, 1, 2, 3]),
            more=st.sampled_from([0, 0, 0, 1, None]),
            takes=st.booleans(),
            otherwise=st.sampled_from([False, False, True]),
            undone=st.sampled_from([False, False, True]),
            told=st.sampled_from([False, False, True]),
            failures_max=st.sampled_from([0, 0, 1]),
            on_failure=st.sampled_from(OnFailure),
        ),
        min_size=1,
        max_size=3,
    ),
    on_failure=st.sampled_from(OnFailure),
    keep_s=st.sampled_from([5.0, 86_400.0, 86_400.0]),
    key=st.sampled_from([None, None, None, "k"]),
    told=st.booleans(),
)
_VERBS: Final[dict[str, Callable[[Store, bytes], Any]]] = {
    "cancel": lambda store, workflow: store.cancel_workflow(workflow, by="ann"),
    "pause": lambda store, workflow: store.pause_workflow(workflow),
    "resume": lambda store, workflow: store.resume_workflow(workflow),
    "retry": lambda store, workflow: store.retry_workflow(workflow, by="ann"),
    "delete": lambda store, workflow: store.delete_workflow(workflow),
}
_ENDS: Final = (
    *["returns"] * 8, *["buried"] * 3, "becomes", "adds", "starts", "lasts",
    "forgotten", "retried", "sleeping", "awaiting", "awaiting a while", "cancelled", "lost", "released",
)  # fmt: skip
"""What becomes of a job that is worked off."""


class WorkflowMachine(StoreMachine):
    """The rules. `workflow_machine` makes a class of them that tries a store of yours."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: list[tuple[WorkflowPlan, list[Members]]] = []
        self.flows = [b"\x01" * 16]
        self._parts = 0

    def _new_id(self) -> bytes:
        """Rising ids of jobs that are enqueued, and of parts of workflows."""
        self._parts += 1
        return (1_900_000_000_000 + self._parts).to_bytes(6, "big") + b"\x70\x00\x80" + bytes(7)

    # --- workflows come in -------------------------------------------------------------------------------------------
    @rule(flow=_flows)
    def start_workflow(self, flow: DrawnFlow) -> None:
        """`Store.start_workflow`."""
        plan, members = self._made(flow)
        self.plans.append((plan, members))
        self.flows.append(plan.id)
        self._both(_or_code(lambda store: store.start_workflow(plan, members)))

    @rule(pick=st.integers(0, 3))
    def start_again(self, pick: int) -> None:
        """The same once more: the first answer may have been lost."""
        if self.plans:
            plan, members = self.plans[-1 - pick % len(self.plans)]
            self._both(_or_code(lambda store: store.start_workflow(plan, members)))

    @rule(pick=st.integers(0, 3), step=st.integers(0, 3), count=st.integers(0, 2), closes=st.booleans())
    def add_members(self, pick: int, step: int, count: int, closes: bool) -> None:  # noqa: FBT001 - drawn by name
        """`Store.add_members`."""
        workflow = self._flow(pick)
        members = [Members(step, self._calls(count))] if count else []
        self._both(_or_code(lambda store: store.add_members(workflow, members, close=[step] if closes else [])))

    def _made(self, flow: DrawnFlow) -> tuple[WorkflowPlan, list[Members]]:
        steps, members, last = list[StepPlan](), list[Members](), list[int]()
        for drawn in flow.steps:
            number = len(steps)
            steps += self._steps_of(drawn, number, last)
            last = [number]
            if drawn.members:
                members.append(Members(number, self._calls(drawn.members)))
        plan = WorkflowPlan(
            self._new_id(),
            "flow",
            steps,
            [Output(last[0])],
            flow.on_failure,
            [self._callback()] if flow.told else [],
            [self._callback()] if flow.told else [],
            None,
            flow.keep_s,
            flow.key,
            (len(steps), len(members)),
        )
        return plan, members

    def _steps_of(self, drawn: DrawnStep, number: int, before: list[int]) -> Iterator[StepPlan]:
        """A step, and the one that stands in for it."""
        block = Block(number, number + 1, number + 1)
        group = None
        if drawn.members is not None:
            total = None if drawn.more is None else drawn.members + drawn.more
            group = GroupPlan(total, drawn.failures_max, drawn.on_failure, _OPEN_S)
        takes = [Take(step) for step in before] if drawn.takes else []
        yield StepPlan(
            f"step {number}",
            self._call() if group is None else None,
            group,
            takes,
            [] if drawn.takes else before,
            alternative=block if drawn.otherwise else None,
            compensation=self._callback() if drawn.undone else None,
            on_success=[self._callback()] if drawn.told else [],
            on_error=[self._callback()] if drawn.told else [],
        )
        if drawn.otherwise:
            yield StepPlan(f"step {number + 1}", self._call(), takes=takes, block=block, into=True)

    def _call(self) -> JobGroup:
        return self._calls(1)[0]

    def _calls(self, count: int) -> list[JobGroup]:
        entries = [JobEntry(self._new_id(), _BODY, checksum(_BODY)) for _ in range(count)]
        self.ids += [entry.id for entry in entries]
        return [JobGroup(calls.TASKS[0], entries, queue=calls.QUEUES[0])] if entries else []

    def _callback(self) -> Callback:
        return Callback(replace(self._call(), task=calls.TASKS[1]))

    def _flow(self, pick: int) -> bytes:
        return self.flows[-1 - pick % len(self.flows)]

    # --- they go on --------------------------------------------------------------------------------------------------
    @rule(ends=st.lists(st.sampled_from(_ENDS), min_size=1, max_size=4), flow=_flows)
    def work(self, ends: list[str], flow: DrawnFlow) -> None:
        """`Store.lease`, and `Store.settle` of what was leased, one job after the other: in which order steps of
        several workflows start whose jobs end in one call is up to the store."""
        known = len(self.leases)
        self.lease(calls.HOLDERS[0], len(ends), None, 30.0, None, None, None)
        for lease, end in zip(self.leases[known:], ends, strict=False):
            self._end(lease, end, flow)

    @rule(pick=st.integers(0, 6), end=st.sampled_from(_ENDS), flow=_flows)
    def end(self, pick: int, end: str, flow: DrawnFlow) -> None:
        """`Store.settle` of a lease, which may be over."""
        self._end(self._leases([pick])[0], end, flow)

    def _end(self, lease: Fences, end: str, flow: DrawnFlow) -> None:
        landing = self._landing(lease, end, flow)
        tried = self.tried.settle(_outcomes(landing, self.clock.time(), lease.tried))
        model = self.model.settle(_outcomes(landing, self.clock.time(), lease.model))
        told, expected = [fate for _, fate in tried.exceptions], [fate for _, fate in model.exceptions]
        assert told == expected, f"tried: {told}\nmodel: {expected}"

    def _landing(self, lease: Fences, end: str, flow: DrawnFlow) -> _Landing:
        """What one job comes to, with what lands with that."""
        if end == "adds":
            return _Landing(lease, end, self._calls(2))
        if end in ("becomes", "starts"):
            plan, members = self._made(flow)
            plan = replace(plan, idempotency_key=None, identity=None)
            self.flows.append(plan.id)
            return _Landing(lease, end, [], (plan, members))
        return _Landing(lease, end)

    @rule(verb=st.sampled_from(sorted(_VERBS)), pick=st.integers(0, 3))
    def act_on_workflow(self, verb: str, pick: int) -> None:
        """The calls that act on all of one."""
        workflow = self._flow(pick)
        self._both(_or_code(lambda store: _VERBS[verb](store, workflow)))
        # What belongs to one that is thrown away, and long lists of its jobs, may follow in parts.
        self._tick()

    @rule(pick=st.integers(0, 3), event=st.sampled_from(calls.EVENTS))
    def signal_workflow(self, pick: int, event: str) -> None:
        """`Store.signal`."""
        workflow = self._flow(pick)
        self._both(_or_code(lambda store: store.signal(workflow, event, b"m\x07")))

    # --- what they show ----------------------------------------------------------------------------------------------
    @invariant()
    def every_count_is_the_same_and_accounted_for(self) -> None:
        """`Store.stats` of queues that have jobs, and `Store.totals`."""
        self._both(lambda store: (_with_jobs(all_queues(store)), store.totals().counts))
        self._both(dead_counts)

    @invariant()
    def every_workflow_is_the_same(self) -> None:
        """`Store.workflow`, `Store.workflows`, `Store.steps`, `Store.results`."""
        self._both(lambda store: store.workflows().workflows)
        for workflow in self.flows:
            self._both(partial(_all_of, workflow))


class _Landing(NamedTuple):
    """What a job comes to. ``joins``: new members of its group. ``plan``: it becomes, or starts."""

    lease: Fences
    end: str
    joins: Sequence[JobGroup] = ()
    plan: tuple[WorkflowPlan, list[Members]] | None = None


def _outcomes(landing: _Landing, now: float, fence: int) -> Outcomes:
    """What is said of a lease with this fence."""
    outcomes, end = Outcomes(landing.lease.holder), landing.end
    if end in calls.ENDINGS:
        drawn = calls.DrawnOutcome(0, end, 1.0, 60.0, None, True, Loss.STRAY, [])
        calls.add_ending(outcomes, drawn, fence, now)
    elif end != "lasts":
        outcomes.succeeded.append(Succeeded(fence, now, now, None if end == "becomes" else b"m\x2a"))
    if landing.joins:
        outcomes.members.append((fence, list(landing.joins)))
    if landing.plan is not None:
        (outcomes.expansions if end == "becomes" else outcomes.workflows).append((fence, *landing.plan))
    return outcomes


def _all_of(workflow: bytes, store: Store) -> Any:
    view = store.workflow(workflow)
    if view is None:
        return None
    steps = store.steps(workflow, limit=_STEPS_SHOWN).steps
    # Where members stand in a group that has not got all of them is up to the store.
    wanted = [None, *(step.number for step in steps if step.members is None or step.state is StepState.SUCCEEDED)]
    return view, steps, [_or_code(partial(_results, workflow, step))(store) for step in wanted]


def _results(workflow: bytes, step: int | None, store: Store) -> Any:
    return store.results(workflow, step)


def _with_jobs(stats: dict[str, QueueStats]) -> dict[str, QueueStats]:
    """Counts of queues that have jobs: when one without is removed is up to the store."""
    return {name: counts for name, counts in bare_counts(stats).items() if not is_empty(counts)}


def _or_code(ask: Callable[[Store], Any]) -> Callable[[Store], Any]:
    """Asks, and answers what is to blame when that is refused."""

    def asked(store: Store) -> Any:
        try:
            return ask(store)
        except PenstockError as error:
            return error.code, getattr(error, "field", None)

    return asked


def workflow_machine(make: MakeStore) -> type[WorkflowMachine]:
    """A state machine that tries workflows in the stores that ``make`` makes."""

    class Machine(WorkflowMachine):
        """`WorkflowMachine` over one store."""

        def make_store(self, clock: VirtualClock, *, records_max: int, dead_max: int) -> Store:
            """A new one."""
            return make(clock, records_max=records_max, dead_max=dead_max)

    asked = {name for name in dir(Machine) if hasattr(getattr(Machine, name), RULE_MARKER)}
    return type("WorkflowsOnly", (Machine,), dict.fromkeys(asked - _RULES))
