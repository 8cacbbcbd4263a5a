"""Handles of workflows, for whoever started one or knows its id."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, NoReturn, Self, TypeVar

import msgspec
from msgspec import Struct

from penstock.model.errors import (
    InvalidResult,
    JobCancelled,
    JobFailed,
    ResultExpired,
    ResultTimeout,
    WorkflowNotFound,
)
from penstock.model.ids import id_text, new_id
from penstock.model.job import JobError
from penstock.model.step_history import check_name
from penstock.model.workflow_views import ResultsPage, StepsPage, StepState, WorkflowState, WorkflowView
from penstock.tasks.arguments.results import SOURCE, Results
from penstock.tasks.arguments.step_values import UNTYPED, published_value
from penstock.tasks.arguments.values import result_reader
from penstock.tasks.canvas.step_search import no_step
from penstock.tasks.canvas.waiting_steps import jobs_to_look_up, needs_named, with_reasons
from penstock.tasks.canvas.workflow_status import (
    Moment,
    StepStatus,
    WorkflowStatus,
    step_status,
    timeline_of,
    workflow_status,
)
from penstock.tasks.store_connection import StoreConnection, rounds

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")

_ENDED = (WorkflowState.SUCCEEDED, WorkflowState.FAILED, WorkflowState.CANCELLED)


class Workflow(Struct, Generic[R_co], frozen=True, eq=False, gc=False):
    """A workflow that was accepted. Awaiting it gives its result. Made by enqueueing a canvas, or by
    `Penstock.workflow`.

    A handle is tied to its application's connection, and cannot be pickled or sent. What travels is ``workflow.id``.

    Attributes:
        name: of what it is, for people. Empty: not looked up.
        duplicate: it is one that was there before, by its idempotency key.
    """

    _connection: StoreConnection
    _id: bytes
    name: str = ""
    _returns: Any = Any
    duplicate: bool = False

    @property
    def id(self) -> str:
        """The workflow's id in its text form."""
        return id_text(self._id)

    @property
    def durability(self) -> str:
        """What the acceptance has survived: ``disk``, ``replicated`` or ``memory``."""
        return self._connection.durability

    @property
    def state(self) -> WorkflowState:
        """Its state now. Raises WorkflowNotFound."""
        return self.status().state

    # --- the result ---------------------------------------------------------------------------------------------------

    def result(self, timeout_s: float | None = None) -> R_co:
        """What it has come to, as soon as it is there. Of a group with very many members: `Results`.

        Args:
            timeout_s: how long to wait; 0: look once; None: as long as it takes. On a store without processes this
                always looks once.

        Raises:
            ResultTimeout: it is not over by then.
            JobFailed: it has failed, with ``type``, ``message`` and ``traceback`` of the first failure.
            JobCancelled: it was cancelled.
            WorkflowNotFound: there is no record of it (any more).
            ResultExpired: its result is not kept any more.
        """
        for wait_s in rounds(timeout_s, parks=self._connection.parks):
            view = self._found(self._connection.wait_workflow(self._id, wait_s))
            if view.state in _ENDED:
                self._check_success(view)
                value: R_co = self._value(self._connection.store().results(self._id, None))
                return value
        raise self._late(timeout_s)

    async def result_async(self, timeout_s: float | None = None) -> R_co:
        """`result` for a coroutine."""
        store = await self._connection.async_store()
        for wait_s in rounds(timeout_s, parks=self._connection.parks):
            view = self._found(await store.wait_workflow(self._id, wait_s=wait_s))
            if view.state in _ENDED:
                self._check_success(view)
                value: R_co = self._value(await store.results(self._id, None))
                return value
        raise self._late(timeout_s)

    def __await__(self) -> Generator[Any, None, R_co]:
        return self.result_async().__await__()

    # --- how it is ----------------------------------------------------------------------------------------------------

    def status(self) -> WorkflowStatus:
        """How it is now. Raises WorkflowNotFound."""
        return workflow_status(self._found(self._connection.store().workflow(self._id)))

    async def status_async(self) -> WorkflowStatus:
        """`status` for a coroutine."""
        store = await self._connection.async_store()
        return workflow_status(self._found(await store.workflow(self._id)))

    def steps(self) -> list[StepStatus]:
        """All its steps, in the order of the canvas; members of groups are counted, not listed. Raises
        WorkflowNotFound."""
        store = self._connection.store()
        steps: list[StepStatus] = []
        cursor: str | None = None
        while True:
            page: StepsPage = store.steps(self._id, cursor=cursor)
            waiting = jobs_to_look_up(page.steps)
            steps += map(step_status, with_reasons(page.steps, store.get(waiting) if waiting else ()))
            cursor = page.cursor
            if cursor is None:
                return steps

    async def steps_async(self) -> list[StepStatus]:
        """`steps` for a coroutine."""
        store = await self._connection.async_store()
        steps: list[StepStatus] = []
        cursor: str | None = None
        while True:
            page: StepsPage = await store.steps(self._id, cursor=cursor)
            waiting = jobs_to_look_up(page.steps)
            steps += map(step_status, with_reasons(page.steps, await store.get(waiting) if waiting else ()))
            cursor = page.cursor
            if cursor is None:
                return steps

    def results(self, step: str | int, kind: Any = Any) -> Results[Any]:
        """The results of a step so far: of a group those of its members, in order, with None for those that have failed
        or not ended; of a job its own one. They are read in pages, and decoded to ``kind``.

        Raises:
            WorkflowNotFound: there is no such workflow, or no step of this name or number.
        """
        return Results(self._connection, self._id, self._number(step), result_reader(kind))

    async def results_async(self, step: str | int, kind: Any = Any) -> Results[Any]:
        """`results` for a coroutine: ``async for``, and ``await results.length()``."""
        found = await self._step_async(step)
        return Results(self._connection, self._id, found.number, result_reader(kind))

    def why(self, step: str | int) -> str | None:
        """Why a step waits, in words: for other steps, which are named; or, when it has begun, what its job waits for.
        None: it does not wait.

        Raises:
            WorkflowNotFound: there is no such workflow, or no step of this name or number.
        """
        return self._why(self.steps(), step)

    async def why_async(self, step: str | int) -> str | None:
        """`why` for a coroutine."""
        return self._why(await self.steps_async(), step)

    def timeline(self) -> list[Moment]:
        """What happened when, the earliest first. Raises WorkflowNotFound."""
        return timeline_of(self.status(), self.steps())

    async def timeline_async(self) -> list[Moment]:
        """`timeline` for a coroutine."""
        return timeline_of(await self.status_async(), await self.steps_async())

    def published(self, name: str) -> Any:
        """The value that its jobs have published under this name last (`Context.publish_value`); None: none yet."""
        return published_value(self._connection.store().published(self._id, [name]), name)

    async def published_async(self, name: str) -> Any:
        """`published` for a coroutine."""
        store = await self._connection.async_store()
        return published_value(await store.published(self._id, [name]), name)

    # --- what is done to it -------------------------------------------------------------------------------------------

    def cancel(self) -> WorkflowState:
        """Cancel all of it. Answers its state afterwards. Raises WorkflowNotFound."""
        return self._found(self._connection.store().cancel_workflow(self._id))

    async def cancel_async(self) -> WorkflowState:
        """`cancel` for a coroutine."""
        return self._found(await (await self._connection.async_store()).cancel_workflow(self._id))

    def pause(self) -> WorkflowState:
        """Let no step of it start until `resume`; what was handed out goes on. Raises WorkflowNotFound."""
        return self._found(self._connection.store().pause_workflow(self._id))

    async def pause_async(self) -> WorkflowState:
        """`pause` for a coroutine."""
        return self._found(await (await self._connection.async_store()).pause_workflow(self._id))

    def resume(self) -> WorkflowState:
        """Let steps start again. Raises WorkflowNotFound."""
        return self._found(self._connection.store().resume_workflow(self._id))

    async def resume_async(self) -> WorkflowState:
        """`resume` for a coroutine."""
        return self._found(await (await self._connection.async_store()).resume_workflow(self._id))

    def retry(self) -> WorkflowState:
        """Let it go on after it has failed or was cancelled: what failed, was cancelled or was undone runs again, what
        succeeded stands. Raises WorkflowNotFound."""
        return self._found(self._connection.store().retry_workflow(self._id))

    async def retry_async(self) -> WorkflowState:
        """`retry` for a coroutine."""
        return self._found(await (await self._connection.async_store()).retry_workflow(self._id))

    def fork(self, step: str | int) -> Workflow[R_co]:
        """Start a copy of it in which this step, and all that needs it, runs anew, and what else succeeded stands.

        Raises:
            WorkflowNotFound: there is no such workflow, or no step of this name or number.
            Conflict: a step that it needs has not succeeded.
        """
        started = self._connection.store().fork_workflow(self._id, self._number(step), new_id())
        return Workflow(self._connection, started.id, self.name, self._returns)

    async def fork_async(self, step: str | int) -> Workflow[R_co]:
        """`fork` for a coroutine."""
        number = (await self._step_async(step)).number
        store = await self._connection.async_store()
        started = await store.fork_workflow(self._id, number, new_id())
        return Workflow(self._connection, started.id, self.name, self._returns)

    def signal(self, event: str, payload: Any = None) -> bool:
        """Signal an event to it: `Penstock.signal` with its id. Answers whether one of its jobs waited for it.

        Raises:
            WorkflowNotFound: there is no such workflow, or it is over.
            InvalidOption: the event has no name, or a long one.
            InvalidResult: the payload cannot be sent.
            StoreFull: SIGNALS_KEPT_MAX events are kept that nobody has waited for.
        """
        return self._connection.store().signal(self._id, event, event_payload(event, payload)).delivered

    async def signal_async(self, event: str, payload: Any = None) -> bool:
        """`signal` for a coroutine."""
        store = await self._connection.async_store()
        return (await store.signal(self._id, event, event_payload(event, payload))).delivered

    # --- inside -------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<Workflow {self.id}{f' of {self.name}' if self.name else ''}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} is a handle and cannot be pickled: send its id, and ask app.workflow(id) for a handle."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workflow) and other._id == self._id

    def __hash__(self) -> int:
        return hash(self._id)

    def _found(self, answer: T | None) -> T:
        if answer is None:
            raise WorkflowNotFound(f"There is no record of workflow {self.id} (never accepted, or not kept any more).")
        return answer

    def _step(self, step: str | int) -> StepStatus:
        return self._among(self.steps(), step)

    async def _step_async(self, step: str | int) -> StepStatus:
        return self._among(await self.steps_async(), step)

    def _why(self, steps: list[StepStatus], step: str | int) -> str | None:
        found = self._among(steps, step)
        if found.reason is None or found.state is not StepState.WAITING:
            return found.reason
        is_open = (StepState.WAITING, StepState.RUNNING)
        return found.reason + needs_named(found.needs, {one.number: one.name for one in steps if one.state in is_open})

    def _among(self, steps: list[StepStatus], step: str | int) -> StepStatus:
        for found in steps:
            if step in (found.name, found.number):
                return found
        raise no_step(self._id, step, [found.name for found in steps])

    def _number(self, step: str | int) -> int:
        return self._step(step).number

    def _late(self, timeout_s: float | None) -> ResultTimeout:
        waited = f"within {timeout_s} s" if self._connection.parks and timeout_s else "yet"
        return ResultTimeout(f"Workflow {self.id} is not over {waited}.")

    def _check_success(self, view: WorkflowView) -> None:
        if view.state is WorkflowState.FAILED:
            raise workflow_failure(view)
        if view.state is WorkflowState.CANCELLED:
            raise JobCancelled(f"Workflow {self.id} was cancelled.")

    def _value(self, page: ResultsPage) -> Any:
        data = page.results[0] if page.results else None
        if data is None:
            raise ResultExpired(f"Workflow {self.id} succeeded; its result is not kept.")
        return workflow_value(self._connection, data, self._returns)


def event_payload(event: str, payload: Any) -> bytes:
    """An event's payload as it is sent.

    Raises:
        InvalidOption: the event has no name, or a long one.
        InvalidResult: the payload cannot be sent.
    """
    check_name(event, "an event")
    return UNTYPED.recorded(payload, f"the event {event!r}")[0]


def workflow_failure(view: WorkflowView) -> JobFailed:
    """What is raised for the result of a workflow that has failed."""
    error = view.error or JobError(type="Unknown", message="It left no error.")
    failed = JobFailed(
        error.message or error.type,
        error_type=error.type,
        traceback=error.traceback,
        job=f"workflow {view.name} {id_text(view.id)}",
    )
    if error.traceback:
        failed.add_note(f"In the worker:\n{error.traceback.rstrip()}")
    return failed


def workflow_value(connection: StoreConnection, data: bytes, returns: Any) -> Any:
    """A workflow's stored result as the type ``returns``, or as a dict of such types by the names of outputs.

    Raises:
        InvalidResult: it does not fit.
    """
    token = SOURCE.set(connection)
    try:
        if isinstance(returns, dict):
            found: dict[str, msgspec.Raw] = msgspec.msgpack.decode(memoryview(data)[1:], type=dict[str, msgspec.Raw])
            return {name: _typed(data[:1] + bytes(raw), returns.get(name, Any)) for name, raw in found.items()}
        return _typed(data, returns)
    except msgspec.MsgspecError as error:
        raise InvalidResult(f"The result of the workflow cannot be read as {returns}: {error}") from error
    finally:
        SOURCE.reset(token)


def _typed(data: bytes, kind: Any) -> Any:
    try:
        return result_reader(kind)(data)
    except msgspec.ValidationError:
        found = result_reader(Any)(data)
        if isinstance(found, Results):
            # Too many to be a list: they are read in pages, each as the type of the list's items.
            [items] = getattr(kind, "__args__", None) or [Any]
            return found.decoded_by(result_reader(items))
        raise
