"""What an upgrade of a store to the present schema takes. Pure.

All steps are done in one transaction: until it is committed, the file is the old one, whatever happens. So nothing has
to be resumed, and there must be room for the old and the new at once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_REWRITES: Final = {5: 2.1}
"""Steps that write most of the file anew, with the room that takes, as a multiple of the file: the new rows stand in
the write-ahead log, and beside the old ones in the database."""


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
        """Whether most of the file is written anew, which takes some seconds for a million jobs."""
        return any(step in _REWRITES for step in self.steps)


def planned(version: int, target: int, size_bytes: int) -> Upgrade:
    """The upgrade of a file of this version and size. A file of version 0 is new."""
    steps = list(range(version + 1, target + 1)) if version else []
    return Upgrade(steps, int(sum(_REWRITES.get(step, 0.0) for step in steps) * size_bytes))
