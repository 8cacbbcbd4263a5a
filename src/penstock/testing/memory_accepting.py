"""How jobs come into the in-memory store."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from msgspec.structs import replace

from penstock.model.acceptance import check_groups
from penstock.model.flow import UniqueRule
from penstock.model.job import EnqueueAnswer, Enqueued, JobEntry, JobGroup
from penstock.model.source_cursors import SourceCursor
from penstock.model.states import Event, State
from penstock.model.unique import Claim, Verdict, verdict
from penstock.ports import Clock
from penstock.testing.memory_cursors import Cursors
from penstock.testing.memory_keys import Keys
from penstock.testing.memory_moves import Moves
from penstock.testing.memory_operators import Operators
from penstock.testing.memory_queues import Queues
from penstock.testing.memory_slots import WithSlots, serving
from penstock.testing.memory_table import Part, Row, Table
from penstock.testing.memory_unique import Rehearsal, UniqueKeys, in_order


class AcceptingCalls(WithSlots):
    """The part of `penstock.testing.memory.MemoryStore` by which jobs come in."""

    _clock: Clock
    _table: Table
    _keys: Keys
    _cursors: Cursors
    _unique: UniqueKeys
    _moves: Moves
    _queues: Queues
    _operators: Operators

    @abstractmethod
    def _open(self) -> None:
        """Pass when the store is not closed."""

    @abstractmethod
    def _state(self, job_id: bytes) -> State | None:
        """The state of a job; None: it has no record."""

    @serving
    def enqueue(
        self, groups: Sequence[JobGroup], *, atomic: bool = False, cursor: SourceCursor | None = None
    ) -> EnqueueAnswer:
        """Accept jobs."""
        self._open()
        position = None if cursor is None else self._cursors.after(cursor, has_jobs=any(group.jobs for group in groups))
        check_groups(groups, self._clock.time())
        self._operators.holds.check_intake(groups)
        self._queues.admit({group.queue for group in groups})
        if atomic:
            rehearsal = Rehearsal(self._table, self._keys, self._unique, self._clock.time())
            conflicts = [answer for answer in rehearsal.answers(groups) if answer.conflict]
            if conflicts:
                return EnqueueAnswer(0, conflicts)
        if position is not None:
            self._cursors.move(position)
        return self._accept_all(groups)

    def _accept_all(self, groups: Sequence[JobGroup]) -> EnqueueAnswer:
        """Accept jobs that may be accepted, unless they are known. All are told with the states that they have then."""
        accepted = 0
        answers: list[Enqueued] = []
        for index, (group, entry) in enumerate(in_order(groups)):
            answer = self._known(group, entry, index)
            if answer is None:
                accepted += 1
                self._accept(group, entry)
                answer = Enqueued(index, entry.id, None)
            answers.append(answer)
        answers = [replace(answer, state=self._state(answer.id)) for answer in answers]
        return EnqueueAnswer(
            accepted, [one for one in answers if one.duplicate or one.conflict or one.state is not State.READY]
        )

    def _known(self, group: JobGroup, entry: JobEntry, index: int) -> Enqueued | None:
        """The answer for a job that is not new."""
        if entry.id in self._table.rows:
            return Enqueued(index, entry.id, None, duplicate=True)
        use = self._keys.find(group.task, entry.idempotency_key, self._clock.time())
        if use is not None:
            same = use.is_same(entry)
            return Enqueued(index, use.id, None, duplicate=same, conflict=not same)
        if group.unique is None or entry.unique_key is None:
            return None
        row = self._unique.keeps_away(group.task, entry.unique_key)
        return None if row is None else self._meet(row, group, group.unique, entry, index)

    def _meet(self, row: Row, group: JobGroup, rule: UniqueRule, entry: JobEntry, index: int) -> Enqueued | None:
        """Let a newcomer meet the job that keeps it away. None: it is new all the same."""
        what = verdict(rule.on_conflict, self._state(row.id))
        if what is Verdict.NEW:
            return None
        if what is Verdict.REFUSE:
            return Enqueued(index, row.id, None, conflict=True, unique=True)
        replaces = what is not Verdict.EXISTING
        if replaces:
            self._moves.replace(row, group, entry, keep_time=what is Verdict.KEEP_TIME)
        self._keys.remember(group.task, entry, self._clock.time(), row.id)
        return Enqueued(index, row.id, None, duplicate=True, replaced=replaces, unique=True)

    def _enqueue_part(self, group: JobGroup, part: Part | None) -> bool:
        """Enqueue a call of one job for a workflow. Answers whether it is a new job."""
        (entry,) = group.jobs
        if self._known(group, entry, 0) is not None:
            return False
        self._accept(group, entry, part)
        return True

    def _accept(self, group: JobGroup, entry: JobEntry, part: Part | None = None) -> State:
        now = self._clock.time()
        run_at = group.run_at if group.delay_s is None else now + group.delay_s
        row = Row(
            id=entry.id,
            number=self._table.free_number(entry.id),
            task=group.task,
            queue=group.queue,
            priority=group.priority,
            body=entry.body,
            checksum=entry.checksum,
            created_at=now,
            headers=group.headers or None,
            tags=group.tags or None,
            expires_at=None if group.expires_s is None else now + group.expires_s,
            values=entry.values,
            searchable=entry.searchable or None,
            each=group.each,
            part=part,
        )
        self._keys.remember(group.task, entry, now)
        if group.unique is not None and entry.unique_key is not None:
            row.unique_key, row.claim = entry.unique_key, Claim.of(group.unique, now)
            self._unique.hold(row)
        return self._moves.start(row, Event.ENQUEUE, run_at)
