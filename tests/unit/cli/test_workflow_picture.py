"""The picture of a workflow's graph."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree as ET

import pytest

from penstock.cli.workflow_picture import picture
from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.ids import new_id
from penstock.model.job_error import JobError
from penstock.model.workflow_views import StepState, StepView, WorkflowState, WorkflowView

SVG = "{http://www.w3.org/2000/svg}"
VIEW = WorkflowView(new_id(), "report", WorkflowState.RUNNING, 0.0)


def step(number, name=None, needs=(), state=StepState.WAITING, **more):
    return StepView(number, name or f"s{number}", "job", "shop.do", state, needs=list(needs), **more)


def drawn(steps, view=VIEW):
    return ET.fromstring(picture(view, steps))


def boxes(root):
    """The place of each step, by number."""
    found = {}
    for part in root.iter(f"{SVG}g"):
        rect = part.findall(f"{SVG}rect")[-1]
        found[int(part.get("id").removeprefix("step-"))] = (float(rect.get("x")), float(rect.get("y")))
    return found


def lines(root):
    return [part for part in root.findall(f"{SVG}path") if part.get("fill") == "none"]


def texts(root):
    return [part.text for part in root.iter() if part.text and part.text.strip()]


def test_steps_stand_below_what_they_need_and_none_on_another() -> None:
    steps = [step(0), step(1, needs=[0]), step(2, needs=[0]), step(3, needs=[1, 2, 0]), step(4), step(5, needs=[4])]
    root = drawn([*steps, step(6)])
    places = boxes(root)
    assert all(places[one.number][1] > places[need][1] for one in steps for need in one.needs)
    assert len(set(places.values())) == 7
    assert len(lines(root)) == 6
    width, height = float(root.get("width")), float(root.get("height"))
    assert all(0 <= x <= width - 210 and 0 <= y <= height - 58 for x, y in places.values())


def test_a_line_begins_and_ends_at_its_steps() -> None:
    root = drawn([step(0), step(1, needs=[0]), step(2, needs=[1, 0])])
    places = boxes(root)
    ends = set()
    for line in lines(root):
        numbers = [float(number) for number in re.findall(r"-?[0-9.]+", line.get("d"))]
        ends.add((tuple(numbers[:2]), tuple(numbers[-2:])))

    def below(number):
        return places[number][0] + 105, places[number][1] + 58

    def above(number):
        return places[number][0] + 105, places[number][1]

    assert ends == {(below(0), above(1)), (below(1), above(2)), (below(0), above(2))}


def test_what_is_inside_of_a_step_hangs_on_it_by_a_dashed_line() -> None:
    root = drawn([step(0), step(1, owner=0), step(2, needs=[1], owner=0)])
    assert [bool(line.get("stroke-dasharray")) for line in lines(root)] == [True, False]


def test_a_group_shows_counts_and_not_members() -> None:
    members = StepView(0, "all", "group", None, StepState.RUNNING, total=100_000, members=(90_000, 41_000, 3, 1))
    shown = texts(drawn([members, StepView(1, "some", "group", None, StepState.RUNNING, members=(5, 2, 0, 0))]))
    assert "41,000 of 100,000, 3 failed, …" in shown
    assert any("41,000 of 100,000, 3 failed, 1 cancelled" in text for text in shown)
    assert "2 of 5, open" in shown


def test_each_state_has_its_colour() -> None:
    root = drawn([step(number, state=state) for number, state in enumerate(StepState)])
    looks = [(rect.get("fill"), rect.get("stroke")) for rect in root.iter(f"{SVG}rect") if rect.get("stroke")]
    assert len(set(looks)) == len(StepState)


@pytest.mark.parametrize("text", ['<script>alert("x")</script>', "a & b", "]]>", "\x00\x1b[31m\ud800\uffff", "é" * 500])
def test_every_text_is_escaped(text) -> None:
    view = WorkflowView(VIEW.id, text, WorkflowState.FAILED, 0.0, error=JobError(text, text))
    odd = step(0, text, state=StepState.FAILED, error=JobError(text, text), reason=text)
    root = drawn([odd, StepView(1, text, "job", text, StepState.WAITING, needs=[0])], view)
    assert {part.tag.removeprefix(SVG) for part in root.iter()} <= {
        "svg", "title", "defs", "marker", "path", "rect", "text", "g"
    }  # fmt: skip
    if text.isprintable() and len(text) < 30:
        assert text in texts(root)


def test_nothing_in_it_is_no_failure() -> None:
    assert boxes(drawn([])) == {}
    assert set(boxes(drawn([step(0)]))) == {0}


def test_a_long_chain_and_a_wide_fan_are_drawn() -> None:
    chain = [step(0)] + [step(number, needs=[number - 1]) for number in range(1, 400)]
    assert len({y for _, y in boxes(drawn(chain)).values()}) == 400
    fan = [step(0)] + [step(number, needs=[0]) for number in range(1, 400)] + [step(400, needs=range(400))]
    assert len(set(boxes(drawn(fan)).values())) == 401


def test_too_many_steps_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(limits, "PICTURE_STEPS_MAX", 2)
    with pytest.raises(InvalidOption, match="3 steps, and a picture has 2 at most"):
        picture(VIEW, [step(0), step(1), step(2)])


def test_without_the_library_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    with pytest.raises(InvalidOption, match=r"pip install 'penstock\[graph\]'"):
        picture(VIEW, [step(0), step(1, needs=[0])])
