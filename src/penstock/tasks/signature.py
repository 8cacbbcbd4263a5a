"""A task with its arguments, as a value; and as much of a task as it takes to send jobs of it.

`penstock.tasks.task.Task` is a `SendableTask` with a function and the ways to enqueue. `Signature` and
`penstock.tasks.sending` know only `SendableTask`, and `Task` knows them, so that imports lead in one direction.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from penstock.model.errors import InvalidOption
from penstock.tasks.arguments.codec import Codec
from penstock.tasks.job_texts import TaskTexts
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
        texts: computes what is told of the arguments of its jobs.
        is_plain: nothing is told of jobs in its own queue.
        sensitive: parameters that are never searched, shown or logged. Where a limit or a unique key names one, a hash
            of its value travels instead.
    """

    name: str
    codec: Codec
    connection: StoreConnection
    queue: str
    priority: int
    expires_s: float | None
    tags: tuple[str, ...]
    tag_list: list[str] | None
    texts: TaskTexts
    is_plain: bool
    sensitive: tuple[str, ...]


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
        args, kwargs = self.args, self.kwargs
        if self.task.sensitive:
            args, kwargs = _covered(self.task, args, kwargs)
        given = [repr(value) for value in args] + [f"{name}={value!r}" for name, value in kwargs.items()]
        return f"{self.task.name}.s({', '.join(given)})"


class _Covered:
    """Stands in a text where a sensitive value would."""

    def __repr__(self) -> str:
        return "…"


_COVERED: Final = _Covered()


def _covered(
    task: SendableTask[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with nothing to be read in place of those that are sensitive. The call may be wrong: what stands behind
    the last parameter is covered too."""
    try:
        names = task.codec.positional_names()
    except InvalidOption:
        names = ()
    places = [place < len(names) and names[place] not in task.sensitive for place in range(len(args))]
    return (
        tuple(value if shown else _COVERED for value, shown in zip(args, places, strict=True)),
        {name: _COVERED if name in task.sensitive else value for name, value in kwargs.items()},
    )
