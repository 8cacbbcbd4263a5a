"""Claims about jobs that were lost: who is blamed, who runs alone, who is dead."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.job import Buried, Extension, JobError, LeaseRequest, Lost, Retried, Snoozed
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    ERROR,
    HOLDER,
    StoreClaims,
    counted,
    elapse,
    ids_of,
    put,
    see,
    settle,
    states,
    succeeded,
    take,
    take_one,
)

DIED = JobError("SIGSEGV", "killed by signal 11", "last words")


def lose(store: Store, loss: Loss) -> None:
    """Lease a job and lose it."""
    settle(store, lost=[Lost(take_one(store).fence, loss, DIED)])


def suspect(store: Store) -> bytes:
    """A job that may have killed an executor, ready again."""
    (job,) = put(store)
    lose(store, Loss.SHARED)
    assert see(store, job).suspect
    return job


class LosingClaims(StoreClaims):
    """What is held against a job whose executor or lease is gone."""

    def test_a_shared_crash_is_held_against_nobody(self, store: Store) -> None:
        (job,) = put(store)
        for _ in range(limits.STRAYS_MAX + limits.LOSSES_MAX):
            lose(store, Loss.SHARED)
        view = see(store, job)
        assert (view.state, view.attempt, view.losses, view.strays) == (State.READY, 0, 0, 0)
        assert take_one(store).job.attempt == 1

    def test_a_lease_names_those_who_may_be_guilty(self, store: Store) -> None:
        ids = put(store, 5)
        held = take(store)
        losses = (Loss.UNSTARTED, Loss.SHARED, Loss.STRAY, Loss.BLAMED)
        lost = [Lost(one.fence, loss, DIED) for one, loss in zip(held, losses, strict=False)]
        settle(store, lost=lost, released=[held[4].fence])
        batch = store.lease(LeaseRequest(HOLDER, 10))
        assert [job.id for job in batch.jobs] == ids
        assert batch.alone == [1, 3]

    def test_a_job_that_was_alone_too_often_when_its_executor_died_is_dead(self, store: Store) -> None:
        (job,) = put(store)
        for losses in range(limits.LOSSES_MAX):
            assert (see(store, job).state, see(store, job).losses) == (State.READY, losses)
            lose(store, Loss.BLAMED)
        view = see(store, job)
        assert (view.state, view.attempt, view.losses) == (State.DEAD, 1, limits.LOSSES_MAX)
        assert view.error == JobError("WorkerLost", DIED.message, DIED.traceback)

    def test_a_stray_is_dead_much_later(self, store: Store) -> None:
        (job,) = put(store)
        for strays in range(limits.STRAYS_MAX):
            view = see(store, job)
            assert (view.state, view.attempt, view.strays, view.suspect) == (State.READY, 0, strays, False)
            lose(store, Loss.STRAY)
        view = see(store, job)
        assert (view.state, view.losses, view.strays) == (State.DEAD, 0, limits.STRAYS_MAX)
        assert view.error == JobError("WorkerLost", DIED.message, DIED.traceback)
        assert counted(store)["lost_total"] == limits.STRAYS_MAX

    def test_each_kind_of_loss_has_its_own_limit(self, store: Store) -> None:
        (job,) = put(store)
        for loss, limit in ((Loss.BLAMED, limits.LOSSES_MAX), (Loss.STRAY, limits.STRAYS_MAX)):
            for _ in range(limit - 1):
                lose(store, loss)
        lose(store, Loss.SHARED)
        assert (see(store, job).state, see(store, job).attempt) == (State.READY, 0)

    def test_a_waiting_job_tells_why_it_was_lost(self, store: Store) -> None:
        for loss in (Loss.STRAY, Loss.SHARED, Loss.BLAMED):
            (job,) = put(store)
            lose(store, loss)
            assert see(store, job).error == JobError("WorkerLost", DIED.message, DIED.traceback)
            settle(store, forgotten=[take_one(store).fence])

    def test_a_loss_before_the_start_hides_no_error(self, store: Store) -> None:
        (job,) = put(store)
        settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        lose(store, Loss.UNSTARTED)
        assert see(store, job).error == ERROR

    @pytest.mark.parametrize(
        "outcome",
        [
            lambda fence: {"retried": [Retried(fence, 0.0, ERROR)]},
            lambda fence: {"retried": [Retried(fence, 900.0, ERROR)]},
            lambda fence: {"snoozed": [Snoozed(fence, 0.0)]},
            lambda fence: {"buried": [Buried(fence, ERROR)]},
        ],
        ids=["retried", "retried-later", "snoozed", "buried"],
    )
    def test_a_suspect_that_ends_by_itself_is_none_any_more(
        self, store: Store, outcome: Callable[[int], dict[str, Any]]
    ) -> None:
        job = suspect(store)
        settle(store, **outcome(take_one(store).fence))
        assert not see(store, job).suspect
        assert store.lease(LeaseRequest(HOLDER, 1)).alone == []

    def test_nor_is_one_that_succeeds(self, store: Store, clock: VirtualClock) -> None:
        job = suspect(store)
        settle(store, succeeded=[succeeded(take_one(store).fence, clock)])
        assert (see(store, job).state, see(store, job).suspect) == (State.SUCCEEDED, False)

    def test_blames_outlive_a_retry(self, store: Store) -> None:
        (job,) = put(store)
        for _ in range(limits.LOSSES_MAX - 1):
            lose(store, Loss.BLAMED)
            settle(store, retried=[Retried(take_one(store).fence, 0.0, ERROR)])
        lose(store, Loss.BLAMED)
        assert see(store, job).state is State.DEAD

    @pytest.mark.parametrize(
        "outcome",
        [
            lambda fence: {"released": [fence]},
            lambda fence: {"lost": [Lost(fence, Loss.STRAY, DIED)]},
            lambda fence: {"lost": [Lost(fence, Loss.UNSTARTED, DIED)]},
        ],
        ids=["released", "stray", "unstarted"],
    )
    def test_one_of_which_nothing_was_learnt_stays_a_suspect(
        self, store: Store, outcome: Callable[[int], dict[str, Any]]
    ) -> None:
        job = suspect(store)
        settle(store, **outcome(take_one(store).fence))
        assert see(store, job).suspect
        assert store.lease(LeaseRequest(HOLDER, 1)).alone == [0]

    def test_nor_is_anything_learnt_when_its_lease_ends(self, store: Store, clock: VirtualClock) -> None:
        job = suspect(store)
        held = take_one(store, lease_s=3.0)
        store.extend(Extension(HOLDER, [held.fence], 3.0, started=[(held.fence, clock.time())]))
        elapse(store, clock, 3.0)
        assert (see(store, job).suspect, see(store, job).strays) == (True, 1)
        take_one(store)
        store.reconcile(HOLDER, [])
        assert see(store, job).suspect

    def test_a_suspect_may_be_moved_and_edited(self, store: Store) -> None:
        job = suspect(store)
        assert store.move([job], "other") == [State.READY]
        assert store.edit([job], priority=7) == [State.READY]
        assert store.lease(LeaseRequest(HOLDER, 1)).alone == [0]

    def test_poison_that_is_revived_has_all_its_lives_and_runs_alone(self, store: Store) -> None:
        (job,) = put(store)
        lose(store, Loss.STRAY)
        for _ in range(limits.LOSSES_MAX):
            lose(store, Loss.BLAMED)
        assert store.revive([job]) == [State.READY]
        view = see(store, job)
        assert (view.losses, view.strays, view.suspect, view.error) == (0, 0, True, None)
        assert store.lease(LeaseRequest(HOLDER, 1)).alone == [0]

    def test_whatever_it_was_a_job_may_be_thrown_away(self, store: Store) -> None:
        job = suspect(store)
        assert store.delete([job]) == [True]
        assert states(store, [job]) == [None]
        (other,) = put(store)
        batch = store.lease(LeaseRequest(HOLDER, 1))
        assert ([one.id for one in batch.jobs], batch.alone) == ([other], [])

    def test_suspects_keep_their_place(self, store: Store) -> None:
        ids = put(store, 3)
        lost = [Lost(one.fence, Loss.SHARED, DIED) for one in take(store)]
        settle(store, lost=lost)
        later = put(store)
        assert ids_of(take(store)) == [*ids, *later]
