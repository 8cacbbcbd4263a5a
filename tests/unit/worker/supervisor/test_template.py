"""The supervisor's handle on the forkserver. What it does with a real one is in the acceptance tests."""

from __future__ import annotations

import asyncio
import errno
import importlib
import os
import resource
import socket
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from penstock.worker.messages import LaneOrder, NotForked, frame
from penstock.worker.options import WorkerOptions
from penstock.worker.supervisor import template
from penstock.worker.supervisor.template import Template


def test_the_program_it_starts_is_there() -> None:
    """It is named and not imported, so nobody else would notice that the module has moved."""
    module = importlib.import_module(template.FORKSERVER)
    assert callable(module.main)


def new_template() -> Template:
    output = SimpleNamespace(follow=lambda fd, **_: os.close(fd))
    return Template(WorkerOptions("no_such_app:app"), cast(Any, SimpleNamespace()), cast(Any, output))


def test_an_executor_that_cannot_be_forked_is_an_error_of_the_system_and_the_next_may_be() -> None:
    async def fork_in_vain() -> None:
        made = new_template()
        made._loop = asyncio.get_running_loop()
        made._socket, theirs = socket.socketpair()
        made._loop.add_reader(made._socket.fileno(), made._read)
        try:
            for number, code in [(3, errno.EMFILE), (4, errno.EAGAIN)]:
                asked = asyncio.ensure_future(made.fork(number, [LaneOrder("process", 1)], []))
                await asyncio.sleep(0)
                theirs.sendall(frame(NotForked(number, code, "no room")))
                with pytest.raises(OSError, match="no room") as raised:
                    await asked
                assert raised.value.errno == code
        finally:
            made._loop.remove_reader(made._socket.fileno())
            made._socket.close()
            theirs.close()

    asyncio.run(fork_in_vain())


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_process_that_cannot_be_started_leaves_nothing_open() -> None:
    """However few descriptors are left: each step that needs some is the one that fails."""

    async def start_in_vain() -> None:
        before = set(map(int, os.listdir("/proc/self/fd")))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            for spare in range(1, 5):
                resource.setrlimit(resource.RLIMIT_NOFILE, (_room_for(spare, before), hard))
                made = new_template()
                with pytest.raises(OSError, match="Too many open files"):
                    await made.start()
                await made.close()
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                assert set(map(int, os.listdir("/proc/self/fd"))) == before
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    asyncio.run(start_in_vain())


def _room_for(spare: int, used: set[int]) -> int:
    """The limit under which so many numbers are free."""
    free = [number for number in range(max(used) + spare + 2) if number not in used]
    return free[spare]
