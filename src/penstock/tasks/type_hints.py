"""The four shapes of a task that type checkers tell apart, so that calling one here and now is typed as well.

At run time all of them are `Task`: whether a function takes a context may only be known once its annotations resolve.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, ParamSpec, TypeVar

from penstock.tasks.context import Context
from penstock.tasks.task import Task

P = ParamSpec("P")
R = TypeVar("R")


class PlainTask(Task[P, R]):
    """A task of a plain function."""

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now."""
        value: R = super().__call__(*args, **kwargs)
        return value


class PlainContextTask(Task[P, R]):
    """A task of a plain function that takes a context."""

    def __call__(self, ctx: Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now."""
        value: R = super().__call__(ctx, *args, **kwargs)
        return value


class AsyncTask(Task[P, R]):
    """A task of a coroutine function."""

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """The function's coroutine, to be awaited here and now."""
        coroutine: Coroutine[Any, Any, R] = super().__call__(*args, **kwargs)
        return coroutine


class AsyncContextTask(Task[P, R]):
    """A task of a coroutine function that takes a context."""

    def __call__(self, ctx: Context, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """The function's coroutine, to be awaited here and now."""
        coroutine: Coroutine[Any, Any, R] = super().__call__(ctx, *args, **kwargs)
        return coroutine
