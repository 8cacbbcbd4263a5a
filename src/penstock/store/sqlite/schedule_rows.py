"""Schedules and their histories over the embedded file: `penstock.workflow.schedule_rows.ScheduleRows`.

All is read from the file when it is asked for. What is due, and what is due next, is found by an index, whatever the
number of schedules.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from penstock.model.schedules import Schedule, ScheduleRun
from penstock.store.sqlite.database import Database
from penstock.workflow.schedule_rows import Standing, Told

T = TypeVar("T")

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_standing: Final = msgspec.msgpack.Decoder(Standing).decode
_decode_schedule: Final = msgspec.msgpack.Decoder(Schedule).decode
_decode_run: Final = msgspec.msgpack.Decoder(ScheduleRun).decode
_UNREADABLE: Final = "How it stands cannot be read."


class SqliteScheduleRows:
    """The tables `schedule`, `schedule_told` and `schedule_run`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._count: int | None = None

    def rolled_back(self) -> None:
        """Forget what was known of the file."""
        self._count = None

    # --- schedules ---------------------------------------------------------------------------------------------------
    def standing(self, name: str) -> Standing | None:
        """See `penstock.workflow.schedule_rows.ScheduleRows`, as for all that follows."""
        row = self.database.row("schedule", name)
        return None if row is None else _standing(row)

    def save(self, standing: Standing) -> None:
        """Keep it."""
        row = (standing.number, standing.name, standing.declared_by, standing.look_at, _encode(standing))
        self.database.run("save_schedule", *row)

    def told(self, number: int) -> Told | None:
        """What it says."""
        row = self.database.row("schedule_told", number)
        if row is None:
            return None
        in_force, declared = row
        try:
            return Told(_decode_schedule(in_force), None if declared is None else _decode_schedule(declared))
        except (msgspec.DecodeError, ValueError, TypeError):
            return None

    def save_told(self, number: int, told: Told) -> None:
        """Keep what it says."""
        declared = None if told.declared is None else _encode(told.declared)
        self.database.run("save_schedule_told", number, _encode(told.in_force), declared)

    def remove(self, standing: Standing) -> None:
        """Forget it."""
        for statement in ("delete_schedule", "delete_schedule_told", "delete_all_schedule_runs"):
            self.database.run(statement, standing.number)
        if self._count is not None:
            self._count -= 1

    def new_number(self) -> int:
        """A number of its own. Whoever takes it saves the schedule."""
        if self._count is not None:
            self._count += 1
        return int(self.database.value("last_schedule") or 0) + 1

    def count(self) -> int:
        """How many there are. They are counted once, and kept count of then."""
        if self._count is None:
            self._count = int(self.database.value("count_schedules"))
        return self._count

    def due(self, now: float, limit: int) -> list[Standing]:
        """Those to be looked at. One of which cannot be read how it stands is paused, and says so."""
        found = [_standing(row) for row in self.database.rows("due_schedules", now, limit)]
        for standing in found:
            if standing.is_paused:
                self.save(standing)
        return [standing for standing in found if not standing.is_paused]

    def next_look(self) -> float | None:
        """When the first is to be looked at; None: none ever."""
        look_at: float | None = self.database.value("next_schedule")
        return look_at

    def page(self, after: str, limit: int) -> list[Standing]:
        """By name."""
        return [_standing(row) for row in self.database.rows("schedules_after", after, limit)]

    def declared_by(self, application: str) -> list[Standing]:
        """Those of an application."""
        return [_standing(row) for row in self.database.rows("schedules_of", application)]

    # --- histories ---------------------------------------------------------------------------------------------------
    def run(self, number: int, run: int) -> ScheduleRun | None:
        """An entry."""
        record = self.database.value("schedule_run", number, run)
        return None if record is None else _decode_run(record)

    def save_run(self, number: int, run: ScheduleRun) -> None:
        """Keep an entry."""
        self.database.run("save_schedule_run", number, run.number, run.id, run.state.value, _encode(run))

    def drop_runs(self, number: int, up_to: int) -> None:
        """Forget old entries."""
        self.database.run("delete_schedule_runs", number, up_to)

    def runs(self, number: int, below: int, limit: int) -> list[ScheduleRun]:
        """Newest first."""
        return [_decode_run(record) for (record,) in self.database.rows("schedule_runs", number, below, limit)]

    def open_runs(self, number: int, limit: int) -> list[ScheduleRun]:
        """Oldest first."""
        return [_decode_run(record) for (record,) in self.database.rows("started_schedule_runs", number, limit)]

    def count_open(self, number: int, limit: int) -> int:
        """How many have not ended."""
        return int(self.database.value("count_started_schedule_runs", number, limit))

    def of_job(self, job_id: bytes) -> tuple[str, ScheduleRun] | None:
        """The schedule and the run that have started this job, or workflow, if it has not ended."""
        row = self.database.row("schedule_run_of_job", job_id)
        return None if row is None else (row[0], _decode_run(row[1]))


def _standing(row: Any) -> Standing:
    number, name, packed = row
    try:
        return _decode_standing(packed)
    except (msgspec.DecodeError, ValueError, TypeError):
        return Standing(number, name, 0.0, 0.0, is_paused=True, problem=_UNREADABLE)
