"""Options that several commands share."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from penstock import config as configuration
from penstock.config import Config
from penstock.model.errors import InvalidOption

__all__ = [
    "Name",
    "Seconds",
    "Time",
    "Whole",
    "app_argument",
    "app_url",
    "as_json",
    "configured",
    "gate_address",
    "gates",
    "named_texts",
    "queues",
    "serve",
    "sizes",
    "url",
]

_AGO: Final = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}

F = TypeVar("F", bound=Callable[..., Any])


def _is_plain(text: Any) -> bool:
    """Whether a number is written as HTTP and JSON write it. Python reads ``1_0``, digits of other scripts and spaces
    around a number as well; whoever types those has most likely made a mistake."""
    return not isinstance(text, str) or (text.isascii() and "_" not in text and text == text.strip())


class Whole(click.IntRange):
    """A whole number in plain digits, within bounds if there are any."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or wrong usage."""
        if not _is_plain(value):
            self.fail(f"{value!r} is not a whole number in plain digits.", param, ctx)
        return super().convert(value, param, ctx)

    def _describe_range(self) -> str:
        """What ``--help`` says of the bounds. Nothing where there are none; click would say that there is one, None."""
        return "" if self.min is None and self.max is None else super()._describe_range()


url = click.option("--url", metavar="DIRECTORY", help="Where the jobs are. [PENSTOCK_URL; penstock-data]")
app_url = click.option(
    "--url",
    metavar="DIRECTORY",
    help="Where the jobs are. [the application's own; PENSTOCK_URL; penstock-data]",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
gate_address = click.option("--gate", metavar="HOST:PORT", help="Where to listen. [PENSTOCK_GATE; 127.0.0.1:7367]")
gates = click.option("--gates", type=Whole(), metavar="N", help="Gate processes that share the address. [1]")
app_argument = click.argument("app", metavar="APP")


def _names(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """``a,b`` as names; None stays None."""
    if value is None:
        return None
    return tuple(name.strip() for name in value.split(",") if name.strip())


queues = click.option("--queues", metavar="A,B", callback=_names, help="Take from these queues only. [all]")


def sizes(function: F) -> F:
    """``--executors`` and ``--concurrency``."""
    executors = click.option("--executors", type=Whole(), metavar="N", help="Executor processes. [one a core]")
    concurrency = click.option("--concurrency", type=Whole(), metavar="N", help="Async jobs an executor. [100]")
    return executors(concurrency(function))


def serve(config: Config) -> None:
    """Prepare a process that runs until it is told to stop: log as configured, never block on standard output or error,
    and remove secrets from the environment, where jobs could read them."""
    from penstock.process import log, standard_streams

    configuration.hide_secrets()
    standard_streams.install()
    log.setup(config.log, config.log_format)


class Seconds(click.ParamType[float]):
    """A duration: a finite number, 0 or more."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or wrong usage."""
        from penstock.tasks.names import check_seconds

        try:
            if not _is_plain(value):
                raise ValueError(value)
            return check_seconds("It", float(value))
        except ValueError:
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        except InvalidOption as error:
            self.fail(error.message, param, ctx)


class Time(click.ParamType[float]):
    """A time: RFC 3339 with an offset, or how long ago it was."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Unix seconds, or wrong usage."""
        from penstock.gate.job_json import time_of

        ago = _AGO.fullmatch(value) if isinstance(value, str) else None
        if ago is not None:
            return time.time() - float(ago[1]) * _UNITS_S[ago[2]]
        try:
            return time_of(value)
        except ValueError:
            self.fail(
                f"{value!r} is not a time: write 2027-01-01T08:00:00+01:00, or how long ago it was: 90s, 15m, 2h, 3d.",
                param,
                ctx,
            )


def named_texts(_ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str] | None:
    """``NAME=TEXT``, any number of times, by name; None: not once."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{value!r}: write NAME=TEXT.", param=param)
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice.", param=param)
        found[name] = text
    return found or None


class Name(click.ParamType[str]):
    """The name of a queue, a task or a tag. What cannot be such a name is wrong usage. ``or_channel``: the queue of a
    channel will do too."""

    name = "name"

    def __init__(self, kind: str, *, or_channel: bool = False) -> None:
        self._kind = kind
        self._or_channel = or_channel

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, or wrong usage."""
        from penstock.model.acceptance import check_queue, check_task
        from penstock.model.topics import check_any_queue

        try:
            if self._kind == "task":
                check_task(value)
            elif self._or_channel:
                check_any_queue(value, self._kind)
            else:
                check_queue(value, self._kind)
        except InvalidOption as error:
            self.fail(error.message, param, ctx)
        return str(value)


def configured(**flags: Any) -> Config:
    """The configuration with these flags; one that is None was not given.

    Raises:
        InvalidOption: a value is not what it may be.
    """
    return configuration.load(flags)
