"""What is held against a job that was lost while it ran. Pure: every store applies this one rule.

An executor runs many jobs, and one of them may kill it. Who was merely there is not to blame: after a shared crash
each of those who may have done it runs alone, and only a job that was alone when its executor died is held to account.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from penstock.model import limits


class Loss(Enum):
    """Why a job was lost.

    * UNSTARTED: it had not started. Nothing is held against it.
    * STRAY: no executor's own death explains it: its node, its forkserver or its supervisor died, or its lease ended.
    * SHARED: its executor died, and others that had run there may be to blame as well.
    * BLAMED: its executor died, and no other job had run there.
    """

    UNSTARTED = "unstarted"
    STRAY = "stray"
    SHARED = "shared"
    BLAMED = "blamed"


class Standing(NamedTuple):
    """What is held against a job.

    Attributes:
        losses: how often it was BLAMED.
        strays: how often it was a STRAY.
        suspect: it may have killed an executor: it runs alone until it has once ended by itself.
    """

    losses: int = 0
    strays: int = 0
    suspect: bool = False

    def after(self, loss: Loss) -> Standing:
        """As it is once this has happened too."""
        if loss is Loss.BLAMED:
            return Standing(self.losses + 1, self.strays, suspect=True)
        if loss is Loss.SHARED:
            return self._replace(suspect=True)
        if loss is Loss.STRAY:
            return self._replace(strays=self.strays + 1)
        return self

    def is_dead(self, loss: Loss) -> bool:
        """Whether this loss, which has been counted, was one too many."""
        if loss is Loss.BLAMED:
            return self.losses >= limits.LOSSES_MAX
        return loss is Loss.STRAY and self.strays >= limits.STRAYS_MAX
