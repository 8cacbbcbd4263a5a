"""Stored results as JSON text, for doors that have no Python behind them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock.model.errors import InvalidResult
from penstock.tasks.arguments.codec import decode_result
from penstock.tasks.arguments.subclasses import to_wire
from penstock.tasks.arguments.untyped_values import LEAVES

_TEXT: Final = frozenset({str})


def result_json(data: bytes, task: str) -> bytes:
    """A stored result as JSON text.

    Raises:
        InvalidResult: JSON cannot say it, or it is damaged.
    """
    if data[:1] == b"j":
        return data[1:]
    value = decode_result(data, task)
    try:
        if _is_ambiguous(value):
            raise ValueError("two keys of a dict are the same text")
        return msgspec.json.encode(value, enc_hook=to_wire)
    except Exception as error:
        raise InvalidResult(
            f"{task}: what it returned can be read from Python, but not said in JSON: {error}"
        ) from error


def _is_ambiguous(value: Any) -> bool:
    """Whether in some dict in it two keys would be the same text in JSON, such as ``1`` and ``"1"``."""
    rest = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            if not _TEXT.issuperset(map(type, part)) and len(
                msgspec.to_builtins(dict.fromkeys(part), str_keys=True, enc_hook=to_wire)
            ) < len(part):
                return True
            part = part.values()
        elif not isinstance(part, (list, tuple, set, frozenset)):
            continue
        if not LEAVES.issuperset(map(type, part)):
            rest.extend(part)
    return False
