"""Where a function is in the history of its job: what to do at each of its durable calls. Pure.

A function runs from its beginning each time. Its k-th durable call has the place k. Where something is recorded at that
place, the call gets what was recorded, if it has the same name; otherwise what it asks for is done, and recorded there.

`Replay` is asked at each call and told what became of it. It neither calls anything nor records anything itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from penstock.model.durable_steps import Record, RecordKind
from penstock.model.errors import InvalidOption, StepChanged
from penstock.model.job_error import JobError
from penstock.model.step_history import check_name, check_place, is_end

SLEEP_NAME: Final = "sleep"
"""What a sleep is recorded as."""
_WORDS: Final = {
    RecordKind.STEP: "step",
    RecordKind.TRIES: "step",
    RecordKind.SLEEP: "sleep",
    RecordKind.EVENT: "wait for event",
}


class Todo(NamedTuple):
    """What to do at a call.

    Attributes:
        place: of the call.
        name: of what it asks for.
        ended: what it has come to in an earlier run; None: it has not ended.
        waits: suspend the job, with this record; None: it does not wait.
        tries: a step is to be done now, and has failed this often before.
    """

    place: int
    name: str
    ended: Record | None = None
    waits: Record | None = None
    tries: int = 0


class Replay:
    """One run of a job's function.

    Attributes:
        before: failures that the function has caught (as far as is known) and that are not recorded yet: they are to be
            recorded together with whatever is next.
        broken: why the job cannot go on; it is raised again at every call. None: it can.
    """

    def __init__(self, records: Iterable[Record] = (), now: float = 0.0) -> None:
        """``records``: the job's history. ``now``: by the store's clock, when that was read."""
        self.before: list[Record] = []
        self.broken: Exception | None = None
        self._records = {record.place: record for record in records}
        self._last = max(self._records, default=-1)
        self._now = now
        self._place = 0
        self._steps: dict[str, int] = {}
        self._under_way: Todo | None = None

    # --- a call ------------------------------------------------------------------------------------------------------
    def step(self, name: str) -> Todo:
        """A step is asked for. `returned`, `failed` or `failed_once` must follow, unless it has ended or waits.

        Raises:
            StepChanged: there was a step of this name in this run, or another call stood here in an earlier one.
            InvalidOption: the name is none, another call has not ended, or there are too many.
        """
        if name in self._steps:
            raise self._break(
                StepChanged(
                    f"Step {name!r} is the name of the calls {self._steps[name] + 1} and {self._place + 1} of this run:"
                    " give each step a name of its own, with a number or a key in it where one is made in a loop."
                )
            )
        todo = self._begin(RecordKind.STEP, name)
        self._steps[name] = todo.place
        return todo

    def sleep(self) -> Todo:
        """A sleep is asked for. Raises as `step`."""
        return self._begin(RecordKind.SLEEP, SLEEP_NAME)

    def event(self, name: str) -> Todo:
        """An event is waited for. Raises as `step`; but the same event may be waited for again."""
        return self._begin(RecordKind.EVENT, name)

    def _begin(self, kind: RecordKind, name: str) -> Todo:
        if self.broken is not None:
            raise self.broken
        if self._under_way is not None:
            raise self._break(
                InvalidOption(
                    f"{_WORDS[kind]} {name!r} is asked for while {self._under_way.name!r} has not ended: a function"
                    " makes one durable call at a time, and awaits it. What is to be done at the same time goes into"
                    " one step, or into jobs of their own.",
                    field="name",
                )
            )
        place = self._place
        try:
            check_name(name, f"a {_WORDS[kind]}")
            check_place(place)
        except InvalidOption as error:
            raise self._break(error) from None
        self._place = place + 1
        record = self._records.get(place)
        if record is None:
            todo = Todo(place, name, waits=None if kind is RecordKind.STEP else Record(place, name, kind))
        elif record.name != name or _WORDS[record.kind] != _WORDS[kind]:
            raise self._break(
                StepChanged(
                    f"Durable call {place + 1} is {_WORDS[kind]} {name!r}, and was {_WORDS[record.kind]}"
                    f" {record.name!r} when this job ran before: its code has changed. Let jobs that have begun end on"
                    " the code that they began on, give changed functions another task name, or enqueue the job anew."
                )
            )
        else:
            todo = self._met(record)
        self._under_way = None if todo.ended is not None else todo
        return todo

    def _met(self, record: Record) -> Todo:
        """What to do where something is recorded."""
        is_over = record.until is not None and record.until <= self._now
        if is_end(record) or (record.kind is RecordKind.SLEEP and is_over):
            return Todo(record.place, record.name, ended=record)
        if record.kind is RecordKind.TRIES and is_over:
            return Todo(record.place, record.name, tries=record.tries)
        return Todo(record.place, record.name, waits=record)

    # --- what became of it -------------------------------------------------------------------------------------------
    def returned(self, todo: Todo, value: bytes) -> Record:
        """A step has returned. Answers what is to be recorded, after `before`."""
        self._under_way = None
        return Record(todo.place, todo.name, RecordKind.STEP, value)

    def failed(self, todo: Todo, error: JobError) -> None:
        """A step has failed for good. If the function goes on it has caught that, and the failure is recorded."""
        self._under_way = None
        self.before.append(Record(todo.place, todo.name, RecordKind.STEP, error=error))

    def failed_once(self, todo: Todo, error: JobError) -> Record:
        """A step has failed and is to be tried again. Answers what the job is suspended for."""
        return Record(todo.place, todo.name, RecordKind.TRIES, error=error, tries=todo.tries + 1)

    def left(self) -> None:
        """The call that is under way was left, by an error that is not the step's own: the attempt is about to end."""
        self._under_way = None

    def recorded(self, count: int) -> None:
        """The first ``count`` of `before` are recorded."""
        del self.before[:count]

    # --- the end -----------------------------------------------------------------------------------------------------
    def check_end(self, *, is_awaited: bool = True) -> None:
        """Pass when a function may return here. ``is_awaited``: so is every call that it has made.

        Raises:
            StepChanged: earlier runs have recorded more than this one has asked for.
            InvalidOption: a call was not awaited.
        """
        if self.broken is not None:
            raise self.broken
        if self._under_way is not None or not is_awaited:
            what = "a durable call" if self._under_way is None else repr(self._under_way.name)
            raise self._break(
                InvalidOption(f"The function returned before {what} had ended: await every durable call.", field="name")
            )
        if self._last >= self._place:
            left = self._records[self._last]
            raise self._break(
                StepChanged(
                    f"The function returned after {self._place} durable calls, and had {_WORDS[left.kind]}"
                    f" {left.name!r} as call {left.place + 1} when this job ran before: its code has changed."
                )
            )

    def _break(self, error: Exception) -> Exception:
        self.broken = error
        return error
