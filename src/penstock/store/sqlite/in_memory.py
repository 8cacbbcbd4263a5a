"""What the engine keeps in memory beside the file: queues with their ledgers, tasks, and who holds which lease.

All can be read again from the file (`Books.load`), as is done when the file is opened and after a rollback. Only lease
deadlines and progress are in memory alone: a take-over starts every live lease anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Final, NamedTuple

from msgspec.structs import astuple

from penstock.model import ledger, limits
from penstock.model.consumers import Consumers
from penstock.model.counts import added
from penstock.model.job import Progress, QueueStats
from penstock.model.limits_in_force import queue_scope
from penstock.model.states import Event, State
from penstock.model.topics import is_cleared, is_of_topic
from penstock.ports import Clock
from penstock.store.sqlite.closed_books import ClosedBooks
from penstock.store.sqlite.database import Database
from penstock.store.sqlite.fair_queues import FairQueues
from penstock.store.sqlite.fences import Fences
from penstock.store.sqlite.finished_records import FinishedRecords
from penstock.store.sqlite.id_skew import IdSkew
from penstock.store.sqlite.known_tasks import KnownTasks
from penstock.store.sqlite.leases import Lease
from penstock.store.sqlite.line_limits import LineLimits
from penstock.store.sqlite.loss_records import Mishaps
from penstock.store.sqlite.transaction_journal import Journal

ANY_PARTY: Final = 1
"""Of jobs that were refused, and nobody remembers by whom (refused_jobs.py)."""


class Queue:
    """A queue and its ledger. ``counts.oldest_ready_age_s`` is left None here; it is found when asked for."""

    __slots__ = ("counts", "id", "name")

    def __init__(self, number: int, name: str, counts: QueueStats) -> None:
        self.id = number
        self.name = name
        self.counts = counts


class Line:
    """The jobs of one task in one queue. ``queue`` and ``task`` are their numbers. ``queue_name`` is empty where the
    file is damaged.

    ``leased_as``: what a lease asks for to be given these jobs. It is the number of their task or, of messages, the
    line's own number negated, since a lease names each channel that it takes messages from.
    """

    __slots__ = ("id", "leased_as", "queue", "queue_name", "task")

    def __init__(self, number: int, queue: int, task: int, queue_name: str) -> None:
        self.id = number
        self.queue = queue
        self.task = task
        self.queue_name = queue_name
        self.leased_as = -number if is_of_topic(queue_name) else task


class Place(NamedTuple):
    """Where a job stands among those of its line: it comes before all that are greater."""

    urgency: int
    rank: int
    arrival: int

    @property
    def priority(self) -> int:
        """The priority it was enqueued with, or given since."""
        return -self.urgency


class Books(Fences, KnownTasks, ClosedBooks):
    """Queues, tasks, leases, and the counters that order things.

    Attributes:
        removed: what the queues that were removed have counted, added up.
        changed: queues whose counts have changed since somebody looked.
        ended_leases: those that the open transaction has ended, by fence. When it is undone they go on as they were.
        topic_queues: how many queues are topics'.
        cleared: the queues of deleted channels, by number, from which everything is thrown away.
        interested: rows of jobs that are leased, and of whose end somebody wants to hear.
        limits: what queues and tasks may have leased.
        fair: the turns of tenants.
        leases_without_job: in the file, those of which the job or the holder is missing.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database)
        self.clock = clock
        self.by_fence: dict[int, Lease] = {}
        self.ended_leases: list[tuple[int, Lease]] = []
        self.told: dict[int, Progress] = {}
        self.journal = Journal(database, clock)
        self.mishaps = Mishaps(database)
        self.consumers = Consumers()
        self.limits = LineLimits(database, clock, names=self.line_name, leased=self.leased_by_line)
        self.finished = FinishedRecords(database)
        self.id_skew = IdSkew(database)
        self.fair = FairQueues(database)
        self._lines_changed = True  # by the open transaction
        self.load()

    def load(self, *, is_undone: bool = False) -> None:
        """Read everything from the file. Leases that were not known before start anew. ``is_undone``: a transaction
        was rolled back, so lines need be read only if it changed them."""
        self.load_epoch()
        self.queues: dict[int, Queue] = {}
        self.queue_by_name: dict[str, Queue] = {}
        self._names: list[str] | None = None
        self.topic_queues = 0
        self.cleared: set[int] = set()
        self.dirty: set[int] = set()
        ledgers = self.journal.load()
        arrival, *removed = self.database.row("load_removed") or (0,)
        self.arrival = int(arrival)
        self.removed = QueueStats(*removed)
        self._last_queue = max(ledgers, default=0)
        for name, *row in self.database.rows("load_queues"):
            number, arrival, counts = ledgers.get(row[0]) or (row[0], row[1], QueueStats(*row[2:]))
            self._add_queue(Queue(number, name, counts))
            self.arrival = max(self.arrival, arrival)
        for number in ledgers.keys() - self.queues.keys():
            # Of a queue that was removed. Nothing is left that its counts could be written to.
            self.journal.forget_ledger(number)
        self.changed: set[int] = set(self.queues)
        self._totals = added((queue.counts for queue in self.queues.values()), self.removed)
        self.load_tasks()
        if self._lines_changed or not is_undone:
            self._load_lines()
        self.load_closed()
        self._load_displaced()
        self.mishaps.load()
        self.id_skew.load()
        self.fair.load()
        self.holders: dict[bytes, int] = {identity: number for number, identity in self.database.rows("load_holders")}
        self._load_leases()
        self.limits.load(self.records.values())
        self.finished.load(self.task_names, self.limits.queue_records.values(), self.queue_by_name)

    def _load_lines(self) -> None:
        self.lines: dict[int, Line] = {}
        self._line_by_names: dict[tuple[int, int], Line] = {}
        self._lines_of_queue: dict[int, list[Line]] = {}
        for number, queue, task in self.database.rows("load_lines"):
            self._add_line(Line(number, queue, task, self.queues[queue].name if queue in self.queues else ""))
        self._lines_changed = False

    def _load_leases(self) -> None:
        deadline = self.clock.monotonic() + limits.LEASE_S
        before = self.by_fence | dict(self.ended_leases)
        self.by_fence = {}
        self.ended_leases.clear()
        self.by_seq: dict[int, int] = {}
        for row in self.database.rows("load_running"):
            fence, *lease, started_at, cancel, expires, refused, interest, step, place = row
            lease += (deadline, started_at, bool(cancel))
            held = self.by_fence[fence] = Lease(*lease)
            held.expires, held.party, held.interest = bool(expires), ANY_PARTY if refused else 0, interest
            held.step, held.place = step, place
            self.by_seq[held.seq] = fence
            if fence in before:
                held.deadline = before[fence].deadline
                held.progress = before[fence].progress
                held.party = before[fence].party
        self.refused_leased = {held.seq for held in self.by_fence.values() if held.party}
        self.interested = {held.seq for held in self.by_fence.values() if held.interest}
        # Where the file is damaged. They stand in no line, and nobody can end them; what is sound goes on.
        self.leases_without_job = int(self.database.value("count_running")) - len(self.by_fence)

    def leased_by_line(self) -> Counter[int]:
        """How many jobs of each line are leased."""
        return Counter([held.line for held in self.by_fence.values()])

    def sweep(self) -> None:
        """Forget, in the open transaction, lease holders without leases and displaced jobs that are gone."""
        holding = {held.holder for held in self.by_fence.values()}
        for identity in [identity for identity in self.holders if identity not in holding]:
            self.database.run("forget_holder", identity)
            del self.holders[identity]
        if self.displaced:
            self.database.run("forget_displaced")
            self._load_displaced()

    def _load_displaced(self) -> None:
        found = self.database.rows("load_displaced")
        self.displaced: dict[bytes, int] = {job_id: int(seq) for job_id, seq in found}

    def take_arrivals(self, count: int) -> int:
        """The first of ``count`` consecutive arrival numbers."""
        first = self.arrival + 1
        self.arrival += count
        return first

    def committed(self) -> None:
        """The transaction is durable: what it was told of running jobs holds."""
        self.journal.committed()
        self.limits.committed()
        self.fair.committed()
        self._lines_changed = False
        self.ended_leases.clear()
        for fence, progress in self.told.items():
            if fence in self.by_fence:
                self.by_fence[fence].progress = progress
        self.told.clear()

    # --- queues and tasks --------------------------------------------------------------------------------------------
    def queue(self, name: str) -> Queue:
        """The queue of this name, made now if there was none."""
        found = self.queue_by_name.get(name)
        if found is None:
            # Never the number of a queue that was removed: the journal may have an old ledger of that one.
            found = Queue(self._last_queue + 1, name, QueueStats())
            self.database.run("insert_queue", found.id, name)
            self._add_queue(found)
            self.finished.retained.named(found.id, name, is_new=True)
        return found

    def _add_queue(self, queue: Queue) -> None:
        self.queues[queue.id] = queue
        self._last_queue = max(self._last_queue, queue.id)
        self._name_queue(queue)

    def _name_queue(self, queue: Queue) -> None:
        self.queue_by_name[queue.name] = queue
        self._names = None
        if is_of_topic(queue.name):
            self.topic_queues += 1
            if is_cleared(queue.name):
                self.cleared.add(queue.id)

    def _unname_queue(self, queue: Queue) -> None:
        del self.queue_by_name[queue.name]
        self._names = None
        self.cleared.discard(queue.id)
        self.topic_queues -= is_of_topic(queue.name)

    def rename_queue(self, queue: Queue, name: str) -> None:
        """Give a queue of a topic another name. What is known of its lines' fronts is the caller's."""
        self.database.run("rename_queue", name, queue.id)
        self._lines_changed = True
        self._unname_queue(queue)
        scopes = [queue_scope(queue.name), queue_scope(name)]
        queue.name = name
        self._name_queue(queue)
        for line in self.lines_of(queue.id):
            line.queue_name = name
        self.finished.retained.named(queue.id, name, is_new=False)
        self.limits.update(scopes)

    def remove_queue(self, number: int) -> None:
        """Remove a queue that has neither jobs nor records, with its lines, and count it among the removed.
        `save_removed` must follow in the same transaction."""
        queue = self.queues[number]
        self.removed = added([self.removed, queue.counts])
        self._lines_changed = True
        for line in self._lines_of_queue.pop(number, []):
            del self.lines[line.id], self._line_by_names[line.queue, line.task]
            self.limits.forget_line(line.id)
        self.database.run("delete_lines", number)
        self.database.run("delete_queue", number)
        self.finished.retained.removed(number)
        self.fair.forget_queue(number)
        self.journal.forget_ledger(number)
        self.dirty.discard(number)
        self.changed.discard(number)
        del self.queues[number]
        self._unname_queue(queue)

    def save_removed(self) -> None:
        """Write what the removed queues have counted, and the last arrival number, which no other queue may have."""
        *counts, _, _ = astuple(self.removed)
        self.database.run("save_removed", self.arrival, *counts)

    def queue_names(self) -> list[str]:
        """The names of all queues, in order."""
        if self._names is None:
            self._names = sorted(self.queue_by_name)
        return self._names

    def totals(self) -> QueueStats:
        """The counts of all queues together, those of removed queues included: kept, so its cost depends on nothing."""
        return copy(self._totals)

    @property
    def ready(self) -> int:
        """How many jobs are ready, in all queues."""
        return self._totals.ready

    def move(self, queue: int, event: Event, source: State | None, target: State | None, number: int = 1) -> None:
        """Count so many jobs of a queue that make the same move. The engine changes its counts by this, `move_each` and
        `transfer` alone; what changes is written with the transaction.

        Raises:
            IllegalTransition: there is no such move.
        """
        self.dirty.add(queue)
        ledger.move_each([(self.queues[queue].counts, number), (self._totals, number)], event, source, target)

    def move_each(self, numbers: Mapping[int, int], event: Event, source: State | None, target: State | None) -> None:
        """As `move`, for jobs of several queues: how many of each make it."""
        self.dirty.update(numbers)
        queues = self.queues
        changes = [(queues[queue].counts, number) for queue, number in numbers.items()]
        changes.append((self._totals, sum(numbers.values())))
        ledger.move_each(changes, event, source, target)

    def transfer(self, source: int, target: int, state: State) -> None:
        """Count a job that leaves one queue for another and stays in its state.

        Raises:
            IllegalTransition: a job in this state is not moved between queues.
        """
        self.dirty.update((source, target))
        ledger.transfer(self.queues[source].counts, self.queues[target].counts, state)
        ledger.transfer(self._totals, self._totals, state)

    def save(self) -> None:
        """Write the ledgers that changed, and the rest of the journal. The last thing before a commit."""
        self.finished.save(self.task_ids)
        for number in self.journal.stale_ledgers():
            *counts, _, _ = astuple(self.queues[number].counts)
            self.database.run("save_queue", self.arrival, *counts, number)
            self.journal.forget_ledger(number)
        arrival, queues = self.arrival, self.queues
        self.journal.write([(number, arrival, queues[number].counts) for number in self.dirty])
        if self.limits.is_changed:
            self.limits.save()
        self.fair.save()
        self.changed |= self.dirty
        self.dirty.clear()

    def line(self, queue: int, task: int) -> Line:
        """The line of a queue and a task, by their numbers, made now if there was none."""
        found = self._line_by_names.get((queue, task))
        if found is None:
            self._lines_changed = True
            self.database.run("insert_line", queue, task)
            found = Line(self.database.connection.last_insert_rowid(), queue, task, self.queues[queue].name)
            self._add_line(found)
        return found

    def _add_line(self, line: Line) -> None:
        self.lines[line.id] = line
        self._line_by_names[line.queue, line.task] = line
        self._lines_of_queue.setdefault(line.queue, []).append(line)

    def lines_of(self, queue: int) -> Sequence[Line]:
        """The lines of a queue."""
        return self._lines_of_queue.get(queue, ())

    def line_name(self, line: int) -> tuple[str, str]:
        """The names of a line's queue and task."""
        found = self.lines[line]
        return found.queue_name, self.task_names.get(found.task, "")

    def is_closed(self, line: Line) -> bool:
        """Whether a line gives out nothing for now."""
        if not self.closed and line.leased_as > 0:
            # Only lines of topics are closed by what they are.
            return False
        return self.closed.closes(line.queue_name, self.task_names.get(line.task, ""))

    def holder(self, identity: bytes) -> int:
        """The number of a lease holder, made now if there was none."""
        found = self.holders.get(identity)
        if found is None:
            self.database.run("insert_holder", identity)
            found = self.holders[identity] = self.database.connection.last_insert_rowid()
        return found
