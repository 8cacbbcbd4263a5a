"""Jobs that a job enqueues with its outcome: they are there if and only if that outcome is, whoever is killed between
the end of its body and the commit."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.model.ids import id_text
from penstock.model.job import Filter, JobView
from penstock.model.states import State
from penstock.store.paging import full_page

from .conftest import until
from .test_worker import Site, Worker
from .test_worker import site as site  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
APP = "children_app:app"
CHILDREN = 3
HOLDER = bytes(range(16))
PARENTS = ["parent", "parent_async", "parent_thread"]


def start(site: Site) -> Worker:
    """A worker with one executor. It takes over at once from one that was killed."""
    return site.work(APP, executors=1, holder=HOLDER).wait_ready()


def children(site: Site) -> list[JobView]:
    return full_page(site.client, Filter(queue="children")).jobs


def enqueue(site: Site, task: str, *args: Any) -> bytes:
    """Answers the id."""
    return site.enqueue(f"children_app.{task}", *args)[0]


def check(site: Site, parent: bytes, executions: int) -> None:
    """The parent has succeeded after so many executions, and its children are those of the one that counts."""
    view = site.ended(parent)
    assert view.state is State.SUCCEEDED, view
    assert view.result is not None
    until(lambda: site.client.stats().queues["children"].succeeded_total == CHILDREN)
    assert sorted(id_text(child.id) for child in children(site)) == sorted(msgspec.msgpack.decode(view.result[1:]))
    stats = site.client.stats().queues["children"]
    assert (stats.accepted_total, stats.unaccounted()) == (CHILDREN, 0)
    assert len(site.marked("one")) == executions


@pytest.mark.parametrize("task", PARENTS)
def test_they_land_with_the_success_and_not_before(site: Site, task: str) -> None:
    start(site)
    parent = enqueue(site, task, "one")
    site.marked("one")
    assert "children" not in site.client.stats().queues
    site.go("one")
    check(site, parent, 1)


def test_they_land_when_nothing_is_kept_of_their_parent(site: Site) -> None:
    start(site)
    parent = enqueue(site, "forgotten", "one")
    until(lambda: len(children(site)) == CHILDREN)
    assert site.client.get([parent]) == [None]


def test_an_attempt_that_fails_enqueues_nothing(site: Site) -> None:
    start(site)
    check(site, enqueue(site, "fails", "one", 2), 3)
    dead = site.ended(enqueue(site, "fails", "two", 3))
    assert (dead.state, len(children(site))) == (State.DEAD, CHILDREN)


def test_an_executor_that_is_killed_at_the_end_of_the_body_enqueues_nothing(site: Site) -> None:
    start(site)
    check(site, enqueue(site, "dies_first", "one"), 2)


@pytest.mark.parametrize("task", PARENTS)
def test_a_supervisor_that_is_killed_before_it_has_heard_of_the_end(site: Site, task: str) -> None:
    worker = start(site)
    parent = enqueue(site, task, "one")
    site.marked("one")
    worker.process.send_signal(signal.SIGSTOP)
    site.go("one")
    site.marked("end of one")
    worker.process.kill()
    start(site)
    check(site, parent, 2)


def test_a_supervisor_that_is_killed_while_it_settles(site: Site) -> None:
    """Its settlement may have reached the owner or not: either execution may count, and one does."""
    worker = start(site)
    parent = enqueue(site, "parent", "one")
    site.marked("one")
    with StoppedOwner(site):
        end(site, worker)
        worker.process.kill()
        worker.process.wait()
    start(site)
    site.ended(parent)
    check(site, parent, len(site.marked("one")))


def test_an_executor_that_is_killed_when_its_outcome_is_not_committed_yet(site: Site) -> None:
    """Its supervisor has read the report, and then the first execution counts, or has not."""
    worker = start(site)
    parent = enqueue(site, "parent", "one")
    (pid,) = site.marked("one")
    with StoppedOwner(site):
        end(site, worker)
        os.kill(pid, signal.SIGKILL)
    site.ended(parent)
    check(site, parent, len(site.marked("one")))


@pytest.mark.parametrize("task", PARENTS)
def test_an_owner_that_is_killed_before_it_has_committed_the_outcome(site: Site, task: str) -> None:
    worker = start(site)
    parent = enqueue(site, task, "one")
    site.marked("one")
    with StoppedOwner(site) as owner:
        end(site, worker)
        owner.kill()
    check(site, parent, 1)


class StoppedOwner:
    """While it is stopped, nothing is committed."""

    def __init__(self, site: Site) -> None:
        self._pid = site.client.owner_statistics().pid

    def __enter__(self) -> StoppedOwner:
        os.kill(self._pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)


def end(site: Site, worker: Worker) -> None:
    """Let the parent end, and its supervisor run twice since: it reads the report and sends the outcome on."""
    site.go("one")
    site.marked("end of one")
    before = turns(worker.process.pid)
    until(lambda: turns(worker.process.pid) >= before + 2)


def turns(pid: int) -> int:
    """How often a process has gone to sleep by itself."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
