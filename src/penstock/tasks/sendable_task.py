"""As much of a task as it takes to send jobs of it.

`penstock.tasks.task.Task` is a `SendableTask` with a function and the ways to enqueue. What makes jobs of calls knows
only `SendableTask`, and `Task` knows that, so that imports lead in one direction.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from penstock.tasks.arguments.codec import Codec
from penstock.tasks.job_texts import TaskTexts
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
