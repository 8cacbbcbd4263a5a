import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.lines import Closed, ClosedLine, ClosedLines


def closed(*lines: tuple[str | None, str | None, Closed]) -> ClosedLines:
    return ClosedLines(ClosedLine(*line) for line in lines)


@pytest.mark.parametrize(
    ("scope", "closes"),
    [
        (("q", None), [("q", "t"), ("q", "u")]),
        ((None, "t"), [("q", "t"), ("r", "t")]),
        (("q", "t"), [("q", "t")]),
    ],
)
def test_a_scope_closes_its_lines_and_no_others(scope, closes):
    lines = closed((*scope, Closed.PAUSED))
    every = [(queue, task) for queue in "qr" for task in "tu"]
    assert [line for line in every if lines.reason_of(*line) is not None] == closes
    assert [line for line in every if lines.closes(*line)] == closes


def test_the_first_of_several_reasons_is_shown_until_it_is_gone():
    lines = closed(("q", None, Closed.RATE), (None, "t", Closed.RATE), ("q", "t", Closed.PAUSED))
    shown = []
    for scope in (("q", "t"), (None, "t"), ("q", None)):
        assert lines.closes("q", "t")
        shown.append(lines.reason_of("q", "t"))
        lines.open(*scope, None)
    assert shown == [Closed.PAUSED, Closed.RATE, Closed.RATE]
    assert lines.reason_of("q", "t") is None
    assert not lines.closes("q", "t")
    assert not lines


def test_one_reason_is_taken_away_and_the_other_stays():
    lines = closed(("q", None, Closed.RATE), ("q", None, Closed.PAUSED))
    lines.open("q", None, Closed.PAUSED)
    lines.open("q", "t", Closed.RATE)
    lines.open("r", None, None)
    assert lines.all() == [ClosedLine("q", None, Closed.RATE)]
    lines.open("q", None, Closed.RATE)
    assert lines.all() == []


def test_a_queue_that_was_closed_by_name_is_to_be_kept():
    lines = closed(("q", None, Closed.PAUSED), ("r", "t", Closed.PAUSED), (None, "u", Closed.PAUSED))
    assert [name for name in "qrs" if lines.keeps(name)] == ["q", "r"]


def test_so_many_scopes_are_closed_and_no_more(monkeypatch):
    monkeypatch.setattr(limits, "CLOSED_LINES_MAX", 2)
    lines = closed(("q", None, Closed.PAUSED), ("r", None, Closed.PAUSED))
    lines.close(ClosedLine("r", None, Closed.RATE))
    with pytest.raises(InvalidOption, match="CLOSED_LINES_MAX"):
        lines.close(ClosedLine(None, "t", Closed.PAUSED))
    assert len(lines.all()) == 3


def test_a_scope_names_something_and_names_are_checked():
    lines = ClosedLines()
    for queue, task in ((None, None), ("no name", None), (None, "1"), ("q", "")):
        with pytest.raises(InvalidOption):
            lines.close(ClosedLine(queue, task, Closed.PAUSED))
        with pytest.raises(InvalidOption):
            lines.open(queue, task, None)
    assert lines.all() == []


def test_nothing_is_closed_until_something_is():
    assert not ClosedLines()
    assert closed(("q", None, Closed.PAUSED))


def test_what_is_closed_is_listed_in_order():
    every = [
        ClosedLine(None, "t", Closed.PAUSED),
        ClosedLine("a", None, Closed.PAUSED),
        ClosedLine("a", "t", Closed.RATE),
        ClosedLine("a", "t", Closed.PAUSED),
        ClosedLine("b", None, Closed.PAUSED),
    ]
    assert ClosedLines(reversed(every)).all() == sorted(
        every, key=lambda one: (one.queue or "", one.task or "", one.reason)
    )
    assert [(one.queue, one.task) for one in ClosedLines(reversed(every)).all()] == [
        (None, "t"), ("a", None), ("a", "t"), ("a", "t"), ("b", None),
    ]  # fmt: skip


def test_who_names_no_lines_is_told_what_to_name():
    for act in (
        lambda: closed((None, None, Closed.PAUSED)),
        lambda: ClosedLines().open(None, None, None),
    ):
        with pytest.raises(InvalidOption) as refused:
            act()
        assert refused.value.message == "Say which lines: of a queue, of a task, or of both."
        assert refused.value.field == "queue"


def test_too_many_closed_lines_are_refused_by_name():
    lines = closed(*((f"q{number}", None, Closed.PAUSED) for number in range(limits.CLOSED_LINES_MAX)))
    with pytest.raises(InvalidOption, match="open some first") as refused:
        lines.close(ClosedLine("more", None, Closed.PAUSED))
    assert refused.value.field == "queue"


def test_a_topic_as_a_whole_closes_its_channels_and_not_what_it_keeps():
    lines = ClosedLines([ClosedLine("orders:", None, Closed.PAUSED)])
    for queue in ("orders:mail", "orders:archive"):
        assert (lines.closes(queue, "message"), lines.reason_of(queue, "message")) == (True, Closed.PAUSED)
        assert lines.of_queue(queue) == [Closed.PAUSED]
    assert lines.reason_of("orders:", "message") is Closed.NO_CHANNEL
    assert lines.reason_of("orders:mail:7", "message") is Closed.DELETED
    assert not lines.closes("other:mail", "message")
    assert (lines.is_paused("orders:"), lines.is_paused("orders:mail")) == (True, False)
    lines.open("orders:", None, Closed.PAUSED)
    assert (bool(lines), lines.is_paused("orders:")) == (False, False)
