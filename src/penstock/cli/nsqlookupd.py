"""``penstock nsqlookupd``: tells NSQ's clients which nsqd has which topic. Its flags and lines are nsqlookupd's."""

from __future__ import annotations

import logging

from penstock.cli.nsq_daemon import daemon
from penstock.nsq.flags import CommandLine
from penstock.nsq.options import LookupOptions

__all__ = ["command"]


def _run(line: CommandLine) -> int:
    from penstock import config
    from penstock.nsq import log_lines
    from penstock.nsq.loading import load_lookup, version_line
    from penstock.nsq.lookup.lookup_process import run_nsqlookupd
    from penstock.process import standard_streams

    loaded = load_lookup(line)
    config.hide_secrets()
    standard_streams.install()
    log_lines.setup(loaded.options.log_prefix, loaded.options.log_level)
    logger = logging.getLogger("penstock.nsqlookupd")
    logger.info(version_line("nsqlookupd"))
    for remark in loaded.remarks:
        logger.warning(remark)
    return run_nsqlookupd(loaded.options)


command = daemon("nsqlookupd", "Tells NSQ's clients which nsqd has which topic.", LookupOptions, _run)
