"""The turns of tenants in the file: how far each priority of each fair queue is, and each of its tenants.

The rules are those of `penstock.model.fair_turns`. All of it is in memory too. What a transaction changes is written
with its commit; after one that was undone it is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from penstock.model import limits
from penstock.model.fair_turns import NOBODY, next_rank
from penstock.model.job import QueueStats
from penstock.store.sqlite.database import Database


class Turns:
    """Of one queue and one priority.

    Attributes:
        leased: the rank of the last job that was leased.
        tenants: the last rank that each was given. Those that are not above ``leased`` say nothing.
        forgotten_to: those up to this rank are forgotten.
    """

    __slots__ = ("_looked_at", "forgotten_to", "leased", "tenants")

    def __init__(self, leased: int = 0) -> None:
        self.leased = leased
        self.tenants: dict[str, int] = {}
        self.forgotten_to = -1
        self._looked_at = -1

    def past(self) -> list[str]:
        """The tenants that have no turn ahead of them."""
        return [tenant for tenant, rank in self.tenants.items() if rank <= self.leased]

    def is_full(self) -> bool:
        """Whether no more tenants are remembered, as things are."""
        return len(self.tenants) >= limits.FAIR_TENANTS_MAX

    def looks(self) -> bool:
        """Whether to look for tenants that can be forgotten: not twice before others are leased."""
        is_new, self._looked_at = self._looked_at != self.leased, self.leased
        return is_new


Where = tuple[int, int]
"""The number of a queue, and a priority."""


class FairQueues:
    """All turns.

    Attributes:
        queues: of each fair queue, by number: its turns by priority.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.queues: dict[int, dict[int, Turns]] = {}
        self._is_loaded = False
        self._changed: set[Where] = set()
        self._changed_tenants: set[tuple[int, int, str]] = set()
        self._is_touched = False

    def load(self) -> None:
        """Read all from the file, unless it is known: then the open transaction has changed nothing."""
        if self._is_loaded and not self._is_touched:
            return
        self.queues = {}
        for queue, priority, rank in self.database.rows("load_fair_queues"):
            self.queues.setdefault(queue, {})[priority] = Turns(rank)
        for queue, priority, tenant, rank in self.database.rows("load_fair_tenants"):
            self.queues.setdefault(queue, {}).setdefault(priority, Turns()).tenants[tenant] = rank
        self._changed.clear()
        self._changed_tenants.clear()
        self._is_loaded, self._is_touched = True, False

    def save(self) -> None:
        """Write what was changed, before the commit."""
        if not self._changed and not self._changed_tenants:
            return
        kept, gone = [], []
        for queue, priority in self._changed:
            turns = self.queues.get(queue, {}).get(priority)
            if turns is None:
                gone.append((queue, priority))
            else:
                kept.append((queue, priority, turns.leased))
        self.database.run_many("save_fair_queue", kept)
        self.database.run_many("delete_fair_queue", gone)
        known, unknown = [], []
        for queue, priority, tenant in self._changed_tenants:
            turns = self.queues.get(queue, {}).get(priority)
            rank = None if turns is None else turns.tenants.get(tenant)
            if rank is None:
                unknown.append((queue, priority, tenant))
            else:
                known.append((queue, priority, tenant, rank))
        self.database.run_many("save_fair_tenant", known)
        self.database.run_many("delete_fair_tenant", unknown)
        self._changed.clear()
        self._changed_tenants.clear()

    def committed(self) -> None:
        """What was changed is durable."""
        self._is_touched = False

    # --- turns -------------------------------------------------------------------------------------------------------
    def take(self, queue: int, priority: int, wishes: Iterable[tuple[str, int]]) -> list[int]:
        """Give the next turns of their tenants to jobs that join, in order. The queue is fair from now on.

        Args:
            wishes: of each job its tenant, and how far apart that one's turns are.
        """
        self._is_touched = True
        of_queue = self.queues.setdefault(queue, {})
        turns = of_queue.get(priority)
        if turns is None:
            turns = of_queue[priority] = Turns()
            self._changed.add((queue, priority))
        tenants, ranks = turns.tenants, []
        for wanted, turn in wishes:
            tenant = wanted
            last = tenants.get(tenant, 0)
            if not last and turns.is_full():
                tenant = self._with_room(queue, priority, turns, tenant)
                last = tenants.get(tenant, 0)
            rank = tenants[tenant] = next_rank(turns.leased, last, turn)
            self._changed_tenants.add((queue, priority, tenant))
            ranks.append(rank)
        return ranks

    def _with_room(self, queue: int, priority: int, turns: Turns, tenant: str) -> str:
        """The tenant that a new one counts as, where many are remembered already."""
        if turns.looks():
            self._forget(queue, priority, turns, turns.past())
        return NOBODY if turns.is_full() else tenant

    def _forget(self, queue: int, priority: int, turns: Turns, tenants: Iterable[str]) -> None:
        for tenant in tenants:
            self._is_touched = True
            del turns.tenants[tenant]
            self._changed_tenants.add((queue, priority, tenant))

    def give_back(self, queue: int, priority: int, tenant: str, turn: int) -> None:
        """A job leaves its line unleased: its tenant has one turn less."""
        turns = self.queues.get(queue, {}).get(priority)
        if turns is None or tenant not in turns.tenants:
            return
        self._is_touched = True
        turns.tenants[tenant] -= turn
        self._changed_tenants.add((queue, priority, tenant))
        if turns.tenants[tenant] <= turns.leased:
            del turns.tenants[tenant]

    def leased(self, queue: int, priority: int, rank: int) -> None:
        """A job of this rank was leased, and those that came before it."""
        turns = self.queues.get(queue, {}).get(priority)
        if turns is not None and rank > turns.leased:
            self._is_touched = True
            turns.leased = rank
            self._changed.add((queue, priority))

    # --- what says nothing any more ----------------------------------------------------------------------------------
    def forget_queue(self, queue: int) -> None:
        """A queue without jobs is removed."""
        for priority, turns in self.queues.get(queue, {}).items():
            self._forget(queue, priority, turns, list(turns.tenants))
            self._changed.add((queue, priority))
        if self.queues.pop(queue, None) is not None:
            self._is_touched = True

    def step(self, counts_of: Callable[[int], QueueStats]) -> int:
        """Forget, in the open transaction, tenants that have no turn ahead of them, a bounded number of them; and that
        queues are fair in which no job has a place. Answers how many tenants."""
        forgotten = 0
        for queue in list(islice(self.queues, limits.TICK_STEP_JOBS)):
            counts = counts_of(queue)
            is_idle = not counts.ready and not counts.blocked and not counts.running
            for priority, turns in self.queues[queue].items():
                if is_idle and turns.tenants:
                    # As all begin anew, nobody has a turn ahead.
                    self.leased(queue, priority, max(turns.tenants.values()))
                if turns.forgotten_to < turns.leased and forgotten < limits.TICK_STEP_JOBS:
                    past = turns.past()
                    step = past[: limits.TICK_STEP_JOBS - forgotten]
                    self._forget(queue, priority, turns, step)
                    forgotten += len(step)
                    turns.forgotten_to = turns.leased if len(step) == len(past) else -1
            if is_idle and not any(turns.tenants for turns in self.queues[queue].values()):
                self.forget_queue(queue)
            elif len(self.queues) > limits.TICK_STEP_JOBS:
                # Others have their turn the next time.
                self.queues[queue] = self.queues.pop(queue)
        return forgotten
