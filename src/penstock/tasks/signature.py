"""A task with its arguments, as a value."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from msgspec import Struct

from penstock.tasks.options import JobOptions
from penstock.tasks.sendable import SendableTask

R_co = TypeVar("R_co", covariant=True)


class Signature(Struct, Generic[R_co], frozen=True, eq=False, gc=False):
    """A call of a task that has not been made. Enqueue many in one request with `Penstock.enqueue_many`.

    Attributes:
        task: the task.
        args: positional arguments as given.
        kwargs: named arguments as given.
        options: of the job; None: the task's own.
    """

    task: SendableTask[R_co]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: JobOptions | None = None

    def __repr__(self) -> str:
        given = [repr(value) for value in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.task.name}.s({', '.join(given)})"
