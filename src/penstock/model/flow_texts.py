"""The texts that names have: what limits, unique jobs, fairness and search compare jobs by.

Whoever enqueues a job computes them (`penstock.tasks.arguments.named_texts`), so that a store never reads arguments.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from penstock.model import limits

HEADER: Final = "header:"
"""What a name begins with that is a header's and not a parameter's."""
DIGEST: Final = "sha256:"
"""What a text begins with that stands for another: one that is too long, or not to be seen."""
_SURE_CHARACTERS: Final = limits.JOB_VALUE_BYTES_MAX // 4
"""So many characters are never too long."""
_PAIR_BYTES: Final = 6
"""The lengths of a name and of a text on the wire."""

Told = dict[str, str] | None
"""The texts that come with a job, by their names; None: none do."""


def bounded(text: str) -> str:
    """A text as it is kept and compared: itself, or ``sha256:`` and its digest where it is too long or has a NUL."""
    if "\0" not in text and (len(text) <= _SURE_CHARACTERS or len(text.encode()) <= limits.JOB_VALUE_BYTES_MAX):
        return text
    return digest(text)


def digest(text: str) -> str:
    """``sha256:`` and the SHA-256 of a text in hexadecimal digits."""
    return DIGEST + sha256(text.encode()).hexdigest()


def covered(text: str) -> str:
    """What stands for the text of a sensitive argument: its digest. Of one that is a digest already, that. Equal texts
    have equal digests, so they still count together; who can guess a text can also tell whether it was that."""
    return text if text.startswith(DIGEST) else digest(text)


def joined(texts: Sequence[str | None]) -> str | None:
    """One text made of those of several names, different for different texts. None: one of them is missing."""
    found = [text for text in texts if text is not None]
    if len(found) < len(texts):
        return None
    return found[0] if len(found) == 1 else bounded(msgspec.json.encode(found).decode())


def told_bytes(told: Told) -> int:
    """What these texts take on the wire, at most."""
    if told is None:
        return 0
    count = 0
    for name, text in told.items():
        count += len(name) + len(text) + _PAIR_BYTES
        if not (name.isascii() and text.isascii()):
            count += len(name.encode()) + len(text.encode())
    return count
