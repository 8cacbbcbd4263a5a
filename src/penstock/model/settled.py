"""What a settlement answers: which leases did not become what was asked of them, and what became of them instead.

As records they belong to `penstock.model.job`, which is where everybody takes them from.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct


class Fate(IntEnum):
    """What became of a lease instead of what its holder asked. The value is the number on the wire."""

    STALE = 1
    """This holder does not hold a lease with this fence (any more). Nothing was changed."""
    CANCELLED = 2
    """The job was to run again, and somebody had asked for it to be cancelled."""
    EXPIRED = 3
    """The job came back before it was started, after its expiry had passed."""
    DEAD = 4
    """The job was lost once too often, or everybody who could run it has refused it for long."""


class Settled(Struct, array_like=True, frozen=True):
    """Attributes:
    exceptions: the fences that did not become what was asked, each with what became of it. All others did.
    """

    exceptions: list[tuple[int, Fate]]

    @property
    def stale(self) -> list[int]:
        """The fences that were refused because their sender does not hold them."""
        return [fence for fence, fate in self.exceptions if fate is Fate.STALE]
