"""The names of the queues: how many there may be, who may make new ones, and which go because nobody uses them.

A queue that is empty for long is removed, and where names run short one that is empty at all. What it counted goes on
in the table `removed`. Names are for all clients: one client may have made half of them, so that a program that makes
up names leaves room for others. Who made which queue is known in memory alone; of a queue that an earlier owner knew,
nobody is the maker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from penstock.model import limits
from penstock.model.acceptance import check_new_queues
from penstock.model.counts import QueueStats
from penstock.model.empty_queues import EmptyQueues
from penstock.model.errors import InvalidOption
from penstock.model.topics import is_of_topic
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.ready_line import ReadyLine

SEVERAL: Final = b""
"""Who asks, where requests of several clients are done as one. No queues are made then: each counts for its maker."""


class QueueNames:
    """Decides which queues are made and removed.

    Attributes:
        asking: the client whose request is being done; None: nobody's in particular. Whoever serves clients sets it.

    Args:
        books: where the queues are.
        line: what is known of their lines.
        of_client_max: how many queues one client may have made.
    """

    def __init__(self, books: Books, line: ReadyLine, of_client_max: int = limits.QUEUES_OF_CLIENT_MAX) -> None:
        self.books = books
        self.line = line
        self.database = books.database
        self.asking: bytes | None = None
        self._of_client_max = of_client_max
        self._empty = EmptyQueues[int](self._counts_of, self._is_kept)
        self._maker: dict[str, bytes] = {}
        self._made: Counter[bytes] = Counter()

    def _counts_of(self, number: int) -> QueueStats | None:
        queue = self.books.queues.get(number)
        return None if queue is None else queue.counts

    def _is_kept(self, number: int) -> bool:
        """Whether a queue stays although it is empty: somebody has closed or holds it, or it is a topic's."""
        name = self.books.queues[number].name
        return is_of_topic(name) or self.database.value("is_queue_held", name) is not None

    # --- new names ---------------------------------------------------------------------------------------------------
    def check(self, names: AbstractSet[str]) -> None:
        """Pass when these queues are there or may be made, in the open transaction. Where names run short, empty queues
        are removed for them.

        Raises:
            InvalidOption: there are too many queues, or too many of this client's.
        """
        known = self.books.queue_by_name
        if names <= known.keys():
            return
        new = names - known.keys()
        there = len(known) - self.books.topic_queues
        too_many = there + len(new) - limits.QUEUES_MAX
        spare: list[int] = []
        if too_many > 0:
            self._note()
            wanted = {known[name].id for name in names & known.keys()}
            spare = self._empty.spare(self.books.clock.monotonic(), too_many, wanted)
            check_new_queues(there - len(spare), len(new))
        if self.asking is not None:
            self._count_for(self.asking, new, [self.books.queues[number].name for number in spare])
        self.remove(spare)

    def _count_for(self, client: bytes, new: AbstractSet[str], leaving: Sequence[str]) -> None:
        """Count new queues for their maker, some of whose queues are about to be removed."""
        if client == SEVERAL:
            raise InvalidOption("New queues are made for one client at a time.", field="queue")
        more = len(new) - sum(self._maker.get(name) == client for name in leaving)
        if self._made[client] + more > self._of_client_max or len(self._maker) > 2 * limits.QUEUES_MAX:
            # Some of what is counted may be gone, or was never made.
            self._maker = {name: maker for name, maker in self._maker.items() if name in self.books.queue_by_name}
            self._made = Counter(self._maker.values())
        if self._made[client] + more > self._of_client_max:
            raise InvalidOption(
                f"This client has made {self._made[client]} queues, and may make {self._of_client_max} "
                "(QUEUES_OF_CLIENT_MAX), so that there are names left for others.",
                field="queue",
            )
        for name in new:
            before = self._maker.get(name)
            if before is not None:
                self._made[before] -= 1
            self._maker[name] = client
        self._made[client] += len(new)

    # --- the chore ---------------------------------------------------------------------------------------------------
    def step(self) -> int:
        """Remove, in the open transaction, queues that have been empty for long. Answers how many."""
        now = self.books.clock.monotonic()
        self._note()
        self._empty.look(now)
        due = self._empty.due(now, limits.TICK_STEP_JOBS)
        self.remove(due)
        return len(due)

    def next_at(self) -> float | None:
        """When a queue is to be removed next, in monotonic seconds; None: none is empty."""
        return self._empty.next_at()

    def _note(self) -> None:
        self._empty.note(self.books.changed)
        self._empty.note(self.books.dirty)
        self.books.changed.clear()

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove queues that are empty, in the open transaction."""
        for number in numbers:
            maker = self._maker.pop(self.books.queues[number].name, None)
            if maker is not None:
                self._made[maker] -= 1
            for line in self.books.lines_of(number):
                self.line.forget_line(line.id)
            self.books.remove_queue(number)
        if numbers:
            self.books.save_removed()
            # The next look finds that they are gone, unless this transaction is undone.
            self._empty.note(numbers)
