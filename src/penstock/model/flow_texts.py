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
"""What a text begins with that stands for a longer one."""
_CHARACTER_BYTES_MAX: Final = 4


def bounded(text: str) -> str:
    """A text as it is kept and compared: itself, or ``sha256:`` and its digest where it is too long."""
    if len(text) * _CHARACTER_BYTES_MAX <= limits.FLOW_TEXT_BYTES_MAX:
        return text
    encoded = text.encode()
    return text if len(encoded) <= limits.FLOW_TEXT_BYTES_MAX else DIGEST + sha256(encoded).hexdigest()


def joined(texts: Sequence[str | None]) -> str | None:
    """One text made of those of several names, different for different texts. None: one of them is missing."""
    found = [text for text in texts if text is not None]
    if len(found) < len(texts):
        return None
    return found[0] if len(found) == 1 else bounded(msgspec.json.encode(found).decode())
