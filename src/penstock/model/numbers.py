"""The kinds of number that clients send."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from penstock.model import limits

Seconds = Annotated[float, Meta(ge=-limits.TIME_S_MAX, le=limits.TIME_S_MAX)]
"""A time or a duration that a client sends. The decoder refuses what cannot be reckoned with: NaN, infinity, 1e300."""
Whole = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""An integer that a client sends: what a row can hold."""
