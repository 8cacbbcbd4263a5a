"""What is still to be done for workflows: a list in the file, of which the owner's tick does a bounded part at a time.

Nothing in it is lost with an owner, and no long list of jobs holds up anybody's lease.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import Final

import msgspec
from msgspec import Struct

from penstock.model import limits
from penstock.store.sqlite.database import Database

_encode: Final = msgspec.msgpack.Encoder().encode
_encode_json: Final = msgspec.json.Encoder().encode


class WorkKind(IntEnum):
    """The kinds are stored: a number that was given out keeps its meaning."""

    MACHINE = 0
    """The machine goes on with steps."""
    REPEAT = 1
    """Members of a group whose jobs have ended run again."""
    OPEN = 2
    """Members of a group that are held become jobs."""
    CANCEL = 3
    """Members of a group are cancelled."""
    FORGET = 4
    """The record of a workflow is thrown away."""
    TELL = 5
    """The machine hears of ends that it was not told when they came."""


class Work(Struct, array_like=True, frozen=True):
    """One thing that is to be done.

    Attributes:
        step: the number of the group that it is about.
        place: of the first member that has not been looked at.
        anew: REPEAT: those that succeeded run again too.
        behind: REPEAT: the place behind the last member that may run again. Those behind are new, and run anyhow.
        untold: TELL: what the machine hears (`penstock.store.sqlite.workflow_told`).
    """

    kind: WorkKind
    step: int = 0
    place: int = 0
    anew: bool = False
    behind: int = limits.GROUP_MEMBERS_MAX
    untold: bytes = b""


_decode: Final = msgspec.msgpack.Decoder(Work).decode


class WorkList:
    """The list, in the order in which things were added; each in turn.

    Attributes:
        resting: what is not done before it is woken: the number of its workflow, by its own. In memory: after an
            opening each is looked at once and put to rest again.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.resting: dict[int, int] = {}
        self._last = 0

    def add(self, workflow: int, work: Work) -> int:
        """Add something. Answers its number."""
        self.database.run("insert_work", workflow, _encode(work))
        return self.database.connection.last_insert_rowid()

    def next(self, aside: Collection[int]) -> tuple[int, int, Work] | None:
        """The next in turn that does not rest: its number, that of its workflow, and what it is. None: there is none.

        Args:
            aside: the numbers of workflows that are passed over.
        """
        passed = _encode_json(sorted(aside)).decode()
        resting = self._resting()
        row = self.database.row("next_work", self._last, passed, resting)
        row = row or self.database.row("next_work", 0, passed, resting)
        if row is None:
            return None
        self._last, workflow, work = row
        return self._last, workflow, _decode(work)

    def first(self, kind: WorkKind) -> tuple[int, int] | None:
        """The first of a kind: its number, and that of its workflow."""
        for number, workflow, work in self.database.rows("all_work"):
            if _decode(work).kind is kind:
                return number, workflow
        return None

    def of(self, workflow: int) -> list[tuple[int, Work]]:
        """What there is of a workflow, with the numbers."""
        return [(number, _decode(work)) for number, work in self.database.rows("work_of", workflow)]

    def save(self, number: int, work: Work | None) -> None:
        """What is left of something; None: nothing."""
        if work is None:
            self.resting.pop(number, None)
            self.database.run("delete_work", number)
        else:
            self.database.run("save_work", _encode(work), number)

    def has_any(self, aside: Collection[int]) -> bool:
        """Whether there is something to do for another workflow than these."""
        return self.database.row("next_work", 0, _encode_json(sorted(aside)).decode(), self._resting()) is not None

    # --- rest --------------------------------------------------------------------------------------------------------
    def rest(self, number: int, workflow: int) -> None:
        """Pass something over from now on."""
        self.resting[number] = workflow

    def wake(self, workflow: int) -> None:
        """What there is of a workflow has its turn again."""
        for number in [number for number, resting in self.resting.items() if resting == workflow]:
            del self.resting[number]

    def rolled_back(self) -> None:
        """A transaction was undone, perhaps the one in which something was put to rest: each is looked at again."""
        self.resting.clear()

    def _resting(self) -> str:
        return _encode_json(list(self.resting)).decode()
