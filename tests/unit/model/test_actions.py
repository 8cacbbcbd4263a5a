import pytest

from penstock.model import actions, limits
from penstock.model.actions import ACTS_ON, Action, ActionRequest, ActionState, JobActs, Verb
from penstock.model.errors import InvalidOption
from penstock.model.job import Filter, QueueStats, Step
from penstock.model.states import MOVES, Event, State

ID = b"i" * 16
COUNTS = QueueStats(scheduled=1, blocked=2, ready=3, running=4, succeeded=5, dead=6, cancelled=7, expired=8)


def begun(verb, where, counts=COUNTS, **options):
    return actions.begun(ActionRequest(ID, verb, where, **options), "ann", 100.0, counts)


@pytest.mark.parametrize(
    ("verb", "event"),
    [
        (Verb.RETRY, Event.REVIVE),
        (Verb.CANCEL, Event.CANCEL),
        (Verb.DELETE, Event.DELETE),
        (Verb.MOVE, Event.MOVE),
        (Verb.REPLAY, Event.REPLAY),
    ],
)
def test_a_verb_acts_on_the_states_that_its_move_has(verb, event):
    assert set(ACTS_ON[verb]) == MOVES[event].sources


@pytest.mark.parametrize(("verb", "count"), [(Verb.RETRY, 21), (Verb.CANCEL, 10), (Verb.DELETE, 32), (Verb.EMPTY, 6)])
def test_where_only_a_queue_is_named_the_counts_tell_how_many_match(verb, count):
    action = begun(verb, Filter(queue="q"))
    assert (action.state, action.matched) == (ActionState.RUNNING, count)


def test_a_state_narrows_the_count_and_another_field_needs_a_look():
    assert begun(Verb.RETRY, Filter(state=State.DEAD)).matched == 6
    for where in (Filter(queue="q", task="t"), Filter(tag="x")):
        assert (begun(Verb.RETRY, where).state, begun(Verb.RETRY, where).matched) == (ActionState.COUNTING, 0)


def test_a_dry_run_ends_with_the_count_and_so_does_one_that_nothing_matches():
    assert begun(Verb.RETRY, Filter(queue="q"), dry_run=True).state is ActionState.DONE
    assert begun(Verb.RETRY, Filter(queue="q"), QueueStats()).state is ActionState.DONE


def walk(action, found):
    """Go through all stages as a store does; answers the states that were looked at."""
    seen = []
    while action.is_under_way:
        where = actions.stages(action)[action.stage]
        seen.append((action.state, where.state))
        after = actions.counted if action.state is ActionState.COUNTING else actions.stepped
        action = after(action, Step(found, None), 101.0)
    return action, seen


def test_it_counts_each_state_once_then_acts_and_looks_at_running_jobs_again():
    action, seen = walk(begun(Verb.CANCEL, Filter(task="t")), 2)
    waiting = [State.SCHEDULED, State.BLOCKED, State.READY]
    assert [state for at, state in seen if at is ActionState.COUNTING] == [State.RUNNING, *waiting]
    assert [state for at, state in seen if at is ActionState.RUNNING] == [State.RUNNING, *waiting, State.RUNNING]
    assert (action.state, action.matched, action.changed, action.finished_at) == (ActionState.DONE, 8, 10, 101.0)


def test_one_state_is_one_stage():
    _, seen = walk(begun(Verb.CANCEL, Filter(task="t", state=State.RUNNING)), 1)
    assert len(seen) == 2


def test_a_cursor_goes_on_in_the_same_stage():
    action = begun(Verb.DELETE, Filter(task="t"))
    action = actions.counted(action, Step(3, "c"), 101.0)
    assert (action.stage, action.cursor, action.matched) == (0, "c", 3)
    action = actions.counted(action, Step(3, None), 101.0)
    assert (action.stage, action.cursor, action.matched) == (1, None, 6)


def test_an_end_keeps_what_was_done():
    action = actions.stepped(begun(Verb.DELETE, Filter(queue="q")), Step(3, "c"), 101.0)
    failed = actions.ended(action, ActionState.FAILED, 102.0, "why")
    assert (failed.changed, failed.error, failed.finished_at, failed.is_under_way) == (3, "why", 102.0, False)


def test_a_replay_counts_by_looking_and_remembers_the_oldest_that_it_finds():
    action = begun(Verb.REPLAY, Filter(queue="s:x"))
    assert action.state is ActionState.COUNTING
    for oldest_at, cursor in ((7.0, "c"), (5.0, "d"), (None, None)):
        action = actions.counted(action, Step(1, cursor), 101.0, oldest_at)
    assert (action.state, action.matched, action.oldest_at) == (ActionState.RUNNING, 3, 5.0)
    others = actions.counted(begun(Verb.DELETE, Filter(task="t")), Step(1, "c"), 101.0, 7.0)
    assert others.oldest_at is None


@pytest.mark.parametrize(
    ("per_s", "jobs"), [(None, limits.ADMIN_JOBS_MAX), (100.0, 50), (0.1, 1), (1e6, limits.ADMIN_JOBS_MAX)]
)
def test_a_slow_action_has_small_steps(per_s, jobs):
    assert actions.step_jobs_max(begun(Verb.DELETE, Filter(queue="q"), per_s=per_s)) == jobs


@pytest.mark.parametrize(
    ("verb", "where", "options", "field"),
    [
        (Verb.RETRY, Filter(), {}, "where"),
        (Verb.MOVE, Filter(queue="q"), {}, "to"),
        (Verb.MOVE, Filter(queue="q"), {"to": "a:b:c"}, "to"),
        (Verb.CANCEL, Filter(queue="q"), {"to": "r"}, "to"),
        (Verb.RETRY, Filter(state=State.READY), {}, "where.state"),
        (Verb.EMPTY, Filter(state=State.READY), {}, "where"),
        (Verb.RETRY, Filter(queue="a b"), {}, "queue"),
        (Verb.RETRY, Filter(tag="a b"), {}, "tag"),
        (Verb.RETRY, Filter(queue="q"), {"per_s": 0.0}, "per_s"),
        (Verb.RETRY, Filter(queue="q"), {"per_s": limits.ACTION_PER_S_MAX + 1.0}, "per_s"),
        (Verb.RETRY, Filter(queue="q"), {"note": "ü" * 501}, "note"),
        (Verb.REPLAY, Filter(queue="q"), {}, "where.queue"),
        (Verb.REPLAY, Filter(task="t"), {}, "where.queue"),
        (Verb.REPLAY, Filter(queue="s:x", task="t"), {}, "where"),
        (Verb.REPLAY, Filter(queue="s:"), {}, "where.queue"),
        (Verb.REPLAY, Filter(queue="s:x:1"), {}, "where.queue"),
        (Verb.REPLAY, Filter(queue="s:x", state=State.DEAD), {}, "where.state"),
    ],
)
def test_what_may_not_be_asked_for_names_the_field(verb, where, options, field):
    with pytest.raises(InvalidOption) as refused:
        actions.check_action(ActionRequest(ID, verb, where, **options))
    assert refused.value.field == field


def test_what_may_be_asked_for():
    for verb in Verb:
        to = "r" if verb is Verb.MOVE else None
        where = Filter(queue="s:x", since=1.0) if verb is Verb.REPLAY else Filter(queue="q", task="t")
        actions.check_action(ActionRequest(ID, verb, where, to, per_s=0.5, note="n" * 1_000))
    with pytest.raises(InvalidOption):
        actions.check_action(ActionRequest(b"", Verb.RETRY, Filter(queue="q")))


def test_the_defaults_are_those_of_an_action_that_begins():
    action = begun(Verb.RETRY, Filter(task="t"), note="why", per_s=2.0)
    assert action == Action(ID, Verb.RETRY, Filter(task="t"), None, False, 2.0, "why", "ann", 100.0)


def test_each_verb_does_what_the_store_has_for_it():
    acts = JobActs(
        retry=lambda job: job == "retried",
        cancel=lambda job: job == "cancelled",
        delete=lambda job: job == "deleted",
        move=lambda job, to: (job, to) == ("moved", "there"),
    )
    done = {
        Verb.RETRY: "retried",
        Verb.CANCEL: "cancelled",
        Verb.DELETE: "deleted",
        Verb.EMPTY: "deleted",
    }
    assert {verb: acts.of(begun(verb, Filter(queue="q")))(job) for verb, job in done.items()} == dict.fromkeys(
        done, True
    )
    assert acts.of(begun(Verb.MOVE, Filter(queue="q"), to="there"))("moved")
    assert done.keys() | {Verb.MOVE, Verb.REPLAY} == set(Verb)
