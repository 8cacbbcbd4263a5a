"""Which parts a node has (owner, supervisor, gates), and the entry of each: what its process runs."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from penstock.config import Config, pass_on, split_address
from penstock.model import limits
from penstock.node.forked_part import PartSpec
from penstock.process import process_file
from penstock.process.part_report import PartReport, Reporter, parse

if TYPE_CHECKING:
    from penstock.gate.reads import ProcessRecord
    from penstock.gate.shared_counters import Seat

__all__ = ["gate_specs", "preload", "run_gate_part", "run_owner_part", "run_supervisor_part", "specs"]

_SHARED: Final = (
    "asyncio",
    "penstock.store.embedded",
    "penstock.store.wire.client.async_client",
    "penstock.worker.run",
    "uvloop",
)
"""Modules that more than one part needs. They are imported before the first fork, so that they are in memory once. No
user code, and nothing that starts a thread."""

_SHARED_BY_GATES: Final = ("penstock.gate.gate_process", "penstock.store.wire.client.async_client", "uvloop")
"""Modules that every gate needs; imported before the first fork where there are several gates."""

_HOLDER_BYTES: Final = 16


def specs(config: Config, app: str) -> list[PartSpec]:
    """Owner, supervisor and gates for this application, the foundation first. The gates' address is taken.

    Raises:
        InvalidOption: there is no such host, or the address needs a token.
        AddressUnavailable: the address is taken, or not ours to have.
    """
    drain_s = limits.GRACE_S + limits.STOP_S
    # All supervisors of this node have one name in the store, one after another. So a new one lets go of the leases of
    # the one before at once.
    holder = os.urandom(_HOLDER_BYTES)
    return [
        PartSpec("owner", lambda fd: run_owner_part(config, fd), word=_owner_word),
        PartSpec("supervisor", lambda fd: run_supervisor_part(config, app, fd, holder), drain_s),
        *gate_specs(config, app, of_node=True),
    ]


def gate_specs(config: Config, app: str | None, *, of_node: bool) -> list[PartSpec]:
    """The gates. Their address is taken.

    Args:
        config: what is in force.
        app: as for `run_gate_part`.
        of_node: there are an owner and executors besides them.

    Raises:
        InvalidOption: there is no such host, or the address needs a token.
        AddressUnavailable: the address is taken, or not ours to have.
    """
    from penstock.gate.access import Access
    from penstock.gate.shared_counters import GateScoreboard
    from penstock.http.listening import bind_shared

    host, port = split_address(config.gate)
    Access(host, config.token)
    listening = bind_shared(host, port, config.gates, field="gate")
    board = GateScoreboard(config.gates)

    def spec(number: int, sock: socket.socket) -> PartSpec:
        def entry(fd: int) -> int | None:
            return run_gate_part(config, app, fd, of_node=of_node, listening=sock, seat=board.seat(number))

        return PartSpec("gate", entry, number=number + 1 if config.gates > 1 else 0, listening=(sock,))

    return [spec(number, sock) for number, sock in enumerate(listening)]


def preload(config: Config, *, of_node: bool = True) -> None:
    """Import what the parts share. ``of_node``: there are others than gates."""
    for name in (*(_SHARED if of_node else ()), *(_SHARED_BY_GATES if config.gates > 1 else ())):
        importlib.import_module(name)


def run_owner_part(config: Config, report_fd: int) -> int | None:
    """Serve the store until told to stop. Asks an owner that somebody else started to hand over."""
    from penstock.store import embedded

    # A descriptor of our own: it closes the other when it serves.
    reporter = Reporter(os.dup(report_fd))
    return embedded.main([config.url, "--handover", "--ready-fd", str(report_fd)], on_loss=reporter.lost)


def run_supervisor_part(config: Config, app: str, report_fd: int | None, holder: bytes | None = None) -> int | None:
    """Run jobs until told to stop.

    Args:
        config: what is in force.
        app: whose jobs.
        report_fd: the root's pipe; None: there is no root.
        holder: the name that this node's supervisors have in the store, one after another. None: one of its own.
    """
    from penstock.store.opening import open_async_store
    from penstock.worker.run import run_worker

    pass_on(config)
    reporter = Reporter(report_fd)

    def changed(entries: list[tuple[str, int]]) -> None:
        reporter.processes(entries, sum(role == "executor" for role, _ in entries))

    return run_worker(
        lambda held: open_async_store(config.url, held=held, role="supervisor", start_owner=report_fd is None),
        app,
        executors=config.executors,
        concurrency=config.concurrency,
        queues=None if config.queues is None else list(config.queues),
        log=config.log,
        log_format=config.log_format,
        holder=holder,
        on_ready=reporter.ready,
        on_processes=changed,
        on_failed=None if report_fd is None else reporter.failure,
    )


def run_gate_part(
    config: Config,
    app: str | None,
    report_fd: int | None,
    *,
    of_node: bool = False,
    listening: socket.socket | None = None,
    seat: Seat | None = None,
) -> int | None:
    """Answer HTTP until told to stop.

    Args:
        config: what is in force.
        app: whose signatures arguments are checked against. None: the names that workers have recorded.
        report_fd: the root's pipe; None: there is no root.
        of_node: there are an owner and executors besides it, without which it is not ready.
        listening: the socket it listens on. None: it makes its own.
        seat: where it posts its figures, among the gates that share its address. None: it is the only one.
    """
    from penstock.gate.gate_process import GateSettings, run_gate
    from penstock.gate.reads import ProcessRecord
    from penstock.store.opening import open_async_store
    from penstock.tasks.loading import load_app

    host, port = split_address(config.gate)
    reporter = Reporter(report_fd)
    given: dict[str, Any] = {}
    if of_node:
        given = {"processes": _processes_of(config.url), "unready": lambda: _unready(config.url)}
    elif seat is not None:
        given = {"processes": lambda: [ProcessRecord("gate", posting.pid) for posting in seat.postings()]}
    settings = GateSettings(
        host=host,
        port=port,
        token=config.token,
        tasks=None if app is None else list(load_app(app, config.url).tasks.values()),
        listening=listening,
        seat=seat,
        grace_s=limits.STOP_S / 2,
        on_ready=lambda host, port: reporter.ready(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"),
        **given,
    )
    return run_gate(lambda: open_async_store(config.url, role="gate", start_owner=not of_node), settings)


def _processes_of(directory: str) -> Callable[[], Sequence[ProcessRecord]]:
    """A function that answers the node's processes."""
    from penstock.gate.reads import ProcessRecord

    return lambda: [ProcessRecord(entry.role, entry.pid) for entry in process_file.read(directory).processes]


def _unready(directory: str) -> str | None:
    """Why a node should get no requests yet; None: it should."""
    return None if process_file.read(directory).executors_ready else "No executor is ready."


def _owner_word(said: bytes) -> PartReport | None:
    """Reads what an owner writes to the process that started it: one word when it serves, or the error for which it
    ends; later, that its store is gone."""
    from penstock.store.wire import protocol
    from penstock.store.wire.client.reach import SERVING

    if said == SERVING:
        return PartReport(ready=True)
    loss = parse(said.removeprefix(SERVING))
    if loss is not None:
        return loss
    try:
        return PartReport(failure=protocol.error_of(said).message)
    except msgspec.DecodeError:
        return None
