"""A group that fails as a whole: only the culprits fail, and what cannot be committed is told once."""

import apsw
import pytest

from penstock.model.errors import InvalidOption, StoreFull, StoreUnavailable
from penstock.model.ids import id_text, new_id
from penstock.model.job import LeaseRequest, Outcomes, Succeeded
from penstock.model.states import State
from penstock.model.workflow_plan import StepPlan, WorkflowPlan
from penstock.store.wire import protocol
from penstock.store.wire.owner import failed_group

HOLDER = b"h" * 16


def kind_of(frame):
    ((kind, _, _),) = protocol.FrameReader().feed(bytes(frame))
    return kind


@pytest.fixture
def fences(pending, groups):
    pending.engine.enqueue(groups(*range(100)))
    batch = pending.engine.lease(LeaseRequest(HOLDER, 100))
    return [batch.first_fence + place for place in range(100)]


def failing(engine, bad, error, monkeypatch):
    """Settling raises for some fences, as with a damaged row."""
    settle = engine.settle

    def damaged(outcomes):
        if bad.intersection(outcomes.fences()):
            raise error
        return settle(outcomes)

    monkeypatch.setattr(engine, "settle", damaged)


def succeeded(fences):
    return Outcomes(HOLDER, succeeded=[Succeeded(fence, 1.0, 2.0) for fence in fences])


@pytest.mark.parametrize(
    "error",
    [KeyError(7), AssertionError("odd"), apsw.ConstraintError("UNIQUE"), StoreUnavailable("x", damaged=True)],
    ids=lambda error: type(error).__name__,
)
def test_one_bad_outcome_does_not_hold_up_the_others(pending, fences, groups, monkeypatch, caplog, error):
    bad = {fences[3], fences[77]}
    failing(pending.engine, bad, error, monkeypatch)
    worker, producer = pending.client(), pending.client()
    for _ in range(200):
        pending.ask(worker, protocol.SETTLE, succeeded(fences))
        pending.ask(producer, protocol.ENQUEUE, groups(1))
        told = dict(pending.groups.run(pending.turns))
        if producer not in told:
            told |= dict(pending.groups.run(pending.turns))
        assert protocol.ENQUEUE.answer(told[producer][protocol.HEADER_BYTES :]).accepted == 1
        stale = set(protocol.SETTLE.answer(told[worker][protocol.HEADER_BYTES :]).stale)
        assert bad <= stale
    counts = pending.engine.stats().queues["default"]
    assert (counts.succeeded, counts.running, counts.unaccounted()) == (98, 2, 0)
    faults = pending.groups.faults
    assert faults.counts["settling a job"] == 2, "then they are known"
    assert len(caplog.records) < 10


def test_a_settlement_of_nothing_but_bad_outcomes_is_done_in_bounded_steps(pending, fences, monkeypatch):
    monkeypatch.setattr(failed_group, "_FAILURES_MAX", 20)
    failing(pending.engine, set(fences), KeyError(1), monkeypatch)
    worker = pending.client()
    kinds = []
    for _ in range(60):
        pending.ask(worker, protocol.SETTLE, succeeded(fences))
        ((_, frame),) = pending.groups.run(pending.turns)
        kinds.append(kind_of(frame))
        if kinds[-1] == protocol.ANSWER:
            break
    assert kinds[-1] == protocol.ANSWER
    assert len(kinds) > 2
    assert sorted(protocol.SETTLE.answer(frame[protocol.HEADER_BYTES :]).stale) == fences


def test_a_disk_that_fails_is_no_outcomes_fault(pending, fences, monkeypatch):
    failing(pending.engine, set(fences[:1]), StoreUnavailable("the disk failed"), monkeypatch)
    worker = pending.client()
    pending.ask(worker, protocol.SETTLE, succeeded(fences))
    ((_, frame),) = pending.groups.run(pending.turns)
    assert kind_of(frame) == protocol.FAILURE
    assert isinstance(protocol.error_of(frame[protocol.HEADER_BYTES :]), StoreUnavailable)
    assert pending.engine.stats().queues["default"].running == 100


def test_a_workflow_that_cannot_go_on_spoils_one_group_and_no_outcome(pending, groups):
    """What its job has come to is committed with those of all others when the group is done once more."""
    engine = pending.engine
    first, second = groups(1), groups(1)
    plan = WorkflowPlan(new_id(), "w", [StepPlan("a", first[0]), StepPlan("b", second[0], after=[0])])
    engine.start_workflow(plan)
    engine.enqueue(groups(*range(5)))
    batch = engine.lease(LeaseRequest(HOLDER, 100))
    engine.database.connection.execute("UPDATE workflow SET standing = x'c1'")
    worker, producer = pending.client(), pending.client()
    pending.ask(producer, protocol.ENQUEUE, groups(1))
    pending.ask(worker, protocol.SETTLE, succeeded([batch.first_fence + place for place in range(6)]))
    told = dict(pending.groups.run(pending.turns)) | dict(pending.groups.run(pending.turns))
    assert protocol.SETTLE.answer(told[worker][protocol.HEADER_BYTES :]).stale == []
    assert protocol.ENQUEUE.answer(told[producer][protocol.HEADER_BYTES :]).accepted == 1
    assert engine.stats().queues["default"].running == 0
    assert pending.groups.counters.retried_groups == 1
    assert any(id_text(plan.id) in problem for problem in engine.health().problems())


def test_a_chore_that_raises_spoils_one_group_and_is_done_apart_from_then_on(pending, groups, monkeypatch):
    engine = pending.engine
    monkeypatch.setattr(engine._chores, "_forget", lambda: 1 / 0)
    client = pending.client()
    for _ in range(20):
        pending.ask(client, protocol.ENQUEUE, groups(1, task=f"task_{new_id().hex()}"))
        answers = pending.groups.run(pending.turns, chores=engine.tick)
        assert [kind_of(frame) for _, frame in answers] == [protocol.ANSWER]
    assert pending.groups.counters.retried_groups == 1
    assert engine.stats().queues["default"].accepted_total == 20


def test_a_waiter_hears_what_a_chore_ended_though_another_failed(pending, groups, monkeypatch):
    engine = pending.engine
    monkeypatch.setattr(engine._chores, "_forget", lambda: 1 / 0)
    (group,) = groups(1, expires_s=0.000_001)
    engine.enqueue([group])
    waiter = pending.client()
    pending.ask(waiter, protocol.WAIT, [group.jobs[0].id], 30.0)
    assert pending.groups.run(pending.turns) == []
    ((connection, frame),) = pending.groups.run(pending.turns, chores=engine.tick)
    assert connection is waiter
    assert protocol.WAIT.answer(frame[protocol.HEADER_BYTES :])[0].state is State.EXPIRED


def test_what_fails_at_the_owner_shows_in_health(pending, fences, monkeypatch):
    failing(pending.engine, set(fences), StoreUnavailable("the disk failed"), monkeypatch)
    worker = pending.client()
    for _ in range(3):
        pending.ask(worker, protocol.SETTLE, succeeded(fences))
        pending.groups.run(pending.turns)
    pending.ask(worker, protocol.HEALTH)
    ((_, frame),) = pending.groups.run(pending.turns)
    health = protocol.HEALTH.answer(frame[protocol.HEADER_BYTES :])
    assert health.fails
    assert health.fault_counts == {"a group commit": 3, "settle (by itself)": 3}
    assert any("the disk failed" in problem for problem in health.problems())


def test_an_owner_whose_engine_cannot_go_on_ends_with_the_reason(pending, groups, monkeypatch):
    def gone():
        raise apsw.CorruptError("database disk image is malformed")

    monkeypatch.setattr(pending.engine.books, "save", gone)
    monkeypatch.setattr(pending.engine.books, "load", gone)
    pending.ask(pending.client(), protocol.ENQUEUE, groups(1))
    with pytest.raises(StoreUnavailable, match="cannot go on"):
        pending.groups.run(pending.turns)


# --- children --------------------------------------------------------------------------------------------------------
def with_children(fences, groups):
    """Settle each of these with one child; the outcomes, and the children's ids by fence."""
    children = [(fence, groups(fence % 1_000, task="child")) for fence in fences]
    ids = {fence: child[0].jobs[0].id for fence, child in children}
    return Outcomes(HOLDER, forgotten=list(fences), children=children), ids


def exist(engine, ids):
    return [view is not None for view in engine.get(list(ids))]


def test_children_land_once_when_their_group_fails_for_anothers_fault(pending, fences, groups, monkeypatch):
    enqueue = pending.engine.enqueue

    def failing_enqueue(asked, *, atomic=False):
        if any(group.task == "bug" for group in asked):
            raise ZeroDivisionError
        return enqueue(asked, atomic=atomic)

    monkeypatch.setattr(pending.engine, "enqueue", failing_enqueue)
    outcomes, ids = with_children(fences[:10], groups)
    worker, producer = pending.client(), pending.client()
    pending.ask(worker, protocol.SETTLE, outcomes)
    pending.ask(producer, protocol.ENQUEUE, groups(1, task="bug"))
    told = dict(pending.groups.run(pending.turns))
    assert pending.groups.counters.retried_groups == 1
    assert (kind_of(told[worker]), kind_of(told[producer])) == (protocol.ANSWER, protocol.FAILURE)
    assert exist(pending.engine, ids.values()) == [True] * 10
    counts = pending.engine.stats().queues["default"]
    assert (counts.accepted_total, counts.succeeded_total, counts.ready, counts.unaccounted()) == (110, 10, 10, 0)


def test_a_child_follows_its_parent_when_a_settlement_is_done_by_halves(pending, fences, groups, monkeypatch):
    bad = {fences[2], fences[7]}
    failing(pending.engine, bad, KeyError(7), monkeypatch)
    outcomes, ids = with_children(fences[:10], groups)
    worker = pending.client()
    pending.ask(worker, protocol.SETTLE, outcomes)
    ((_, frame),) = pending.groups.run(pending.turns)
    assert set(protocol.SETTLE.answer(frame[protocol.HEADER_BYTES :]).stale) == bad
    assert exist(pending.engine, ids.values()) == [fence not in bad for fence in ids]
    assert pending.engine.stats().queues["default"].running == 92


def test_children_that_may_not_be_enqueued_refuse_their_settlement_whole_and_nobody_elses(pending, fences, groups):
    first, second = pending.client(), pending.client()
    bad, bad_ids = with_children(fences[:5], groups)
    bad.children[-1][1][0] = groups(1, task="child", priority=1_000)[0]
    good, good_ids = with_children(fences[5:10], groups)
    pending.ask(first, protocol.SETTLE, bad)
    pending.ask(second, protocol.SETTLE, good)
    told = dict(pending.groups.run(pending.turns))
    assert isinstance(protocol.error_of(told[first][protocol.HEADER_BYTES :]), InvalidOption)
    assert protocol.SETTLE.answer(told[second][protocol.HEADER_BYTES :]).stale == []
    assert pending.groups.counters.retried_groups == 0
    assert exist(pending.engine, bad_ids.values()) == [False] * 5
    assert exist(pending.engine, good_ids.values()) == [True] * 5
    assert pending.engine.stats().queues["default"].running == 95


# --- whole or not at all ---------------------------------------------------------------------------------------------
def test_a_settlement_less_its_culprits_is_one_transaction(pending, fences, groups, monkeypatch):
    failing(pending.engine, {fences[2], fences[7]}, KeyError(7), monkeypatch)
    ended = []
    commit = pending.engine.commit

    def commit_and_look():
        commit()
        ended.append(pending.engine.totals().counts.succeeded_total)

    monkeypatch.setattr(pending.engine, "commit", commit_and_look)
    outcomes, _ = with_children(fences, groups)
    pending.ask(pending.client(), protocol.SETTLE, outcomes)
    pending.groups.run(pending.turns)
    assert set(ended) <= {0, 98}
    assert ended[-1] == 98


def test_a_settlement_whose_culprits_are_not_found_yet_has_changed_nothing(pending, fences, groups, monkeypatch):
    monkeypatch.setattr(failed_group, "_FAILURES_MAX", 10)
    failing(pending.engine, set(fences[50:]), KeyError(7), monkeypatch)
    outcomes, ids = with_children(fences, groups)
    worker = pending.client()
    for _ in range(100):
        pending.ask(worker, protocol.SETTLE, outcomes)
        ((_, frame),) = pending.groups.run(pending.turns)
        if kind_of(frame) == protocol.ANSWER:
            break
        assert pending.engine.stats().queues["default"].running == 100
        assert exist(pending.engine, ids.values()) == [False] * 100
    assert sorted(protocol.SETTLE.answer(frame[protocol.HEADER_BYTES :]).stale) == fences[50:]
    assert exist(pending.engine, ids.values()) == [True] * 50 + [False] * 50


def test_a_settlement_for_which_there_is_no_room_is_refused_whole(pending, fences, groups, monkeypatch):
    settle = pending.engine.settle

    def full(outcomes):
        settled = settle(outcomes)
        if len(outcomes.fences()) > 10:
            raise StoreFull("no room")
        return settled

    monkeypatch.setattr(pending.engine, "settle", full)
    large, large_ids = with_children(fences[:20], groups)
    small, small_ids = with_children(fences[20:30], groups)
    first, second, producer = pending.client(), pending.client(), pending.client()
    pending.ask(first, protocol.SETTLE, large)
    pending.ask(second, protocol.SETTLE, small)
    pending.ask(producer, protocol.ENQUEUE, groups(1))
    told = dict(pending.groups.run(pending.turns))
    assert isinstance(protocol.error_of(told[first][protocol.HEADER_BYTES :]), StoreFull)
    assert kind_of(told[second]) == kind_of(told[producer]) == protocol.ANSWER
    assert exist(pending.engine, large_ids.values()) == [False] * 20
    assert exist(pending.engine, small_ids.values()) == [True] * 10
    assert pending.engine.stats().queues["default"].running == 90
