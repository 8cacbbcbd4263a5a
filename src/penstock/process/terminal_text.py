"""Text of unknown origin, made safe to show: characters that a terminal would act upon are spelled out.

Names, messages, tracebacks, headers and notes come from jobs and from clients. An escape sequence in one could move the
cursor, rename the window or hide what follows; a mark for right-to-left text could make a line read as another one.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["CONTINUED", "visible", "visible_json", "visible_lines"]

_BEYOND: Final = (
    "\\x7f-\\x9f\\xad"  # DEL and C1, and a hyphen that is not shown
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"  # marks that change the direction of text
    "\\u200b\\u2028\\u2029\\u2060-\\u2065\\u206a-\\u206f\\ufeff\\ufff9-\\ufffb"  # line ends, and what has no width
    "\\ud800-\\udfff\\U000e0000-\\U000e007f"  # halves of a pair, and tags
)
_ANY: Final = re.compile(f"[\\x00-\\x1f{_BEYOND}]")
_IN_JSON: Final = re.compile(f"[{_BEYOND}]")
"""Those that JSON does not escape itself."""
_SPELLED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
CONTINUED: Final = "  | "
"""How each line of a text after the first begins, so that it cannot be taken for another log line."""


def visible(text: str) -> str:
    """A text in one line, with everything that a terminal would act upon spelled out: ``\\x1b``, ``\\u202e``,
    ``\\n``."""
    return _ANY.sub(_spell, text)


def visible_lines(text: str, prefix: str = "") -> str:
    """`visible` for each line of a text. Lines stay lines; each after the first begins with ``prefix``."""
    return f"\n{prefix}".join(visible(line.expandtabs()) for line in text.removesuffix("\n").split("\n"))


def visible_json(text: str) -> str:
    """A JSON document with such characters escaped. It means the same as before."""
    return _IN_JSON.sub(_escape, text)


def _spell(found: re.Match[str]) -> str:
    character = found[0]
    return _SPELLED.get(character) or character.encode("unicode_escape").decode()


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
