"""The node under test: the parts of ``penstock up`` with short leases, and a second supervisor that takes over.

``python -m penstock.testing.torture.tree PARENT SETTINGS``; the settings are JSON, see `Settings`.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from penstock import config
from penstock.config import Config, pass_on
from penstock.model import limits
from penstock.model.job import Extended, Extension, LeaseRequest
from penstock.node.forked_part import PartSpec
from penstock.node.parts import preload, specs
from penstock.node.root import Root
from penstock.process import log
from penstock.process.part_report import Reporter
from penstock.process.process_tree import leave_with_parent
from penstock.store import embedded
from penstock.store.wire.client.async_client import AsyncClient
from penstock.testing.torture.late_store import LateStore
from penstock.testing.torture.tasks import APP
from penstock.worker.run import run_worker

GATES: Final = 2
LATE: Final = "late-writes"
"""Instead of an option of the owner: its store is a `LateStore`."""
SUPERVISORS: Final = ("supervisor", "supervisor-2")
CONCURRENCY: Final = 50
"""Async jobs at a time in one executor."""
_BEATS_A_LEASE: Final = 4


class Settings(msgspec.Struct, frozen=True):
    """What the node is to be.

    Attributes:
        gate: host and port.
        executors: of each supervisor.
        lease_s: how long a lease is.
        unsafe: options of the owner that switch a check off, or `LATE`; the audit must then fail.
        queues: that the supervisors serve; None: all.
    """

    directory: str
    gate: str
    executors: int
    lease_s: float
    unsafe: list[str] = []
    queues: list[str] | None = None


class ShortLeases:
    """A client whose leases are shorter than a worker asks for."""

    def __init__(self, client: AsyncClient, lease_s: float) -> None:
        self._client = client
        self._lease_s = lease_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def lease(self, request: LeaseRequest, *args: Any, **kwargs: Any) -> Any:
        """See `AsyncClient.lease`."""
        return await self._client.lease(msgspec.structs.replace(request, lease_s=self._lease_s), *args, **kwargs)

    async def extend(self, extension: Extension) -> Extended:
        """See `AsyncClient.extend`."""
        extension.lease_s = self._lease_s
        return await self._client.extend(extension)


def _config(settings: Settings) -> Config:
    return config.load(
        {"url": settings.directory, "gate": settings.gate, "gates": GATES, "executors": settings.executors}
    )


def parts(settings: Settings) -> list[PartSpec]:
    """Owner, two supervisors and two gates, the foundation first."""
    owner, supervisor, *gates = specs(_config(settings), APP)
    owner = dataclasses.replace(owner, entry=lambda fd: _own(settings, fd))
    supervisors = [
        dataclasses.replace(supervisor, role=role, entry=lambda fd: _supervise(settings, fd)) for role in SUPERVISORS
    ]
    return [owner, *supervisors, *gates]


def _own(settings: Settings, report_fd: int) -> int:
    command = [settings.directory, "--handover", "--ready-fd", str(report_fd)]
    if LATE in settings.unsafe:
        return embedded.main(command, make_engine=LateStore)
    return embedded.main([*command, *settings.unsafe])


def _supervise(settings: Settings, report_fd: int) -> int:
    reporter = Reporter(report_fd)

    async def connect(held: Callable[[], list[int]]) -> Any:
        client = await AsyncClient.connect(settings.directory, held=held, start_owner=False)
        return ShortLeases(client, settings.lease_s)

    def changed(entries: list[tuple[str, int]]) -> None:
        reporter.processes(entries, sum(role == "executor" for role, _ in entries))

    return run_worker(
        connect,
        APP,
        executors=settings.executors,
        concurrency=CONCURRENCY,
        queues=settings.queues,
        on_ready=reporter.ready,
        on_processes=changed,
    )


def main(argv: Sequence[str]) -> int:
    """Be the root of the node until told to stop."""
    parent, text = argv
    leave_with_parent(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = msgspec.json.decode(text, type=Settings)
    log.setup("info", "text")
    # Heartbeats fit the lease, as they do with the lease that workers have otherwise.
    setattr(limits, "EXTEND_S", settings.lease_s / _BEATS_A_LEASE)  # noqa: B010 - Final for everybody else
    setattr(limits, "CANCEL_NOTICE_S", settings.lease_s / _BEATS_A_LEASE)  # noqa: B010 - as above
    # Executors record steps through the application's own client.
    pass_on(_config(settings))
    preload(_config(settings))
    status, reason = Root(parts(settings), settings.directory).run()
    if reason is not None:
        sys.stderr.write(f"penstock: {reason}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
