"""What ``penstock job`` says of a job that was lost."""

from __future__ import annotations

import pytest

from penstock.cli.job import _lost
from penstock.model.ids import new_id
from penstock.model.job import JobView
from penstock.model.states import State

ALONE = "runs alone, since it may have killed an executor"
DIED = "times alone in an executor that died"


def view(state: State = State.READY, **standing: int | bool) -> JobView:
    return JobView(new_id(), "shop.pay", "default", state, 0, 0, 5, 0.0, **standing)


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (view(), []),
        (view(suspect=True), [ALONE]),
        (view(losses=2, suspect=True), [f"2 of 3 {DIED}", ALONE]),
        (view(strays=4), ["4 of 20 times with its worker or its lease"]),
        (view(State.DEAD, losses=3, suspect=True), [f"3 of 3 {DIED}"]),
    ],
)
def test_how_often_it_was_lost_and_what_follows(seen: JobView, says: list[str]) -> None:
    assert _lost(seen) == ", ".join(says)
