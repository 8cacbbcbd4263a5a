"""Flags in Go's syntax, and a configuration file with the same names. Pure.

A flag is ``-name value``, ``-name=value``, or either with two dashes. One that is true or false takes its value only
behind ``=``. The first argument that is no flag, or ``--``, ends the flags.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Final

from penstock.model.errors import InvalidOption
from penstock.nsq.notation import BOOLEAN, Kind

__all__ = ["CommandLine", "Flag", "default_text", "flag", "flags_of", "parse", "read_toml", "usage"]

_KEY: Final = "flag"
_FOR_ALL: Final = {"config": "a file with options, in TOML", "version": "print the version, and end"}


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that sets a field of the options.

    Attributes:
        name: as it is written, without dashes.
        kind: of its value.
        told: what it is for, in a line.
        key: its name in a configuration file.
        unused: why it changes nothing here; empty: it does.
    """

    name: str
    kind: Kind
    told: str
    key: str
    unused: str = ""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What was asked for on a command line.

    Attributes:
        values: by field of the options; only what was given.
        config: the path of the configuration file; empty: none.
        wants_version: the version is to be printed, and nothing else.
        wants_help: the list of flags is.
        rest: what stands behind the flags.
    """

    values: Mapping[str, Any]
    config: str = ""
    wants_version: bool = False
    wants_help: bool = False
    rest: tuple[str, ...] = ()


def flag(name: str, kind: Kind, default: Any, told: str, *, key: str | None = None, unused: str = "") -> Any:
    """A field of a class of options that this flag sets.

    Args:
        name: as it is written, without dashes.
        kind: of its value.
        default: where it is not given.
        told: what it is for, in a line.
        key: its name in a configuration file. None: its name with underscores.
        unused: why it changes nothing here; empty: it does.
    """
    described = Flag(name, kind, told, name.replace("-", "_") if key is None else key, unused)
    return field(default=default, metadata={_KEY: described})


def flags_of(options: type[Any]) -> dict[str, Flag]:
    """The flags of a class of options, by the fields that they set, in order."""
    return {one.name: one.metadata[_KEY] for one in fields(options) if _KEY in one.metadata}


def parse(arguments: Sequence[str], options: type[Any]) -> CommandLine:
    """Read a command line, without the program's name.

    Args:
        arguments: what was typed.
        options: the class whose flags may be given.

    Raises:
        InvalidOption: there is no such flag, or its value is not what it may be.
    """
    known = {found.name: (name, found) for name, found in flags_of(options).items()}
    values: dict[str, Any] = {}
    config, wants_version = "", False
    at = 0
    while at < len(arguments) and len(arguments[at]) > 1 and arguments[at].startswith("-"):
        argument = arguments[at]
        at += 1
        if argument == "--":
            break
        name, equals, text = argument.removeprefix("-").removeprefix("-").partition("=")
        if name in {"h", "help"}:
            return CommandLine(values, wants_help=True)
        if not name or name.startswith("-") or not (name in known or name in _FOR_ALL):
            raise _unknown(argument, name, [*known, *_FOR_ALL])
        own, kind = (known[name][0], known[name][1].kind) if name in known else ("", BOOLEAN)
        if name != "config" and not kind.word:
            text = text if equals else "true"
        elif not equals:
            if at == len(arguments):
                raise InvalidOption(f"-{name} needs a value behind it.", field=own or name)
            text = arguments[at]
            at += 1
        if name == "config":
            config = text
            continue
        value = _value(kind, text, name, own or name)
        if name == "version":
            wants_version = value
        else:
            values[own] = (*values.get(own, ()), *value) if kind.repeats else value
    return CommandLine(values, config, wants_version, rest=tuple(arguments[at:]))


def read_toml(document: Mapping[str, Any], options: type[Any], path: str) -> tuple[dict[str, Any], list[str]]:
    """The values that a configuration file gives, by field of the options; and the keys that say nothing.

    Args:
        document: what stands in the file.
        options: the class whose flags it may set.
        path: of the file, for what is said of it.

    Raises:
        InvalidOption: a value is not what it may be.
    """
    values: dict[str, Any] = {}
    known = flags_of(options)
    for name, found in known.items():
        if found.key in document:
            try:
                values[name] = found.kind.of_toml(document[found.key])
            except ValueError as error:
                raise InvalidOption(f"{path}: {found.key} is {document[found.key]!r}: {error}.", field=name) from None
    keys = {found.key for found in known.values()}
    return values, [key for key in document if key not in keys]


def usage(program: str, options: type[Any]) -> str:
    """The list of flags, with their defaults."""
    lines = [f"Usage of {program}:"]
    lines += [f"  -{name}{' string' if name == 'config' else ''}\n    \t{told}" for name, told in _FOR_ALL.items()]
    for one in sorted(fields(options), key=lambda one: str(one.metadata.get(_KEY, one).name)):
        if _KEY in one.metadata:
            lines.append(_told(one))
    return "\n".join(lines) + "\n"


def default_text(options: type[Any], name: str) -> str:
    """The default of a field of the options as it would be typed; empty: there is nothing to show."""
    found = flags_of(options)[name]
    return _shown(next(one.default for one in fields(options) if one.name == name), found)


def _told(one: Field[Any]) -> str:
    found: Flag = one.metadata[_KEY]
    word = f" {found.kind.word}" if found.kind.word else ""
    told = f"{found.told} (changes nothing here: {found.unused})" if found.unused else found.told
    default = _shown(one.default, found)
    return f"  -{found.name}{word}\n    \t{told}{f' (default {default})' if default else ''}"


def _shown(default: Any, found: Flag) -> str:
    """A default as it would be typed; empty: there is nothing to show."""
    if default is MISSING or default in (None, "", (), False):
        return ""
    if found.kind.word == "duration":
        return f"{default:g}s" if default >= 1 else f"{default * 1_000:g}ms"
    return str(default).lower() if isinstance(default, bool) else str(default)


def _value(kind: Kind, text: str, name: str, own: str) -> Any:
    try:
        return kind.of_text(text)
    except ValueError as error:
        raise InvalidOption(f"invalid value {text!r} for flag -{name}: {error}.", field=own) from None


def _unknown(argument: str, name: str, known: Sequence[str]) -> InvalidOption:
    if not name or name.startswith("-"):
        return InvalidOption(f"{argument!r} is no flag.")
    near = difflib.get_close_matches(name, known, 1)
    hint = f" Is it -{near[0]}?" if near else ""
    return InvalidOption(f"flag provided but not defined: -{name}.{hint}", field=name)
