"""The configuration: flags over environment over defaults. The only reader of the environment.

A `Config` is made once, by `load`, and checked as a whole: every value, and how the values fit together. Each value
knows where it came from, so that ``penstock config`` can say so.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from penstock.model import limits
from penstock.model.errors import InvalidOption

__all__ = [
    "Config",
    "Origin",
    "absolute",
    "default_url",
    "environment_for_programs",
    "hide_secrets",
    "load",
    "pass_on",
    "pass_on_redo",
    "redo_setting",
    "split_address",
]

DEFAULT_URL: Final = "penstock-data"
DEFAULT_GATE: Final = "127.0.0.1:7367"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("text", "json")
_QUEUE = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_VARIABLES: Final = {
    "url": "PENSTOCK_URL",
    "gate": "PENSTOCK_GATE",
    "log": "PENSTOCK_LOG",
    "log_format": "PENSTOCK_LOG_FORMAT",
    "token": "PENSTOCK_TOKEN",
}
SECRETS: Final = frozenset({"PENSTOCK_TOKEN"})
"""Variables that jobs must not read."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from: ``kind`` is flag, env or default; ``name`` the flag or the variable, empty for a
    default."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class Config:
    """What is in force.

    Attributes:
        url: where the jobs are; the absolute path of a directory.
        gate: ``host:port`` the gate listens on, and where a client looks for it.
        log: the least severe level that is logged.
        log_format: ``text`` or ``json``.
        token: what a client shows to a gate. None: nothing.
        gates: gate processes that share the address.
        executors: executor processes of one supervisor.
        concurrency: async jobs at a time in one executor.
        queues: the queues a worker takes from. None: all.
        origins: where each of the above came from, by name.
    """

    url: str
    gate: str
    log: str
    log_format: str
    token: str | None
    gates: int
    executors: int
    concurrency: int
    queues: tuple[str, ...] | None
    origins: Mapping[str, Origin]

    def values(self) -> dict[str, Any]:
        """Every value by name, in order, without their origins. A token is not shown."""
        found = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "origins"}
        return found | {"token": "(set)" if self.token else None}


def default_url() -> str:
    """``PENSTOCK_URL`` when it is set and not empty, else ``penstock-data``."""
    return os.environ.get("PENSTOCK_URL") or DEFAULT_URL


def absolute(url: str, base: str | None = None) -> str:
    """The place that ``url`` names, for as long as the process lives: it may change its working directory.

    Args:
        base: what a relative path begins at. None: the working directory.

    Raises:
        InvalidOption: it is relative, and there is no working directory any more; or the path is not UTF-8, which the
            store's files must be named in.
    """
    try:
        found = str(Path(url).absolute() if base is None else Path(base, url))
        found.encode()
        return found
    except UnicodeEncodeError:
        raise InvalidOption(
            f"url is {url!r}, whose whole path is not UTF-8: use another directory.", field="url"
        ) from None
    except OSError as error:
        raise InvalidOption(
            f"url is {url!r}, and the working directory cannot be told ({error.strerror}): give an absolute path.",
            field="url",
        ) from None


def redo_setting(environment: Mapping[str, str] | None = None) -> str:
    """Whether owners use the redo log: ``PENSTOCK_REDO``, ``on`` (the default) or ``off``. It is an owner's affair
    alone, whoever starts it, so it is no part of a `Config`.

    Raises:
        InvalidOption: it is something else.
    """
    value = (os.environ if environment is None else environment).get("PENSTOCK_REDO") or "on"
    if value.lower() not in {"on", "off"}:
        raise InvalidOption(f"PENSTOCK_REDO is {value!r}: use on or off.", field="redo")
    return value.lower()


def pass_on_redo(value: str | None) -> None:
    """Have the owner that this process starts use the redo log, or not. None: as the environment says."""
    if value is not None:
        os.environ["PENSTOCK_REDO"] = value


def hide_secrets() -> None:
    """Take what jobs must not read out of this process's environment, once a `Config` has it: also where other programs
    of this user could read what the process was started with."""
    for variable in SECRETS:
        if variable in os.environ:
            _erase(variable)
            del os.environ[variable]


def environment_for_programs() -> dict[str, str]:
    """The environment without secrets, for a program that Penstock starts."""
    return {name: value for name, value in os.environ.items() if name not in SECRETS}


def _erase(variable: str) -> None:
    """Overwrite a variable's value in memory, where the system shows it to others (``/proc/PID/environ``)."""
    try:
        library = ctypes.CDLL(None)
        library.getenv.restype = ctypes.c_void_p
        found = library.getenv(os.fsencode(variable))
    except (OSError, AttributeError):
        return
    if found:
        ctypes.memset(found, 0, len(ctypes.string_at(found)))


def pass_on(config: Config) -> None:
    """Put what is in force into this process's environment, for the processes it starts. Secrets are not passed on."""
    for name, variable in _VARIABLES.items():
        if variable in SECRETS:
            continue
        value = getattr(config, name)
        if value is not None:
            os.environ[variable] = value


def load(flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """Put the configuration together and check it.

    Args:
        flags: values given on the command line, by name; one that is None was not given.
        environment: stands in for the process's own. None: the process's own.

    Raises:
        InvalidOption: a value is not what it may be, or two do not fit together; ``field`` names it.
    """
    environment = os.environ if environment is None else environment
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    values: dict[str, Any] = {
        "url": DEFAULT_URL,
        "gate": DEFAULT_GATE,
        "log": "info",
        "log_format": "text",
        "token": None,
        "gates": 1,
        "executors": _cores(),
        "concurrency": limits.CONCURRENCY,
        "queues": None,
    }
    unknown = given.keys() - values.keys()
    if unknown:
        raise TypeError(f"There is no configuration named {', '.join(sorted(unknown))}.")
    origins = {name: Origin("default") for name in values}
    for name, variable in _VARIABLES.items():
        if environment.get(variable):
            values[name] = environment[variable]
            origins[name] = Origin("env", variable)
    for name, value in given.items():
        values[name] = value
        origins[name] = Origin("flag", "--" + name.replace("_", "-"))
    config = Config(**values, origins=origins)
    _check(config)
    return replace(config, url=absolute(config.url))


def split_address(address: str) -> tuple[str, int]:
    """The host and the port of ``host:port``, ``[v6]:port`` or ``:port`` (this machine only).

    Raises:
        ValueError: it is none of these.
    """
    host, colon, port_text = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port_text.isascii() or not port_text.isdigit() or int(port_text) > 65_535:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host or "127.0.0.1", int(port_text)


def _check(config: Config) -> None:
    """Raise InvalidOption for the first value that is wrong."""
    if "://" in config.url:
        _refuse(config, "url", f"is {config.url!r}: this version keeps jobs in a directory; give its path")
    if not config.url:
        _refuse(config, "url", "is empty: give the path of a directory")
    if "\0" in config.url:
        _refuse(config, "url", "has a NUL character")
    try:
        split_address(config.gate)
    except ValueError as error:
        _refuse(config, "gate", str(error))
    if config.log.lower() not in LOG_LEVELS:
        _refuse(config, "log", f"is {config.log!r}: use one of {', '.join(LOG_LEVELS)}")
    if config.log_format not in LOG_FORMATS:
        _refuse(config, "log_format", f"is {config.log_format!r}: use {' or '.join(LOG_FORMATS)}")
    _check_range(config, "gates", config.gates, limits.GATES_MAX)
    _check_range(config, "executors", config.executors, limits.EXECUTORS_MAX)
    _check_range(config, "concurrency", config.concurrency, limits.CONCURRENCY_MAX)
    if config.executors * config.concurrency > limits.RUNNING_JOBS_MAX:
        _refuse(
            config,
            "concurrency",
            f"is {config.concurrency} in each of {config.executors} executors: "
            f"at most {limits.RUNNING_JOBS_MAX} jobs run at once",
        )
    for queue in config.queues or ():
        if not _QUEUE.fullmatch(queue):
            _refuse(config, "queues", f"names {queue!r}: a queue is 1 to 64 of A-Z a-z 0-9 _ . -")
    if config.queues == ():
        _refuse(config, "queues", "is empty: name at least one queue, or leave it out for all")


def _check_range(config: Config, name: str, value: int, largest: int) -> None:
    if not 1 <= value <= largest:
        _refuse(config, name, f"is {value}: use 1 to {largest}")


def _refuse(config: Config, name: str, why: str) -> None:
    origin = config.origins[name]
    raise InvalidOption(f"{origin.name or name} {why}.", field=name)


def _cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
