import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption, QueueDraining, QueueNotFound, UnknownTask
from penstock.model.holds import (
    Hold,
    HoldKind,
    Holds,
    check_scope,
    check_there,
    not_empty,
    queue_views,
    scope_text,
)
from penstock.model.job import JobGroup, QueueStats
from penstock.model.lines import Closed, ClosedLine, ClosedLines

PAUSED, DRAINING = HoldKind.PAUSED, HoldKind.DRAINING


def holds(*scopes):
    return Holds(Hold(queue, task, kind, "ann", 0.0) for queue, task, kind in scopes)


@pytest.mark.parametrize(
    ("scope", "refuses"),
    [
        (("q", None), [("q", "t"), ("q", "u")]),
        ((None, "t"), [("q", "t"), ("r", "t")]),
        (("q", "t"), [("q", "t")]),
    ],
)
def test_a_scope_refuses_its_own_jobs_and_no_others(scope, refuses):
    draining = holds((*scope, DRAINING))
    every = [(queue, task) for queue in "qr" for task in "tu"]
    assert [line for line in every if draining.refusing(*line)] == refuses
    for queue, task in every:
        groups = [JobGroup("v", [], "s"), JobGroup(task, [], queue)]
        if (queue, task) in refuses:
            with pytest.raises(QueueDraining):
                draining.check_intake(groups)
        else:
            draining.check_intake(groups)


def test_what_is_paused_takes_jobs_in_and_nothing_is_asked_of_them():
    paused = holds(("q", None, PAUSED))
    assert not paused.drains
    paused.check_intake([JobGroup("t", [], "q")])
    paused.check_target("q")
    paused.put(Hold("q", None, DRAINING, "", 0.0))
    assert paused.drains
    paused.lift("q", None)
    assert not paused.drains


def test_a_move_is_refused_by_a_queue_that_drains_whole():
    draining = holds(("q", None, DRAINING), ("r", "t", DRAINING), (None, "u", DRAINING))
    with pytest.raises(QueueDraining):
        draining.check_target("q")
    draining.check_target("r")


def test_lifting_lifts_both_kinds_of_exactly_this():
    held = holds(("q", None, PAUSED), ("q", None, DRAINING), ("q", "t", PAUSED))
    assert [one.kind for one in held.lift("q", None)] == [PAUSED, DRAINING]
    assert held.lift("q", None) == []
    assert [(one.queue, one.task) for one in held.all()] == [("q", "t")]


def test_a_refusal_says_who_since_when_why_and_what_to_do():
    held = Holds([Hold("q", None, DRAINING, "ann", 86_400.0, "moving")])
    with pytest.raises(QueueDraining) as refused:
        held.check_target("q")
    assert refused.value.message == (
        "Queue 'q' is draining (by ann since 1970-01-02 00:00:00 UTC: moving) and takes no new jobs; "
        "send them again when it has been resumed, or name another queue."
    )
    for scope, begins in (((None, "t"), "Task 't' is"), (("q", "t"), "Queue 'q', for task 't', is")):
        with pytest.raises(QueueDraining) as refused:
            Holds([Hold(*scope, DRAINING, "", 0.0)]).check_intake([JobGroup("t", [], "q")])
        assert refused.value.message.startswith(begins)
        assert "by somebody since" in refused.value.message


def test_there_is_room_for_so_many_and_for_the_same_again(monkeypatch):
    monkeypatch.setattr(limits, "HOLDS_MAX", 1)
    held = holds(("q", None, PAUSED))
    held.check_room(Hold("q", None, PAUSED, "bob", 1.0))
    for other in (Hold("q", None, DRAINING, "", 1.0), Hold("q", "t", PAUSED, "", 1.0)):
        with pytest.raises(InvalidOption, match="HOLDS_MAX"):
            held.check_room(other)


def test_a_scope_is_one_word_or_two_and_names_something():
    assert [scope_text(*scope) for scope in (("q", None), (None, "t"), ("q", "t"))] == [
        "queue:q",
        "task:t",
        "queue:q task:t",
    ]
    check_scope("q", None)
    for wrong in ((None, None), ("no name", None), (None, "1")):
        with pytest.raises(InvalidOption):
            check_scope(*wrong)


def test_a_queue_that_is_not_there_is_named_with_the_one_that_was_meant():
    check_there(None, None, [])
    check_there("a", "t", ["a"], ["t"])
    with pytest.raises(QueueNotFound, match=r"no queue 'mial'. Did you mean 'mail'\?"):
        check_there("mial", None, ["mail", "images"])
    with pytest.raises(QueueNotFound, match="`penstock queues` lists"):
        check_there("x", None, [f"q{number}" for number in range(600)])
    with pytest.raises(UnknownTask, match="`penstock tasks` lists"):
        check_there(None, "t", [])
    with pytest.raises(UnknownTask, match=r"no task 'shop.thum': .* Did you mean 'shop.thumb'\?"):
        check_there(None, "shop.thum", [], ["shop.thumb", "shop.ship"])


def test_a_view_has_the_counts_the_holds_and_the_reasons_of_its_queue():
    held = holds(("q", None, PAUSED), ("q", "t", DRAINING), ("r", None, PAUSED), (None, "t", PAUSED))
    closed = ClosedLines([ClosedLine("q", None, Closed.RATE), ClosedLine("q", None, Closed.PAUSED)])
    first, second = queue_views({"q": QueueStats(ready=1), "s": QueueStats()}, held, closed)
    assert (first.name, first.counts.ready, len(first.holds)) == ("q", 1, 2)
    assert first.closed == [Closed.PAUSED, Closed.RATE]
    assert (second.holds, second.closed) == ([], [])
    assert held.queue_names() == {"q", "r"}


def test_why_a_queue_is_not_empty():
    told = not_empty("q", QueueStats(scheduled=1, blocked=2, ready=3, running=4, succeeded=5, dead=6))
    assert "6 waiting jobs, 4 running, 11 records of those that have ended" in told
