"""What is held against a job that was lost."""

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.losses import Loss, Standing


@pytest.mark.parametrize(
    ("loss", "after"),
    [
        (Loss.UNSTARTED, Standing(1, 1)),
        (Loss.STRAY, Standing(1, 2)),
        (Loss.SHARED, Standing(1, 1, suspect=True)),
        (Loss.BLAMED, Standing(2, 1, suspect=True)),
    ],
)
def test_each_loss_counts_as_what_it_is(loss: Loss, after: Standing) -> None:
    assert Standing(1, 1).after(loss) == after
    assert Standing(1, 1, suspect=True).after(loss) == after._replace(suspect=True)


@pytest.mark.parametrize(
    ("loss", "limit"), [(Loss.BLAMED, limits.LOSSES_MAX), (Loss.STRAY, limits.STRAYS_MAX), (Loss.SHARED, None)]
)
def test_only_blames_and_very_many_strays_are_death(loss: Loss, limit: int | None) -> None:
    standing, died_at = Standing(), None
    for count in range(1, 100):
        standing = standing.after(loss)
        if standing.is_dead(loss):
            died_at = count
            break
    assert died_at == limit


def test_another_kind_of_loss_is_not_the_last_straw() -> None:
    nearly = Standing(limits.LOSSES_MAX - 1, limits.STRAYS_MAX - 1)
    assert not nearly.after(Loss.SHARED).is_dead(Loss.SHARED)
    assert not nearly.after(Loss.UNSTARTED).is_dead(Loss.UNSTARTED)
    full = Standing(limits.LOSSES_MAX, limits.STRAYS_MAX, suspect=True)
    assert not full.is_dead(Loss.UNSTARTED)
