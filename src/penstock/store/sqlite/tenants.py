"""Which turn a job of a fair queue has: by its task's rule, its values, and what `fair_queues` knows of its tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from penstock.model.fair_turns import tenant_of, turn_of
from penstock.store.sqlite.in_memory import Books, Line
from penstock.store.sqlite.ready_jobs import Taken

_decode: Final = msgspec.msgpack.Decoder(dict[str, str]).decode

Values = Mapping[str, str] | None
"""As of `JobEntry.values`."""


class Tenants:
    """Gives ranks to jobs that join their lines. False where no queue is fair, and none can become so."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def __bool__(self) -> bool:
        return bool(self.books.fair_rules) or bool(self.books.fair.queues)

    def ranks(self, line: Line, priority: int, values: Sequence[Values]) -> list[int] | None:
        """Of jobs of one line that join it, in order. None: the queue is not fair."""
        books = self.books
        rule = books.fair_rules.get(line.task)
        if rule is None and line.queue not in books.fair.queues:
            return None
        tenants = [tenant_of(rule, one) for one in values]
        turns = {tenant: turn_of(rule, tenant) for tenant in set(tenants)}
        return books.fair.take(line.queue, priority, [(tenant, turns[tenant]) for tenant in tenants])

    def rank(self, number: int, urgency: int, packed: bytes | None) -> int:
        """Of one job that joins the line with this number. 0: its queue is not fair."""
        if not self:
            return 0
        ranks = self.ranks(self.books.lines[number], -urgency, [_unpacked(packed)])
        return 0 if ranks is None else ranks[0]

    def give_back(self, line: Line, priority: int, values: Sequence[Values]) -> None:
        """These jobs of a line have ranks, and leave it unleased."""
        rule = self.books.fair_rules.get(line.task)
        for one in values:
            tenant = tenant_of(rule, one)
            self.books.fair.give_back(line.queue, priority, tenant, turn_of(rule, tenant))

    def leased(self, rows: Sequence[Taken]) -> None:
        """These jobs are leased, of whatever queues."""
        lines, highest = self.books.lines, dict[tuple[int, int], int]()
        for number, urgency, rank, *_ in rows:
            if rank:
                where = (lines[number].queue, -urgency)
                highest[where] = max(rank, highest.get(where, 0))
        for (queue, priority), rank in highest.items():
            self.books.fair.leased(queue, priority, rank)

    def leaves(self, seq: int) -> None:
        """A job that waits, of any line, is not to be leased from where it stands. Its row says still where that is."""
        if not self.books.fair.queues:
            return
        row = self.books.database.row("joiner", seq)
        if row is None:
            # The file is damaged.
            return
        line, urgency, rank, _, packed = row
        if rank:
            self.give_back(self.books.lines[line], -urgency, [_unpacked(packed)])


def _unpacked(packed: bytes | None) -> Values:
    return None if packed is None else _decode(packed)
