"""``penstock nsqd``: the NSQ door. Its flags and lines are nsqd's."""

from __future__ import annotations

import logging

from penstock.cli.nsq_daemon import daemon
from penstock.nsq.flags import CommandLine
from penstock.nsq.options import DoorOptions

__all__ = ["command"]


def _run(line: CommandLine) -> int:
    from penstock import config, node
    from penstock.nsq import log_lines
    from penstock.nsq.loading import load_door, version_line
    from penstock.process import standard_streams

    loaded = load_door(line)
    options = loaded.options
    config.hide_secrets()
    standard_streams.install()
    log_lines.setup(options.log_prefix, options.log_level)
    logger = logging.getLogger("penstock.nsqd")
    logger.info(version_line("nsqd"))
    logger.info("ID: %d", options.node_id)
    for remark in loaded.remarks:
        logger.warning(remark)
    return node.run_nsqd_part(options, None) or 0


command = daemon("nsqd", "Serves NSQ's clients from a store.", DoorOptions, _run)
