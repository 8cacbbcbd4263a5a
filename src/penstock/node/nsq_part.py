"""The door for NSQ's clients as a part of a node, or alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from penstock.config import Config
from penstock.node.forked_part import PartSpec
from penstock.nsq.door_sockets import DoorSockets, listen_all
from penstock.nsq.flags import CommandLine
from penstock.nsq.loading import load_door
from penstock.nsq.options import DoorOptions
from penstock.process.part_report import Reporter

__all__ = ["nsqd_of", "nsqd_spec", "run_nsqd_part"]

_LOGGER = logging.getLogger("penstock.nsqd")


def nsqd_of(config: Config, file: str | None) -> DoorOptions:
    """The options of a node's door. What is to be said of them is logged.

    Args:
        config: what is in force; the messages are where the node's jobs are.
        file: nsqd's configuration file. None: nsqd's defaults.

    Raises:
        InvalidOption: an option is not what it may be, or the file names another directory.
    """
    loaded = load_door(CommandLine({"url": config.url}, config=file or ""))
    for remark in loaded.remarks:
        _LOGGER.warning(remark)
    return loaded.options


def nsqd_spec(options: DoorOptions) -> PartSpec:
    """The door, whose addresses are taken.

    Raises:
        InvalidOption: there is no such host.
        AddressUnavailable: an address is taken, or not ours to have.
    """
    sockets = listen_all(options)
    return PartSpec(
        "nsqd",
        lambda fd: run_nsqd_part(options, fd, sockets=sockets, of_node=True),
        listening=sockets.all(),
    )


def run_nsqd_part(
    options: DoorOptions, report_fd: int | None, *, sockets: DoorSockets | None = None, of_node: bool = False
) -> int | None:
    """Answer NSQ's clients until told to stop.

    Args:
        options: checked.
        report_fd: the root's pipe; None: there is no root.
        sockets: what it listens on. None: it makes its own.
        of_node: there is an owner, which it need not start.
    """
    from penstock.nsq.door.door_process import run_nsqd
    from penstock.store.opening import open_async_store

    reporter = Reporter(report_fd)

    def connect(held: Callable[[], list[int]], holders: bytes) -> Any:
        return open_async_store(options.url, held=held, holders=holders, role="nsqd", start_owner=not of_node)

    return run_nsqd(connect, options, sockets=sockets, on_ready=reporter.ready)
