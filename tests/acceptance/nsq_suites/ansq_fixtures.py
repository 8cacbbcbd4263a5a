"""Fixtures that the suite of ansq asks for: its sdist brings the tests and not the file that starts the daemons.

A plugin for the pytest of its environment: ``-p ansq_fixtures``. PATH says what ``nsqd`` and ``nsqlookupd`` are.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
import urllib.request

import pytest

LOOKS = 10
"""How often in turn a condition holds that is waited for."""


class Daemon:
    """One process of NSQ at an address that the tests know by heart."""

    def __init__(self, program, port, http_port, options):
        self.host, self.port, self.http_port = "127.0.0.1", port, http_port
        self.tcp_address, self.http_address = f"{self.host}:{port}", f"{self.host}:{http_port}"
        self._command = [program, f"-tcp-address={self.tcp_address}", f"-http-address={self.http_address}", *options]
        self._process = None

    async def start(self):
        """Start it, and wait until it answers."""
        self._process = await asyncio.create_subprocess_exec(*self._command)
        deadline = time.monotonic() + 30
        while not await asyncio.to_thread(self._answers):
            assert time.monotonic() < deadline, f"{self._command} does not answer"
            assert self._process.returncode is None, f"{self._command} ended"
            await asyncio.sleep(0.02)

    async def stop(self):
        """Kill it: who depends on it has to notice by itself."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.wait()

    def _answers(self):
        try:
            with urllib.request.urlopen(f"http://{self.http_address}/ping", timeout=5) as answer:
                return answer.read() == b"OK"
        except OSError:
            return False


@contextlib.asynccontextmanager
async def running(daemon):
    """The daemon, for as long as the block lasts."""
    try:
        await daemon.start()
        yield daemon
    finally:
        await daemon.stop()


@pytest.fixture
def create_nsqd(tmp_path):
    """An nsqd at these ports, with a data directory of its own."""

    def create(port=4150, http_port=4151, lookupd_tcp_addresses=()):
        directory = tmp_path / f"nsqd-{port}"
        directory.mkdir()
        options = [f"-lookupd-tcp-address={address}" for address in lookupd_tcp_addresses]
        return running(
            Daemon("nsqd", port, http_port, [f"-data-path={directory}", "-broadcast-address=127.0.0.1", *options])
        )

    return create


@pytest.fixture
def create_nsqlookupd():
    """An nsqlookupd at these ports."""

    def create(port=4160, http_port=4161):
        return running(Daemon("nsqlookupd", port, http_port, []))

    return create


@pytest.fixture
async def nsqd(create_nsqd):
    """The nsqd at the usual ports."""
    async with create_nsqd() as daemon:
        yield daemon


@pytest.fixture
def wait_for():
    """Wait until a condition holds."""

    async def holds(condition):
        held = condition()
        return await held if inspect.isawaitable(held) else held

    async def wait(condition, deadline_s=30.0):
        # Held for a moment: a reader counts a connection before it has subscribed, and never comes back if that is cut
        # off in between.
        deadline = time.monotonic() + deadline_s
        looks = 0
        while looks < LOOKS:
            looks = looks + 1 if await holds(condition) else 0
            assert time.monotonic() < deadline, "waited in vain"
            await asyncio.sleep(0.02)

    return wait
