"""The tasks of a store: their numbers in the file, and what workers have recorded of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from penstock.model import limits
from penstock.model.flow import FairRule
from penstock.model.job import TaskRecord
from penstock.store.sqlite.database import Database

_decode: Final = msgspec.msgpack.Decoder(TaskRecord).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class KnownTasks:
    """The part of `penstock.store.sqlite.in_memory.Books` that knows tasks.

    Attributes:
        task_ids: their numbers, by name.
        task_names: their names, by number.
        records: what is recorded of them, by number.
        fair_rules: of those whose tenants take turns, how, by number.
    """

    database: Database

    def load_tasks(self) -> None:
        """Read all from the file."""
        self.task_ids: dict[str, int] = {}
        self.task_names: dict[int, str] = {}
        self.records: dict[int, TaskRecord] = {}
        self.fair_rules: dict[int, FairRule] = {}
        for number, name, record in self.database.rows("load_tasks"):
            self._add_task(number, name, record)

    def task(self, name: str) -> int:
        """The number of the task of this name, made now if there was none."""
        found = self.task_ids.get(name)
        if found is None:
            self.database.run("insert_task", name)
            found = self.database.connection.last_insert_rowid()
            self._add_task(found, name, None)
        return found

    def _add_task(self, number: int, name: str, record: bytes | None) -> None:
        self.task_ids[name] = number
        self.task_names[number] = name
        if record is not None:
            self._note(number, _decode(record))

    def _note(self, number: int, record: TaskRecord) -> None:
        self.records[number] = record
        if record.flow is not None and record.flow.fair is not None:
            self.fair_rules[number] = record.flow.fair
        else:
            self.fair_rules.pop(number, None)

    def register(self, records: Iterable[TaskRecord]) -> list[int]:
        """Keep the definitions of tasks. Answers their numbers."""
        numbers = []
        for record in records:
            number = self.task(record.name)
            numbers.append(number)
            if self.records.get(number) != record:
                self._note(number, record)
                self.database.run("save_task", _encode(record), number)
        return numbers

    def keep_record_s(self, task: int) -> float:
        """How long the record of a job of this task is kept when its runner does not say."""
        record = self.records.get(task)
        return limits.KEEP_RECORD_S if record is None else record.keep_record_s
