"""Workers that are given what they cannot run, and jobs that wait behind a busy executor, with real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from penstock.model.job import JobView
from penstock.model.states import State

from .conftest import until
from .test_worker import Site, jobs_of

KINDS = ("plain", "coroutine", "thread")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def put(site: Site, task: str, numbers: range, **options: float) -> list[bytes]:
    """Enqueue a job for each number, all at once."""
    groups = [jobs_of(task, [number], 1, **options) for number in numbers]
    site.client.enqueue(groups)
    return [group.jobs[0].id for group in groups]


def ended(site: Site, ids: list[bytes]) -> list[JobView]:
    views = site.client.wait(ids, 60.0, result=True)
    assert all(view is not None and view.finished_at is not None for view in views), views
    return [view for view in views if view is not None]


def result(view: JobView) -> object:
    assert view.result is not None, view
    return msgspec.msgpack.decode(view.result[1:])


def test_two_applications_on_one_directory_run_their_own_jobs_and_nobody_is_charged(site: Site) -> None:
    for worker in [site.work("versions_app:old"), site.work("versions_app:new")]:
        worker.wait_ready()
    numbers, ids = range(15), list[bytes]()
    for kind in KINDS:
        ids += put(site, f"old.{kind}", numbers) + put(site, f"new.{kind}", numbers)
    views = ended(site, ids)
    assert {(view.state, view.attempt, view.losses) for view in views} == {(State.SUCCEEDED, 1, 0)}
    wanted = [f"{at} {number}" for _ in KINDS for at in ("old", "new") for number in numbers]
    assert [result(view) for view in views] == wanted


def test_a_job_with_few_attempts_has_them_all_though_others_are_given_it(site: Site) -> None:
    for worker in [site.work("versions_app:new"), site.work("versions_app:old")]:
        worker.wait_ready()
    groups = [jobs_of("old.stumble", [f"stumble-{number}"], 1) for number in range(30)]
    site.client.enqueue(groups)
    views = ended(site, [group.jobs[0].id for group in groups])
    assert {(view.state, view.attempt) for view in views} == {(State.SUCCEEDED, 2)}


@pytest.mark.parametrize(("task", "error"), [("shop.paint", "InvalidArguments"), ("new.plain", "UnknownTask")])
def test_a_job_of_a_newer_version_waits_for_its_worker_and_says_why(site: Site, task: str, error: str) -> None:
    worker = site.work("versions_app:old").wait_ready()
    (job,) = site.enqueue(task, 7, "red")

    def refused() -> JobView | None:
        (view,) = site.client.get([job])
        return view if view is not None and view.error is not None else None

    view = until(refused)
    assert (view.state, view.attempt, view.error.type) == (State.READY, 0, error)
    # A job of an unknown task is not even asked for; only one whose arguments do not fit has been tried.
    assert site.counts().refused == (error == "InvalidArguments")
    # What is behind it is run meanwhile.
    assert {one.state for one in ended(site, put(site, "old.plain", range(20)))} == {State.SUCCEEDED}
    site.work("versions_app:new").wait_ready()
    (view,) = ended(site, [job])
    assert (view.state, view.attempt, view.error) == (State.SUCCEEDED, 1, None)
    assert result(view) == {"shop.paint": "new 7 red", "new.plain": "red 7"}[task]
    status, errors = worker.stop()
    tried = int(error == "InvalidArguments")
    assert (status, errors.count("this worker cannot run jobs of")) == (0, tried), errors


def test_a_job_handed_ahead_to_a_busy_executor_expires_there(site: Site) -> None:
    site.work("versions_app:new", executors=1).wait_ready()
    ended(site, put(site, "new.plain", range(50)))
    late = jobs_of("new.note", ["late"], 5, expires_s=0.5)
    site.client.enqueue([jobs_of("new.hold", ["busy"], 1), late, jobs_of("new.note", ["in-time"], 1, expires_s=600.0)])
    until((site.marks / "busy").exists)
    views = ended(site, [job.id for job in late.jobs])
    assert {(view.state, view.attempt, view.started_at) for view in views} == {(State.EXPIRED, 0, None)}
    site.go("busy")
    until((site.marks / "in-time").exists)
    assert not (site.marks / "late").exists()
