"""What a store offers to those who read sources: where each of them is.

It is a part of the contract of a store (`penstock.ports.Store`), whose ``enqueue`` moves a position together with the
jobs that were made of what was read. What a position is: `penstock.model.source_cursors`.
"""

from __future__ import annotations

from typing import Protocol

from penstock.model.source_cursors import SourceCursor
from penstock.ports.effects import reads


class SourceStore(Protocol):
    """The calls about positions. Each is one atomic step."""

    @reads
    def cursors(self, source: str | None = None) -> list[SourceCursor]:
        """The positions of a source, by partition; None: of all sources, by source and partition.

        Raises:
            InvalidOption: this is no name of a source.
        """
        ...

    def remove_cursors(self, source: str, *, partition: str | None = None) -> int:
        """Forget the position of a partition, or of all partitions of a source. Answers how many were forgotten. What
        is enqueued with any offset and any fence is accepted there again.

        Raises:
            InvalidOption: this is no name of a source or of a partition.
        """
        ...
