"""The state machine over each store, and over stores with one rule broken, which it must catch."""

import itertools

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RULE_MARKER, run_state_machine_as_test

from penstock.model.states import WAITING, Event
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.machine import store_machine
from penstock.testing.machine_workflows import workflow_machine
from penstock.testing.memory import MemoryStore
from penstock.testing.memory_moves import Moves
from penstock.testing.memory_refusals import Refusals

QUIET = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "phases": [Phase.generate],  # add Phase.shrink to make a failure short; that takes minutes
    "suppress_health_check": list(HealthCheck),
}
FEW = settings(max_examples=60, stateful_step_count=40, **QUIET)
TEETH = settings(FEW, max_examples=5_000)  # it ends at the first failure


def test_the_memory_store_equals_itself():
    run_state_machine_as_test(store_machine(MemoryStore), settings=FEW)


def test_the_sqlite_store_equals_the_model(tmp_path):
    paths = (str(tmp_path / f"penstock-{number}.db") for number in itertools.count())

    def make(clock, **most):
        return SqliteStore(next(paths), clock=clock, **most)

    run_state_machine_as_test(store_machine(make), settings=FEW)


def test_workflows_in_the_sqlite_store_equal_those_of_the_model(tmp_path):
    paths = (str(tmp_path / f"penstock-{number}.db") for number in itertools.count())

    def make(clock, **most):
        return SqliteStore(next(paths), clock=clock, **most)

    run_state_machine_as_test(workflow_machine(make), settings=FEW)


class KnowsNoSignalledWorkflow(MemoryStore):
    def __init__(self, clock, **options):
        super().__init__(clock, **options)
        self._moves.steps.is_open_workflow = lambda workflow: False


class ForgetsToPause(MemoryStore):
    def pause_workflow(self, workflow, *, by=None):
        self._open()
        record = self._workflows.records.get(workflow)
        return None if record is None else record.workflow().state


@pytest.mark.parametrize("broken", [KnowsNoSignalledWorkflow, ForgetsToPause])
def test_workflows_with_a_broken_rule_are_caught(broken):
    with pytest.raises(AssertionError):
        run_state_machine_as_test(workflow_machine(broken), settings=TEETH)


def test_calls_that_share_a_transaction_equal_the_model(tmp_path):
    paths = (str(tmp_path / f"penstock-{number}.db") for number in itertools.count())

    def make(clock, **most):
        return InGroups(SqliteStore(next(paths), clock=clock, **most))

    run_state_machine_as_test(store_machine(make), settings=FEW)


class InGroups:
    """Commits at every fourth call, as an owner does that serves many."""

    def __init__(self, store):
        self._store = store
        self._calls = 0

    def __getattr__(self, name):
        call = getattr(self._store, name)
        if not callable(call):
            return call

        def grouped(*args, **kwargs):
            if name == "close":
                if self._store.in_group:
                    self._store.commit()
                return call()
            if not self._store.in_group:
                self._store.begin()
            answer = call(*args, **kwargs)
            self._calls += 1
            if self._calls % 4 == 0:
                self._store.commit()
            return answer

        return grouped


class LosesKeys(MemoryStore):
    def enqueue(self, groups, **options):
        self._keys.remember = lambda *_: None
        return super().enqueue(groups, **options)


class ForgetsWhoHoldsAKey(MemoryStore):
    def __init__(self, clock, **options):
        super().__init__(clock, **options)
        self._unique.hold = lambda row: None


class NeverFreesAKey(MemoryStore):
    def __init__(self, clock, **options):
        super().__init__(clock, **options)
        self._table.listeners.clear()
        self._unique.keeps_away = lambda task, key: self._unique._holders.get((task, key))


class TakesPassedOffsets(MemoryStore):
    def __init__(self, clock, **options):
        super().__init__(clock, **options)
        self._cursors.after = lambda cursor, *, has_jobs: cursor


class IgnoresTheHolder(MemoryStore):
    def __init__(self, clock, **options):
        super().__init__(clock, **options)
        self._table.held = lambda _, fence: self._table.running.get(fence)


class ChargesLosses(MemoryStore):
    def __init__(self, clock, **options):
        super().__init__(clock, **options)
        self._moves.lose = lambda row, outcome: self._charge(row, outcome)

    def _charge(self, row, outcome):
        row.attempts += 1
        Moves.lose(self._moves, row, outcome)


class ForgetsToDiscard(MemoryStore):
    def __init__(self, clock, **options):
        super().__init__(clock, **options)
        self._go = self._table.go
        self._table.go = self._forgetful

    def _forgetful(self, row, event, target):
        source = row.state
        self._go(row, event, target)
        if event is Event.DELETE and source in WAITING:
            self._table.counts[row.queue].discarded_total -= 1


class LeasesTheLastFirst(MemoryStore):
    def __init__(self, clock, **options):
        super().__init__(clock, **options)
        self._refusals.next_ready = self._last_ready

    def _last_ready(self, request, *, limited):
        first = Refusals.next_ready(self._refusals, request, limited=limited)
        return first and max(
            (
                row
                for row in self._table.rows.values()
                if row.state is first.state and (row.queue, row.priority) == (first.queue, first.priority)
            ),
            key=lambda row: row.arrival,
        )


class TakesInWhatDrains(MemoryStore):
    def __init__(self, clock, **options):
        super().__init__(clock, **options)
        self._operators.holds.check_intake = lambda groups: None


WORKERS = frozenset({"enqueue", "lease", "extend", "settle", "wait"})
BROKEN = {
    LosesKeys: WORKERS,
    ForgetsWhoHoldsAKey: WORKERS,
    NeverFreesAKey: WORKERS,
    TakesPassedOffsets: None,
    IgnoresTheHolder: WORKERS,
    ChargesLosses: WORKERS,
    ForgetsToDiscard: {*WORKERS, "delete"},
    LeasesTheLastFirst: WORKERS,
    TakesInWhatDrains: {*WORKERS, "hold"},
}
"""Stores that break a rule, each with the calls among which that is to be found (None: all). What it takes are a few
calls in a row, which are rare among all that may be asked of a store."""


@pytest.mark.parametrize("broken", BROKEN)
def test_a_store_with_a_broken_rule_is_caught(broken):
    machine, wanted = store_machine(broken), BROKEN[broken]
    if wanted is not None:
        calls = {name for name in dir(machine) if hasattr(getattr(machine, name), RULE_MARKER)}
        assert wanted <= calls
        machine = type("Narrowed", (machine,), dict.fromkeys(calls - wanted))
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=TEETH)
