"""Consumers with real processes: each channel gets each message, in every kind of lane, whoever is killed."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from penstock.model.job import Filter
from penstock.model.states import State
from penstock.store.paging import full_page

from .conftest import until
from .test_worker import HERE, Site
from .test_worker import site as site  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
APP = "consumers_app:app"
COUNT = 30


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where consumers note what they get."""
    path = tmp_path / "notes"
    path.touch()
    monkeypatch.setenv("NOTES", str(path))
    monkeypatch.syspath_prepend(str(HERE))
    return path


@pytest.fixture
def application(site: Site, notes: Path) -> Any:
    """The application, as a publisher has it."""
    import consumers_app

    consumers_app.app.redirect(str(site.store))
    yield consumers_app
    consumers_app.app.close()


def lines(notes: Path) -> list[str]:
    return notes.read_text(encoding="utf-8").splitlines()


def test_every_lane_gets_every_message_beside_the_tasks(site: Site, application: Any, notes: Path) -> None:
    site.work(APP, executors=2).wait_ready()
    for number in range(COUNT):
        assert application.app.publish("orders", {"n": number}, key=f"k{number % 3}").channels == 3
        application.plain.enqueue(number)
    until(lambda: len(lines(notes)) >= 4 * COUNT)
    numbers = range(COUNT)
    assert Counter(lines(notes)) == Counter(
        [f"process {number}" for number in numbers]
        + [f'async {{"n":{number}}} k{number % 3} orders:async' for number in numbers]
        + [f'thread {{"n":{number}}}' for number in numbers]
        + [f"plain {number}" for number in numbers]
    )


def test_a_message_that_fails_is_retried_and_then_dead(site: Site, application: Any, notes: Path) -> None:
    application.app.publish("trouble", "ill")
    site.work(APP, executors=1).wait_ready()
    dead = Filter(state=State.DEAD, queue="trouble:retried")
    [view] = until(lambda: full_page(site.client, dead).jobs)
    assert lines(notes) == ["failing ill 1", "failing ill 2"]
    assert view.error is not None
    assert (view.error.type, view.attempt) == ("ValueError", 2)


def test_no_message_is_lost_when_owner_and_executors_are_killed(site: Site, application: Any, notes: Path) -> None:
    worker = site.work(APP, executors=2).wait_ready()
    for number in range(COUNT):
        application.app.publish("orders", {"n": number}, key="k")
        if number == COUNT // 3:
            os.kill(site.client.owner_statistics().pid, signal.SIGKILL)
        if number == COUNT // 2:
            os.kill(worker.processes["executor"][0], signal.SIGKILL)
    wanted = {f"process {number}" for number in range(COUNT)} | {f'thread {{"n":{number}}}' for number in range(COUNT)}
    until(lambda: wanted <= set(lines(notes)))
    until(lambda: not site.client.totals().counts.running)
    topic = site.client.topics(topic="orders").topics[0]
    assert topic.messages_total == COUNT
    assert [channel.counts.accepted_total for channel in topic.channels] == [COUNT] * 3
