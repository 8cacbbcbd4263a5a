"""What can be seen of the process, and done to it."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from penstock.model import limits
from penstock.nsq.door import debugging
from tests.unit.nsq.door.fake_door import FakeDoor
from tests.unit.nsq.http_asking import ask


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor()


def text(door: FakeDoor, path: str) -> str:
    said = door.call("GET", path)
    assert (said.status, said.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    return said.body.decode()


def test_the_index_names_what_there_is(door: FakeDoor) -> None:
    shown = text(door, "/debug/pprof/")
    for line in shown.splitlines():
        if "profile" not in line:
            text(door, line.split()[0])


def test_tasks_and_threads_with_where_they_wait(door: FakeDoor) -> None:
    shown = text(door, "/debug/pprof/goroutine")
    assert "tasks: 1\n" in shown
    assert "_tasks" in shown
    assert threading.current_thread().name in shown
    assert text(door, "/debug/pprof/threadcreate").startswith("threads: ")


def test_objects_by_type(door: FakeDoor) -> None:
    shown = text(door, "/debug/pprof/heap")
    assert "builtins.dict\n" in shown
    assert shown.startswith("resident: ")


def test_how_it_was_started(door: FakeDoor) -> None:
    assert text(door, "/debug/pprof/cmdline").split("\0") == sys.orig_argv


@pytest.mark.parametrize("seconds", ["1", "99", "", "no", "-1"])
def test_where_the_time_goes(door: FakeDoor, monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setattr(limits, "NSQ_PROFILE_S_MAX", 0.01)
    shown = text(door, f"/debug/pprof/profile?seconds={seconds}")
    assert shown.startswith("0.01 s of the event loop\n")
    assert "cumulative" in shown


def test_one_profile_at_a_time(door: FakeDoor) -> None:
    async def story() -> None:
        with debugging._profiling:
            said = await ask(door.application, "GET", "/debug/pprof/profile")
            assert (said.status, said.body) == (503, b"Another profile is being made.")

    asyncio.run(story())


def test_garbage_is_collected(door: FakeDoor) -> None:
    said = door.post("/debug/freememory")
    assert said.status == 200
    assert said.body.startswith(b"OK: ")


def test_a_block_rate_is_a_number_and_changes_nothing(door: FakeDoor) -> None:
    assert door.call("PUT", "/debug/setblockrate?rate=100").status == 200
    said = door.call("PUT", "/debug/setblockrate?rate=fast")
    assert (said.status, said.body) == (
        400,
        b'invalid block rate : strconv.Atoi: parsing "fast": invalid syntax',
    )


def test_other_machines_see_nothing_of_it(door: FakeDoor) -> None:
    for path in ("/debug/pprof/", "/debug/pprof/goroutine"):
        assert door.call("GET", path, client="10.0.0.1").status == 403
    assert door.post("/debug/freememory", client="10.0.0.1").status == 403
