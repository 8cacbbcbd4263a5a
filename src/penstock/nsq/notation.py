"""How values are written in NSQ's flags and configuration files, which is how Go writes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeGuard

__all__ = [
    "BOOLEAN",
    "DURATION",
    "FRACTIONS",
    "LOG_LEVEL",
    "LOG_LEVELS",
    "TEXT",
    "TEXTS",
    "TLS_REQUIRED",
    "TLS_VERSION",
    "WHOLE",
    "Kind",
    "one_of",
    "seconds_of",
]

_NS_PER_S: Final = 1_000_000_000
_INT64_MAX: Final = (1 << 63) - 1
_UNITS_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": _NS_PER_S,
    "m": 60 * _NS_PER_S,
    "h": 3_600 * _NS_PER_S,
}
_PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_WHOLE: Final = re.compile(r"[+-]?(0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+|[1-9][0-9_]*|0)")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_TRUE: Final = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "False", "FALSE"})

LOG_LEVELS: Final = ("debug", "info", "warn", "error", "fatal")
_TLS_VERSIONS: Final = {"tls1.0": 0x0301, "tls1.1": 0x0302, "tls1.2": 0x0303, "tls1.3": 0x0304}
_TLS_REQUIRED: Final = {"false": 0, "tcp-https": 1, "true": 2}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value.

    Attributes:
        word: what stands for a value in the list of flags; empty where the flag alone is one.
        of_text: the value of what was written behind a flag. Raises ValueError, which says what may be written.
        of_toml: the value of what stands in a configuration file. Raises ValueError.
        as_json: the value as ``/config/NAME`` of nsqd answers it.
        repeats: each time the flag is given adds to its value, which is a tuple.
    """

    word: str
    of_text: Callable[[str], Any]
    of_toml: Callable[[object], Any]
    as_json: Callable[[Any], Any] = lambda value: value
    repeats: bool = False


def seconds_of(text: str) -> float:
    """The seconds of a duration in Go's notation: ``1h30m``, ``250ms``, ``1.5s``, ``0``.

    Raises:
        ValueError: it is none.
    """
    rest = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if rest == "0":
        return 0.0
    at, total_ns = 0, Fraction(0)
    while (part := _PART.match(rest, at)) is not None and (part[1] or part[2]):
        total_ns += Fraction(f"{part[1] or '0'}.{part[2] or '0'}") * _UNITS_NS[part[3]]
        at = part.end()
    if not rest or at != len(rest) or total_ns > _INT64_MAX:
        raise ValueError("a duration is numbers with units, such as 250ms, 60s or 1h30m")
    return float((-total_ns if text.startswith("-") else total_ns) / _NS_PER_S)


def _boolean(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("use true or false")


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError("use a whole number")
    digits = text.lstrip("+-").replace("_", "").lower()
    octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    value = int(digits, 8 if octal else 0)
    if value > _INT64_MAX:
        raise ValueError("use a whole number below 2^63")
    return -value if text.startswith("-") else value


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError("use numbers with commas between them, such as 0.99,0.95")
    return float(text)


def _fractions(text: str) -> tuple[float, ...]:
    return tuple(_number(part) for part in text.split(","))


# --- of a configuration file -----------------------------------------------------------------------------------------
def _toml_text(value: object) -> str:
    if isinstance(value, str) and "\0" not in value:
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    raise ValueError("use a text")


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _INT64_MAX


def _toml_boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _boolean(value)
    raise ValueError("use true or false")


def _toml_whole(value: object) -> int:
    if _is_whole(value):
        return value
    if isinstance(value, str):
        return _whole(value)
    raise ValueError("use a whole number")


def _toml_seconds(value: object) -> float:
    """A number without a unit is milliseconds, as nsqd takes it."""
    if isinstance(value, str):
        return seconds_of(value)
    if _is_whole(value):
        return value / 1_000
    raise ValueError("a duration is a text, such as '60s'")


def _toml_texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split(","))
    if isinstance(value, list) and all(isinstance(one, str) and "\0" not in one for one in value):
        return tuple(value)
    raise ValueError("use a list of texts")


def _toml_fractions(value: object) -> tuple[float, ...]:
    if isinstance(value, str):
        return _fractions(value)
    if isinstance(value, list) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
        return tuple(float(one) for one in value)
    raise ValueError("use a list of numbers")


# --- words -----------------------------------------------------------------------------------------------------------
def one_of(words: Sequence[str], *, word: str = "string") -> Kind:
    """A value that is one of some words, in any case."""

    def of_text(text: str) -> str:
        if text.lower() not in words:
            shown = ", ".join(repr(one) for one in words)
            raise ValueError(f"use one of {shown}")
        return text.lower()

    return Kind(word, of_text, lambda value: of_text(_toml_text(value)))


def _tls_required(text: str) -> str:
    if text.lower() == "tcp-https":
        return "tcp-https"
    try:
        return "true" if _boolean(text.lower()) else "false"
    except ValueError:
        raise ValueError("use true, false or tcp-https") from None


def _tls_version(text: str) -> str:
    """The version; an empty text is the default."""
    if text and text.lower() not in _TLS_VERSIONS:
        raise ValueError(f"use one of {', '.join(_TLS_VERSIONS)}")
    return text.lower()


def _nanoseconds(value_s: float) -> int:
    return round(value_s * _NS_PER_S)


_LEVEL: Final = one_of(LOG_LEVELS)

TEXT: Final = Kind("string", str, _toml_text)
BOOLEAN: Final = Kind("", _boolean, _toml_boolean)
WHOLE: Final = Kind("int", _whole, _toml_whole)
DURATION: Final = Kind("duration", seconds_of, _toml_seconds, _nanoseconds)
TEXTS: Final = Kind("string", lambda text: (text,), _toml_texts, list, repeats=True)
FRACTIONS: Final = Kind("number", _fractions, _toml_fractions, list, repeats=True)
LOG_LEVEL: Final = Kind("level", _LEVEL.of_text, _LEVEL.of_toml, lambda level: LOG_LEVELS.index(level) + 1)
TLS_REQUIRED: Final = Kind("", _tls_required, lambda value: _tls_required(_toml_text(value)), _TLS_REQUIRED.__getitem__)
TLS_VERSION: Final = Kind(
    "version",
    _tls_version,
    lambda value: _tls_version(_toml_text(value)),
    lambda version: _TLS_VERSIONS[version or "tls1.0"],
)
