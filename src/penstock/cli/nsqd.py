"""``penstock nsqd``: the NSQ door. Its flags and lines are nsqd's."""

from __future__ import annotations

import logging

from penstock.cli.nsq_daemon import daemon
from penstock.nsq.flags import CommandLine
from penstock.nsq.options import DoorOptions

__all__ = ["command"]


def _run(line: CommandLine) -> int:
    from penstock import config
    from penstock.nsq import log_lines
    from penstock.nsq.door.door_process import run_nsqd
    from penstock.nsq.loading import load_door, version_line
    from penstock.process import standard_streams
    from penstock.store.opening import open_async_store

    loaded = load_door(line)
    options = loaded.options
    config.hide_secrets()
    standard_streams.install()
    log_lines.setup(options.log_prefix, options.log_level)
    logger = logging.getLogger("penstock.nsqd")
    logger.info(version_line("nsqd"))
    for remark in loaded.remarks:
        logger.warning(remark)
    return run_nsqd(
        lambda held, holders: open_async_store(options.url, held=held, holders=holders, role="nsqd"), options
    )


command = daemon("nsqd", "Serves NSQ's clients from a store.", DoorOptions, _run)
