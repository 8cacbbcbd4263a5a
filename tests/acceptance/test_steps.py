"""Durable steps with real processes: whoever is killed between two steps, no step that was recorded runs twice."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from penstock.model.job import JobView
from penstock.model.states import State

from .conftest import until
from .test_children import StoppedOwner
from .test_worker import Site, Worker
from .test_worker import site as site  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
HOLDER = bytes(range(16))
LANES = ["walk", "walk_async", "walk_thread"]
NAPS = ["nap", "nap_async", "nap_thread"]
SQUARES = [0, 1, 4, 9, 16]


def start(site: Site, executors: int = 1) -> Worker:
    """A worker. It takes over at once from one that was killed."""
    return site.work("steps_app:app", executors=executors, holder=HOLDER).wait_ready()


def enqueue(site: Site, task: str, *args: Any) -> bytes:
    return site.enqueue(f"steps_app.{task}", *args)[0]


def value(view: JobView) -> Any:
    assert view.state is State.SUCCEEDED, view
    assert view.result is not None
    return msgspec.msgpack.decode(view.result[1:])


def times(site: Site, name: str) -> int:
    path = site.marks / name
    return len(path.read_text().split()) if path.exists() else 0


def check(site: Site, job: bytes) -> JobView:
    """It has ended well, and each of its steps has run once."""
    view = site.ended(job)
    assert value(view) == SQUARES
    assert [times(site, f"one step {number}") for number in range(len(SQUARES))] == [1] * len(SQUARES)
    assert len(site.client.history(job).records) == len(SQUARES)
    return view


@pytest.mark.parametrize("task", LANES)
def test_an_executor_that_is_killed_between_steps(site: Site, task: str) -> None:
    start(site)
    job = enqueue(site, task, "one")
    (pid,) = site.marked("one")
    os.kill(pid, signal.SIGKILL)
    site.marked("one", 2)
    site.go("one")
    assert check(site, job).attempt == 1


@pytest.mark.parametrize("task", LANES)
def test_a_supervisor_that_is_killed_between_steps(site: Site, task: str) -> None:
    worker = start(site)
    job = enqueue(site, task, "one")
    site.marked("one")
    worker.process.kill()
    worker.process.wait()
    start(site)
    site.marked("one", 2)
    site.go("one")
    assert check(site, job).attempt == 1


@pytest.mark.parametrize("task", LANES)
def test_an_owner_that_is_killed_between_steps(site: Site, task: str) -> None:
    start(site)
    job = enqueue(site, task, "one")
    site.marked("one")
    os.kill(site.client.owner_statistics().pid, signal.SIGKILL)
    site.go("one")
    check(site, job)
    assert times(site, "one") == 1, "nobody but the owner was interrupted"


@pytest.mark.parametrize("task", LANES)
def test_an_owner_that_is_killed_with_a_record_on_its_way(site: Site, task: str) -> None:
    start(site)
    job = enqueue(site, task, "one")
    site.marked("one")
    with StoppedOwner(site) as owner:
        site.go("one")
        site.marked("one step 3")
        owner.kill()
    check(site, job)
    assert times(site, "one") == 1


def test_an_executor_that_is_killed_with_a_record_on_its_way_may_do_that_step_again(site: Site) -> None:
    """What is not recorded is done again; what is, is not."""
    start(site)
    job = enqueue(site, "walk", "one")
    (pid,) = site.marked("one")
    with StoppedOwner(site):
        site.go("one")
        site.marked("one step 3")
        os.kill(pid, signal.SIGKILL)
    assert value(site.ended(job)) == SQUARES
    again = [times(site, f"one step {number}") for number in range(len(SQUARES))]
    assert again[:3] + again[4:] == [1] * 4
    assert again[3] in (1, 2), "the owner may have heard of it"


def test_a_lease_that_is_lost_between_steps_ends_the_run_without_an_outcome(site: Site) -> None:
    start(site, executors=2)
    job = enqueue(site, "walk", "one")
    site.marked("one")
    # Somebody takes the lease back: the job runs a second time beside the first.
    assert site.client.reconcile(HOLDER, []) == 1
    site.marked("one", 2)
    site.go("one")
    view = site.ended(job)
    assert (value(view), view.attempt) == (SQUARES, 1)
    until(lambda: site.counts().running == 0)
    # The run without a lease hears of it when it records a step, and does no other.
    again = [times(site, f"one step {number}") for number in range(len(SQUARES))]
    assert again == [1, 1, 1, 2, 1]
    assert times(site, "end of one") == 1
    counts = site.counts()
    assert (counts.succeeded_total, counts.dead_total, counts.unaccounted()) == (1, 0, 0)


@pytest.mark.parametrize("task", NAPS)
def test_a_sleep_survives_everybody(site: Site, task: str) -> None:
    worker = start(site)
    job = enqueue(site, task, "one", 2.0)
    until(lambda: site.client.get([job])[0].reason == "sleeps")
    worker.process.kill()
    worker.process.wait()
    os.kill(site.client.owner_statistics().pid, signal.SIGKILL)
    start(site)
    assert value(site.ended(job)) == 4 + 1
    assert (times(site, "one step 1"), times(site, "one step 2")) == (1, 1)


def test_a_suspended_job_holds_no_executor_no_slot_and_no_attempt(site: Site) -> None:
    start(site)
    waiting = [enqueue(site, "approval", name) for name in ("a", "b", "c")]
    for job in waiting:
        until(lambda job=job: site.client.get([job])[0].reason == "waits for event 'approved'")
    # One at a time may run, in one executor, and all three have begun.
    assert [times(site, name) for name in ("a", "b", "c")] == [1, 1, 1]
    assert value(site.ended(enqueue(site, "who")))
    views = site.client.get(waiting)
    assert [(view.state, view.attempt, view.run_at) for view in views] == [(State.SCHEDULED, 0, None)] * 3
    for number, job in enumerate(waiting):
        assert site.client.signal(job, "approved", b"m" + msgspec.msgpack.encode(number)).delivered
    assert [value(site.ended(job)) for job in waiting] == [[0, 1], [1, 1], [2, 1]]


def test_a_signal_that_comes_early_survives_the_owner(site: Site) -> None:
    job = enqueue(site, "approval", "one")
    assert site.client.signal(job, "approved", b"m\x07").kept == 1
    os.kill(site.client.owner_statistics().pid, signal.SIGKILL)
    start(site)
    assert value(site.ended(job)) == [7, 1]


def test_a_checkpoint_goes_on_where_the_last_attempt_ended(site: Site) -> None:
    start(site)
    job = enqueue(site, "cursor", "one", 20)
    assert value(site.ended(job)) == 20
    assert [times(site, f"one row {row}") for row in range(20)] == [1] * 20
    assert msgspec.msgpack.decode(site.client.published(job)["rows"][0][1:]) == 20


def test_a_process_that_a_job_forks_records_nothing(site: Site) -> None:
    start(site)
    job = enqueue(site, "forks")
    assert value(site.ended(job)).startswith("InvalidOption: A process that a job has forked records nothing")
    assert [record.name for record in site.client.history(job).records] == ["parent"]


def test_a_job_that_is_cancelled_in_a_step_ends(site: Site) -> None:
    start(site)
    job = enqueue(site, "blocked", "one")
    until(lambda: len(site.client.history(job).records) == 1)
    site.client.cancel([job])
    assert site.ended(job).state is State.CANCELLED


def test_whoever_is_killed_again_and_again_no_step_runs_twice(site: Site) -> None:
    """Executors, supervisor and owner in turn, each at the pause between two steps."""
    worker = start(site)
    job = enqueue(site, "walk_async", "one")
    for round_ in range(1, 5):
        pids = site.marked("one", round_)
        if round_ % 2:
            os.kill(pids[-1], signal.SIGKILL)
        else:
            with suppress(ProcessLookupError):
                os.kill(site.client.owner_statistics().pid, signal.SIGKILL)
            worker.process.kill()
            worker.process.wait()
            worker = start(site)
    site.marked("one", 5)
    site.go("one")
    check(site, job)
