"""Log records for people (one line of text) or for machines (one JSON object a line), on standard error."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Final

from penstock.process import standard_streams
from penstock.process.standard_streams import dropped_notice
from penstock.process.terminal_text import CONTINUED, visible_json, visible_lines

__all__ = ["enable", "setup", "setup_with"]

_OWN: Final = frozenset(vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "taskName"})


class TextFormatter(logging.Formatter):
    """``10:35:55.123 INFO  penstock.gate: message``. Further lines of a message are indented. Characters that a
    terminal would act upon are spelled out, since parts of a message may come from anybody."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        head = f"{clock}.{int(record.msecs):03d} {record.levelname:<7} {record.name}: "
        return head + visible_lines(text, CONTINUED)


class JsonFormatter(logging.Formatter):
    """``{"time", "level", "logger", "message", "pid", …}``, with whatever the record was given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        entry |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return visible_json(json.dumps(entry, default=str, ensure_ascii=False))


def setup(level: str, log_format: str) -> None:
    """Send this process's records to standard error. A second call replaces the first.

    Args:
        level: debug, info, warning or error, in any case.
        log_format: text or json.
    """
    setup_with(JsonFormatter() if log_format == "json" else TextFormatter(), level)


def setup_with(formatter: logging.Formatter, level: str) -> None:
    """`setup`, with lines of another format.

    Args:
        formatter: makes the lines.
        level: debug, info, warning, error or critical, in any case.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    standard_streams.tell_dropped_as(lambda count: handler.format(_dropped(count)))


def _dropped(count: int) -> logging.LogRecord:
    record = logging.LogRecord("penstock", logging.WARNING, __file__, 0, dropped_notice(count), None, None)
    record.action = "lines-dropped"
    return record


def enable() -> None:
    """Let Penstock's own loggers log again. An application that calls `logging.config` when it is imported has disabled
    every logger that it did not name."""
    for name, logger in logging.getLogger().manager.loggerDict.items():
        if name.partition(".")[0] == "penstock" and isinstance(logger, logging.Logger):
            logger.disabled = False
