"""Puts the options of a daemon together: flags over the configuration file over the defaults, checked as a whole."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import tomllib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from penstock.config import absolute, default_url
from penstock.model.errors import InvalidOption
from penstock.model.version import installed_version
from penstock.nsq.addresses import is_loopback, parse_address
from penstock.nsq.flags import CommandLine, flags_of, parse, read_toml
from penstock.nsq.option_checks import check_door, check_lookup, remarks_of
from penstock.nsq.options import DoorOptions, LookupOptions
from penstock.nsq.protocol.version import NSQ_VERSION

__all__ = ["NSQ_VERSION", "Loaded", "data_path_of", "load_door", "load_lookup", "version_line"]

_NODES: Final = 1_024
_NSQD_FILE: Final = re.compile(r"nsqd\.dat|nsqd\.[0-9]+\.dat|.+\.diskqueue\..+\.dat")
_STORE_FILE: Final = "penstock.db"

Options = TypeVar("Options", DoorOptions, LookupOptions)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Options]):
    """Options in force.

    Attributes:
        options: checked.
        remarks: what is to be said once in the log: flags that change nothing, and the like.
    """

    options: Options
    remarks: tuple[str, ...]


def version_line(program: str) -> str:
    """What ``-version`` prints. Clients read the version of NSQ from it."""
    return f"{program} v{NSQ_VERSION} (built w/penstock{installed_version()})"


def load_door(line: CommandLine | Sequence[str], *, hostname: str | None = None) -> Loaded[DoorOptions]:
    """The options of ``nsqd``.

    Args:
        line: what was read of a command line, or its arguments.
        hostname: of this machine. None: as the system says.

    Raises:
        InvalidOption: a value is not what it may be, or two do not fit together; ``field`` names it.
    """
    hostname = socket.gethostname() if hostname is None else hostname
    values, remarks = _values(line, DoorOptions)
    options = DoorOptions(**values)
    url = data_path_of(options)
    options = replace(
        options,
        url=url,
        node_id=values.get("node_id", node_id_of(hostname)),
        broadcast_address=options.broadcast_address or _broadcast(options.tcp_address, hostname),
        count_requeues=options.count_requeues and not options.no_count_requeues,
        e2e_processing_latency_percentiles=tuple(sorted(options.e2e_processing_latency_percentiles, reverse=True)),
        tls_min_version=options.tls_min_version or "tls1.0",
        tls_required="true"
        if options.tls_client_auth_policy and options.tls_required == "false"
        else options.tls_required,
    )
    options, bounded = check_door(options)
    return Loaded(options, (*remarks, *bounded, *remarks_of(values, DoorOptions)))


def load_lookup(line: CommandLine | Sequence[str], *, hostname: str | None = None) -> Loaded[LookupOptions]:
    """The options of ``nsqlookupd``. Arguments and errors as of `load_door`."""
    hostname = socket.gethostname() if hostname is None else hostname
    values, remarks = _values(line, LookupOptions)
    options = LookupOptions(**values)
    options = replace(options, broadcast_address=options.broadcast_address or _broadcast(options.tcp_address, hostname))
    check_lookup(options)
    return Loaded(options, (*remarks, *remarks_of(values, LookupOptions)))


def data_path_of(options: DoorOptions) -> str:
    """The absolute path of the store's directory.

    Raises:
        InvalidOption: -data-path and -url name different ones; or the directory holds the files of NSQ's own nsqd.
    """
    if options.data_path and options.url and absolute(options.data_path) != absolute(options.url):
        raise InvalidOption(
            f"-data-path is {options.data_path!r} and -url {options.url!r}: both are the store's directory, "
            "give one of them.",
            field="url",
        )
    url = absolute(options.url or options.data_path or default_url())
    found = _file_of_nsqd(url)
    if found is not None:
        raise InvalidOption(
            f"{url} holds the files of NSQ's own nsqd ({found}) and no Penstock store. Import them first: "
            f"penstock store import-nsqd {url} --url DIRECTORY; then start with -data-path DIRECTORY.",
            field="data_path",
        )
    return url


def node_id_of(hostname: str) -> int:
    """The number that NSQ gives a node of this name."""
    return zlib.crc32(hashlib.md5(hostname.encode(), usedforsecurity=False).digest()) % _NODES


def _values(line: CommandLine | Sequence[str], options: type[Any]) -> tuple[dict[str, Any], list[str]]:
    """What is not a default, by field; and what is to be said of it."""
    line = line if isinstance(line, CommandLine) else parse(line, options)
    values: dict[str, Any] = {}
    remarks: list[str] = []
    if line.config:
        values, unknown = read_toml(_document(line.config), options, line.config)
        keys = [found.key for found in flags_of(options).values()]
        remarks += [f"{line.config}: there is no option {key!r}; {_near(key, keys)}" for key in unknown]
    if line.rest:
        remarks.append(f"what stands behind {line.rest[0]!r} is not read, because that is no flag")
    return {**values, **line.values}, remarks


def _near(key: str, keys: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(key, keys, 1)
    return f"is it {near[0]!r}?" if near else "it is passed over"


def _document(path: str) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InvalidOption(f"Cannot read the configuration file {path}: {error.strerror}.", field="config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidOption(f"{path} is not TOML: {error}.", field="config") from None


def _broadcast(tcp_address: str, hostname: str) -> str:
    """Where clients find a daemon that listens there."""
    address = parse_address(tcp_address, "tcp-address")
    return address.host if is_loopback(address) and not address.path else hostname


def _file_of_nsqd(directory: str) -> str | None:
    """The name of a file of NSQ's own nsqd in a directory without a store."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return None
    if _STORE_FILE in names:
        return None
    return next((name for name in names if _NSQD_FILE.fullmatch(name)), None)
