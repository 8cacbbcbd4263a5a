"""When the owner commits: at once, or a moment later and then more together. Pure: `now` comes in, from any monotonic
clock in seconds.

A commit costs one sync of the disk however many requests it carries, so company makes each of them cheaper. There are
three reasons to wait for it, each bounded:

* *A crowd.* With CROWD_MIN clients or more, half of them are waited for before a commit, while the owner yields the
  processor to them (`wanted`). With few clients, waiting would only delay them.
* *Settlements.* A worker goes on while its settlement is written, so nobody is held up when that waits up to HOLD_S
  (`holds`). With the next enqueue or lease it costs no commit of its own. A power cut in that moment makes the jobs run
  again, as a power cut during the commit would have.
* *The redo log.* Enqueues that were answered from it are durable. Rows are made of them with the next transaction, or
  when nothing has come for CATCH_UP_S (`catch_up_at`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from typing import Final

from penstock.store.wire import protocol

CROWD_MIN: Final = 8
"""Fewer clients than this are not waited for."""
CROWD_GROUPS: Final = 16
"""The clients of so many groups are counted to see how large the crowd is."""
HOLD_S: Final = 0.001
"""How long a settlement is held back."""
CATCH_UP_S: Final = 0.002
"""How long nothing comes before rows are made of what is in the redo log."""
_HELD_BACK: Final = frozenset({protocol.SETTLE.kind, protocol.EXTEND.kind})
"""The calls whose caller goes on without the answer."""


class Pace:
    """What the owner needs to know of the last groups, and of the requests since, to decide when to commit.

    Attributes:
        wanted: how many clients with requests are waited for before a commit; 0: none.
        catch_up_at: when to make rows of what is in the redo log, if nothing comes before; infinity: it is empty.
    """

    __slots__ = ("_crowd", "_crowd_groups", "_crowd_size", "_held_since", "_is_urgent", "catch_up_at", "wanted")

    def __init__(self) -> None:
        self.wanted = 0
        self.catch_up_at = math.inf
        self._crowd: dict[Hashable, None] = {}
        self._crowd_groups = 0
        self._crowd_size = 0
        self._is_urgent = False
        self._held_since: float | None = None

    def note_request(self, kind: int) -> None:
        """A request of this kind has come in."""
        if kind not in _HELD_BACK:
            self._is_urgent = True

    def note_overdue(self) -> None:
        """A client reads its answers again. Its requests were left waiting until it did, so they are not held back."""
        self._is_urgent = True

    def holds(self, now: float, *, watched: bool) -> bool:
        """Whether the requests that have come in are held back for company.

        Args:
            now: when this is asked.
            watched: somebody waits for a job's end, which a settlement may be.
        """
        if self._is_urgent or watched:
            return False
        if self._held_since is None:
            self._held_since = now
        return now < self._held_since + HOLD_S

    def committed(
        self, clients: Iterable[Hashable], requests: int, now: float, *, left_over: bool, deferred: bool
    ) -> None:
        """A group has been answered.

        Args:
            clients: who was answered.
            requests: how many requests the group had.
            now: when this is told.
            left_over: requests were left for the next group; they are not held back.
            deferred: there are enqueues in the redo log of which no rows are made yet.
        """
        self._is_urgent, self._held_since = left_over, None
        self.catch_up_at = now + CATCH_UP_S if deferred else math.inf
        self._crowd.update(dict.fromkeys(clients))
        self._crowd_groups += 1
        if self._crowd_groups >= CROWD_GROUPS:
            self._crowd_size = len(self._crowd)
            self._crowd.clear()
            self._crowd_groups = 0
        # A client that comes alone, or with the worker that its job wakes, is not made to wait.
        is_crowded = requests >= CROWD_MIN // 2 and self._crowd_size >= CROWD_MIN
        self.wanted = self._crowd_size // 2 if is_crowded else 0

    def remove(self, client: Hashable) -> None:
        """A client has gone; it is not counted any more."""
        self._crowd.pop(client, None)
