"""What an upgrade of a store to the present schema takes. Pure.

All steps are done in one transaction: until it is committed, the file is the old one, whatever happens. So nothing has
to be resumed, and there must be room for the old and the new at once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_ROOM: Final = {5: 2.1, 6: 1.0}
"""Steps that write much of the file anew, with the room that takes, as a multiple of the file: what is written stands
in the write-ahead log until it is brought in, and beside the old rows in the database."""
_REWRITES: Final = frozenset({5})
"""Of these, those that write every job anew."""


class Upgrade(NamedTuple):
    """The way from one schema version to another.

    Attributes:
        steps: the versions that it goes through, the last included; empty: there is nothing to do.
        needed_bytes: free space that it needs, about.
    """

    steps: list[int]
    needed_bytes: int = 0

    @property
    def rewrites(self) -> bool:
        """Whether every job is written anew, which takes some seconds for a million."""
        return not _REWRITES.isdisjoint(self.steps)


def planned(version: int, target: int, size_bytes: int) -> Upgrade:
    """The upgrade of a file of this version and size. A file of version 0 is new."""
    steps = list(range(version + 1, target + 1)) if version else []
    return Upgrade(steps, int(max((_ROOM.get(step, 0.0) for step in steps), default=0.0) * size_bytes))
