"""Large bodies of messages, stored once for all copies of a message.

The row of a copy has, in place of the body, the number of the row in which the body stands: that for which the id of
the message asks. Each copy has the interest `SHARED_BODY`. So whoever throws the row of a copy away, by whatever way,
tells it here, in the same transaction; with the last copy the body goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from penstock.model.interests import Ending, Interest
from penstock.model.message_ids import message_id
from penstock.store.sqlite.database import Database
from penstock.store.sqlite.listeners import Listeners
from penstock.store.sqlite.row_numbers import row_number


class SharedBodies:
    """The one place that adds rows to the table `shared_body` and takes rows from it."""

    def __init__(self, database: Database, listeners: Listeners) -> None:
        self.database = database
        listeners.register(Interest.SHARED_BODY, self._hear)

    def is_free(self, number: int) -> bool:
        """Whether no message has this number. Where one has, another message with this number is copied."""
        return self.database.value("has_shared_body", number) is None

    def keep(self, bodies: Iterable[tuple[int, bytes, int]]) -> None:
        """Store bodies: the number of each, the body, and how many copies there are."""
        self.database.run_many("insert_shared_body", bodies)

    def _hear(self, endings: Sequence[Ending]) -> None:
        """Copies have ended. Of those that have no record any more, the body is needed once less."""
        gone = Counter([row_number(message_id(one.id)) for one in endings if one.target is None])
        if gone:
            self.database.run_many("release_shared_body", [(count, number) for number, count in gone.items()])
            self.database.run_many("drop_shared_body", [(number,) for number in gone])
