"""What a lane looks up once for a task instead of at each of its jobs, and what is different for some of the jobs."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, Final

import msgspec

from penstock.model.errors import InvalidArguments, ResultTooLarge
from penstock.model.job import JobExtra
from penstock.tasks.arguments.call_plan import Arguments
from penstock.tasks.arguments.chunks import chunk_decoder, chunk_result_encoder
from penstock.tasks.arguments.results import SOURCE, has_reference
from penstock.tasks.store_connection import StoreConnection
from penstock.tasks.task import Task
from penstock.worker.executor.returned_values import VALUES, NothingRan, finished, finished_async
from penstock.worker.outcomes import Retries

Runnable = Task[..., Any]
"""A task as a lane sees it."""
_EXTRAS_MAX: Final = 64
_decode_extra: Final = msgspec.msgpack.Decoder(JobExtra).decode
_extras: Final[dict[bytes, JobExtra]] = {}


def extra_of(data: bytes) -> JobExtra:
    """What a job has that few have, unpacked. Jobs that come together often have the same."""
    found = _extras.get(data)
    if found is None:
        if len(_extras) >= _EXTRAS_MAX:
            _extras.clear()
        found = _extras[data] = _decode_extra(data)
    return found


class TaskPlan:
    """What a lane knows of a task.

    Attributes:
        forgets: of a success neither a result nor a record is kept: it is only counted.
        keeps_result: what it returns is encoded and sent.
        decode: gives a body's arguments, or raises InvalidArguments, of which a lane makes `Unfit`.
        encode_result: as that of `Task`.
        is_step: the job is of a workflow.
        is_bare: there is nothing to do but decode, call and count: no context, no soft limit, and nothing of a
            success is kept. Lanes run the jobs of such a task in their own loop, all others through `Attempts.attempt`.
    """

    __slots__ = (
        "_variants",
        "decode",
        "encode_result",
        "forgets",
        "function",
        "is_bare",
        "is_step",
        "keeps_result",
        "retry",
        "soft_timeout_s",
        "takes_context",
        "task",
    )

    def __init__(self, task: Runnable) -> None:
        self.task = task
        self.function: Callable[..., Any] = task.function
        self.decode = task.codec.arguments_decoder()
        self.encode_result: Callable[[Any], bytes] = task.codec.encode_result
        self.retry: Retries = task.retry
        self.takes_context = task.takes_context
        self.soft_timeout_s = task.soft_timeout_s
        self.keeps_result = task.keep_result_s > 0
        self.forgets = task.keep_result_s == 0 and task.keep_record_s == 0
        self.is_step = False
        self.is_bare = self.forgets and not self.takes_context and self.soft_timeout_s is None
        self._variants: dict[tuple[bool, bool], TaskPlan] = {}

    def suited(self, extra: JobExtra) -> TaskPlan:
        """The plan for a job of the task that has this. Of most it is this one."""
        is_step = extra.workflow is not None
        if not (is_step or extra.each):
            return self
        found = self._variants.get((is_step, extra.each))
        if found is None:
            found = self._variants[is_step, extra.each] = self._variant(is_step=is_step, each=extra.each)
        return found

    def _variant(self, *, is_step: bool, each: bool) -> TaskPlan:
        plan = copy(self)
        if each:
            plan.function = _each_async(plan) if plan.task.is_async else _each(plan)
            plan.decode = chunk_decoder(plan.decode)
            plan.encode_result = chunk_result_encoder(plan.task.name, plan.encode_result)
        if is_step:
            # Whatever follows takes its result. What it takes may be read from the store.
            plan.is_step = plan.keeps_result = True
            plan.forgets = plan.is_bare = False
            plan.decode = _bound(plan.task.name, plan.decode, plan.task.connection)
        return plan


def _bound(
    task: str, decode: Callable[[bytes], Arguments], connection: StoreConnection
) -> Callable[[bytes], Arguments]:
    """``decode``, for bodies in which references may stand for the results of very many jobs."""

    def read(body: bytes) -> Arguments:
        token = SOURCE.set(connection)
        try:
            return decode(body)
        except InvalidArguments as error:
            if has_reference(body):
                raise NothingRan(
                    ResultTooLarge(
                        f"{task}: the results that are handed over are too many, or too large, for a list: let the"
                        f" parameter take `Results`, which is read in pages. ({error.message})"
                    )
                ) from None
            raise
        finally:
            SOURCE.reset(token)

    return read


def _each(plan: TaskPlan) -> Callable[..., list[Any]]:
    """A function that makes several calls of a plain one. It takes the context, if that does, and then their
    arguments."""
    function, task = plan.function, plan.task.name

    def make_calls(*given: Any) -> list[Any]:
        *context, calls = given
        values = []
        for args, kwargs in calls:
            value = function(*context, *args, **kwargs)
            values.append(value if type(value) in VALUES else finished(task, value))
        return values

    return make_calls


def _each_async(plan: TaskPlan) -> Callable[..., Any]:
    function, task = plan.function, plan.task.name

    async def make_calls(*given: Any) -> list[Any]:
        *context, calls = given
        return [await finished_async(task, function(*context, *args, **kwargs)) for args, kwargs in calls]

    return make_calls
