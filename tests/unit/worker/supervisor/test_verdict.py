"""Who is to blame for the death of an executor."""

from __future__ import annotations

import pytest

from penstock.model.losses import Loss
from penstock.worker.supervisor.verdict import verdict


@pytest.mark.parametrize(
    ("status", "begun", "ended", "loss"),
    [
        (1, 1, 0, Loss.BLAMED),
        (-9, 1, 0, Loss.BLAMED),
        (0, 1, 0, Loss.BLAMED),
        (1, 2, 0, Loss.SHARED),
        (1, 1, 1, Loss.SHARED),
        (None, 1, 0, Loss.STRAY),
        (None, 20, 3, Loss.STRAY),
    ],
)
def test_only_a_job_that_was_alone_all_the_time_is_blamed(
    status: int | None, begun: int, ended: int, loss: Loss
) -> None:
    assert verdict(status, begun, ended) is loss
