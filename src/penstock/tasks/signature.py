"""A task with its arguments, as a value; and as much of a task as it takes to send jobs of it.

`penstock.tasks.task.Task` is a `SendableTask` with a function and the ways to enqueue. `Signature` and
`penstock.tasks.sending` know only `SendableTask`, and `Task` knows them, so that imports lead in one direction.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from msgspec import Struct

from penstock.tasks.arguments.codec import Codec
from penstock.tasks.options import JobOptions
from penstock.tasks.store_connection import StoreConnection

R_co = TypeVar("R_co", covariant=True)


class SendableTask(Generic[R_co]):
    """A task, as far as it takes to send jobs of it. ``R_co`` is what its jobs return.

    Attributes:
        name: under which producers and workers know it.
        codec: checks and encodes the arguments of its jobs, and decodes their results.
        connection: to the store that keeps its jobs. Tasks of one application share one.
        queue: where its jobs go unless they say otherwise.
        priority: of its jobs unless they say otherwise, higher first.
        expires_s: a job not started within this time is dropped as expired. None: never.
        tags: on all its jobs.
        tag_list: the same as the store takes it; None: there are none.
    """

    name: str
    codec: Codec
    connection: StoreConnection
    queue: str
    priority: int
    expires_s: float | None
    tags: tuple[str, ...]
    tag_list: list[str] | None


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
