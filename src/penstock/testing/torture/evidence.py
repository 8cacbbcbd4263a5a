"""All that is known of a run: what producers and jobs wrote down, and what is in the file. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from penstock.model.states import TERMINAL, State
from penstock.testing.torture.chord_shapes import CALLBACK, Chord, chord_of, token_of
from penstock.testing.torture.records import (
    Acked,
    Attempted,
    CancelAsked,
    ChildAsked,
    ChordAcked,
    Execution,
    StepBegun,
    StepKept,
)
from penstock.testing.torture.rows import JobRow, StoreRows
from penstock.testing.torture.tasks import ExpectedEnd


@dataclass(slots=True)
class Evidence:
    """All that is known.

    Attributes:
        forgets: tasks whose jobs leave no row when they succeed.
        queues: the queue of each task.
        endings: how jobs of a task end; those of others succeed at the first attempt.
        stepped: tasks that make durable steps.
        children_of: by job and by execution of it (its nonce), the ids of the jobs that it enqueued with its outcome.
        chords: all that were asked for, by their tokens.
        begun, kept: by job, what was written down of its steps.
    """

    attempts: Iterable[Attempted]
    acks: Iterable[Acked]
    executions: Iterable[Execution]
    store: StoreRows
    forgets: AbstractSet[str]
    queues: Mapping[str, str]
    endings: Mapping[str, ExpectedEnd]
    cancels: Iterable[CancelAsked] = ()
    children: Iterable[ChildAsked] = ()
    chord_acks: Iterable[ChordAcked] = ()
    steps_begun: Iterable[StepBegun] = ()
    steps_kept: Iterable[StepKept] = ()
    stepped: AbstractSet[str] = frozenset()
    to_cancel: set[str] = field(default_factory=set)
    _task_of: dict[str, str] = field(default_factory=dict)
    ids_of: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    acked: dict[str, str] = field(default_factory=dict)
    runs: dict[str, list[Execution]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[str, JobRow] = field(default_factory=dict)
    token_of: dict[str, str] = field(default_factory=dict)
    children_of: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    chords: dict[str, Chord] = field(default_factory=dict)
    acked_chords: dict[str, str] = field(default_factory=dict)
    begun: dict[str, list[StepBegun]] = field(default_factory=lambda: defaultdict(list))
    kept: dict[str, list[StepKept]] = field(default_factory=lambda: defaultdict(list))
    _tokens_of_children: set[str] = field(default_factory=set)
    _tokens_of_parts: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.to_cancel = {cancel.token for cancel in self.cancels}
        for attempt in self.attempts:
            self._task_of[attempt.token] = attempt.task
            if attempt.task == CALLBACK:
                self._know(chord_of(token_of(attempt.token)))
        for child in self.children:
            self._task_of[child.token] = child.task
            self._tokens_of_children.add(child.token)
            self.children_of.setdefault(child.parent, {}).setdefault(child.nonce, set()).add(child.id)
        for row in self.store.jobs:
            self.rows[row.id] = row
            self._relate(row.token, row.id)
        for run in self.executions:
            self.runs[run.id].append(run)
            self._relate(run.token, run.id)
        for ack in self.acks:
            self.acked[ack.id] = ack.token
            self._relate(ack.token, ack.id)

        self.acked_chords = {ack.token: ack.id for ack in self.chord_acks}
        for begun in self.steps_begun:
            self.begun[begun.id].append(begun)
        for kept in self.steps_kept:
            self.kept[kept.id].append(kept)

    def _know(self, chord: Chord) -> None:
        self.chords[chord.token] = chord
        self._tokens_of_parts.update(part.token for part in chord.parts())

    def _relate(self, token: str, job_id: str) -> None:
        self.ids_of[token].add(job_id)
        self.token_of[job_id] = token

    @property
    def attempted(self) -> Mapping[str, str]:
        """Token -> task of all that was asked for, by producers and by jobs."""
        return self._task_of

    @property
    def requested(self) -> set[str]:
        """Tokens of single jobs that producers asked for."""
        return self._task_of.keys() - self._tokens_of_children - self._tokens_of_parts

    @property
    def parts(self) -> set[str]:
        """Tokens of the jobs of chords."""
        return self._tokens_of_parts

    @property
    def accepted(self) -> set[str]:
        """Ids of all jobs that the store has taken in, as far as anything shows it."""
        return self.rows.keys() | self.runs.keys()

    def row_of(self, token: str) -> JobRow | None:
        """The row of the job with this token; None: there is none."""
        return next((self.rows[job_id] for job_id in self.ids_of.get(token, ()) if job_id in self.rows), None)

    def fate(self, job_id: str) -> str:
        """What became of a job: done, dead, cancelled, pending or lost."""
        row = self.rows.get(job_id)
        if row is None:
            task = self._task_of.get(self.token_of[job_id])
            return "done" if job_id in self.runs and task in self.forgets else "lost"
        if State.SUCCEEDED in row.states:
            return "done"
        if State.CANCELLED in row.states:
            return "cancelled"
        return "dead" if any(state in TERMINAL for state in row.states) else "pending"
