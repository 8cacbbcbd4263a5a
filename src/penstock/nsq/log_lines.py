"""Log lines as NSQ's daemons write them, for programs that read them: ``[nsqd] 2026/12/01 02:26:33.123456 INFO: …``."""

from __future__ import annotations

import logging
import time
from typing import Final

from penstock.process import log
from penstock.process.terminal_text import CONTINUED, visible_lines

__all__ = ["NsqFormatter", "set_level", "setup"]

_LEVELS: Final = {"debug": "debug", "info": "info", "warn": "warning", "error": "error", "fatal": "critical"}
"""What Python calls NSQ's levels."""
_FATAL: Final = "FATAL"


class NsqFormatter(logging.Formatter):
    """Lines as NSQ's daemons write them. Further lines of a message are indented.

    Args:
        prefix: what each line begins with.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        clock = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(record.created))
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        level = _FATAL if record.levelno >= logging.CRITICAL else record.levelname
        micros = int(record.created % 1 * 1_000_000)
        return f"{self._prefix}{clock}.{micros:06d} {level}: {visible_lines(text, CONTINUED)}"


def setup(prefix: str, level: str) -> None:
    """Send this process's records to standard error, as NSQ's daemons write them.

    Args:
        prefix: what each line begins with.
        level: debug, info, warn, error or fatal.
    """
    log.setup_with(NsqFormatter(prefix), _LEVELS[level])


def set_level(level: str) -> None:
    """Log what is at least as severe as this, from now on. ``level``: as of `setup`."""
    logging.getLogger().setLevel(_LEVELS[level].upper())
