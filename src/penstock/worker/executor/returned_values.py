"""What becomes of a function's returned value that is not the job's result yet.

A coroutine function behind a plain decorator looks like a plain function and returns a coroutine, of whose body nothing
has run. The coroutine is run here: otherwise the job would succeed without having done anything. A generator's body has
not run either, but what it yields has nowhere to go: such a job has failed.

`finished` is for the lanes of plain functions, `finished_async` for the async lane. A lane calls them for a value whose
class is not in `VALUES`.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Iterator
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final

from penstock.model.errors import InvalidResult
from penstock.model.wording import with_article
from penstock.tasks.job_handle import Job

VALUES: Final = frozenset({type(None), bool, int, float, str, bytes, dict, list, tuple})
"""The usual classes of results, which need no second look."""


@contextlib.contextmanager
def _managed() -> Iterator[None]:
    yield


@contextlib.asynccontextmanager
async def _managed_async() -> AsyncIterator[None]:
    yield


_LAZY: Final = (GeneratorType, AsyncGeneratorType, type(_managed()), type(_managed_async()), map, filter)


class NothingRan(Exception):
    """A job returned something of which nothing has run, such as a generator; ``cause`` says so. Another attempt would
    return the same."""

    def __init__(self, cause: InvalidResult) -> None:
        super().__init__(cause.message)
        self.cause = cause


def finished(task: str, value: Any) -> Any:
    """What a plain function's job returns in the end. A coroutine runs on an event loop of its own.

    Raises:
        NothingRan: it is a generator.
    """
    if _is_awaitable(value):
        import asyncio

        return asyncio.run(finished_async(task, value))
    _refuse_lazy(task, value)
    return value


async def finished_async(task: str, value: Any) -> Any:
    """What a coroutine function's job returns in the end.

    Raises:
        NothingRan: it is a generator.
    """
    while _is_awaitable(value):
        value = await value
    _refuse_lazy(task, value)
    return value


def _is_awaitable(value: Any) -> bool:
    """A job's handle can be awaited too, but is a value: whoever returns one does not wait for that job."""
    return inspect.isawaitable(value) and not isinstance(value, Job)


def _refuse_lazy(task: str, value: Any) -> None:
    if isinstance(value, _LAZY):
        kind = with_article(type(value).__name__.strip("_"))
        raise NothingRan(
            InvalidResult(f"{task}: what it returned is {kind}, of which nothing has run: a task returns one value.")
        )
