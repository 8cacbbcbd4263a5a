"""``/v1/workflows``: workflows and their steps, what can be done about them, and events that are signalled to jobs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from penstock.gate.admission import Admission
from penstock.gate.job_json import job_id_text
from penstock.gate.parked_requests import ParkedRequests, wait_s_of
from penstock.gate.problems import Problem
from penstock.gate.request_bodies import object_of, read_json, read_object
from penstock.gate.requests import RouteRequest, page_limit
from penstock.gate.side_thread import SideThread
from penstock.gate.workflow_json import (
    results_json,
    said_in_json,
    signalled_json,
    step_json,
    values_json,
    workflow_json,
)
from penstock.http.messages import JSON_HEADERS, Answer
from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.ids import new_id, parse_id
from penstock.model.page_filling import PageFilling
from penstock.model.step_history import check_name
from penstock.model.workflow_views import ResultsPage, StepView, WorkflowState, WorkflowView
from penstock.ports import AsyncStore
from penstock.tasks.arguments.results import referred_step
from penstock.tasks.arguments.step_values import UNTYPED
from penstock.tasks.canvas.step_search import StepSearch, step_of
from penstock.tasks.canvas.waiting_steps import jobs_to_look_up, with_reasons
from penstock.tasks.canvas.workflow_acts import OVER, check_act, no_workflow

Caller = Callable[[str | None], str]
_PAGE: Final = 100
_PAGE_MAX: Final = 1_000
_AT_ONCE: Final = 100
"""Workflows or steps whose JSON is made on the event loop."""
_SHOWN: Final = 60
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_PROBLEMS: Final = {WorkflowState.FAILED: "job-failed", WorkflowState.CANCELLED: "job-cancelled"}


class SignalJson(Struct, forbid_unknown_fields=True):
    """An event as it is signalled. ``payload``: any JSON; absent: null."""

    event: str
    payload: Raw | UnsetType = UNSET


class ForkJson(Struct, forbid_unknown_fields=True):
    """What is asked of a fork.

    Attributes:
        step: the name or the number of the step that runs anew, with all that needs it.
        id: of the new workflow, made by who asks, so that the same may be asked for again after an answer was lost.
            None: made here.
    """

    step: str | int
    id: str | None = None


_SIGNAL: Final = msgspec.json.Decoder(SignalJson)
_FORK: Final = msgspec.json.Decoder(ForkJson)


class WorkflowRoutes:
    """Answers about workflows, and acts on them.

    Args:
        store: where they are.
        admission: for what a request brings and takes.
        side_thread: where large answers are made and large payloads are read.
        parked: the requests that wait for the end of something.
        caller: how the audit log names who asks, by the address that the client has on another machine.
    """

    def __init__(
        self, store: AsyncStore, admission: Admission, side_thread: SideThread, parked: ParkedRequests, caller: Caller
    ) -> None:
        self._store = store
        self._admission = admission
        self._side_thread = side_thread
        self._parked = parked
        self._caller = caller

    def _by(self, request: RouteRequest) -> str:
        return self._caller(request.flight.client)

    # --- looking -----------------------------------------------------------------------------------------------------
    async def get_workflows(self, request: RouteRequest) -> Answer:
        """A page of the workflows, newest first."""
        parameters = request.parameters("state", "name", "limit", "cursor")
        state, limit = _state_of(parameters), page_limit(parameters, _PAGE, _PAGE_MAX, "workflows")
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            until = monotonic() + limits.GATE_SEARCH_S
            filling = PageFilling[WorkflowView](limit, parameters.get("cursor"))
            while filling.is_open:
                page = await self._store.workflows(
                    state=state, name=parameters.get("name"), cursor=filling.cursor, limit=filling.left
                )
                filling.add(page.workflows, page.cursor)
                if monotonic() >= until:
                    break
            return await self._made(len(filling.items), _workflows_text, filling.items, filling.cursor)

    async def get_workflow(self, request: RouteRequest) -> Answer:
        """One workflow as it is, or as it is when it is over."""
        workflow = workflow_id_of(request.subject)
        wait_s = wait_s_of(request.parameters("wait_s"))
        view = await self._view(workflow)
        if wait_s and view.state not in OVER and not self._parked.is_draining:
            found = await self._parked.wait(
                request,
                wait_s,
                lambda: self._store.wait_workflow(workflow, wait_s=wait_s),
                lambda: self._store.workflow(workflow),
            )
            view = _there(found, workflow)
        return _json(workflow_json(view))

    async def get_steps(self, request: RouteRequest) -> Answer:
        """A page of its steps, by number."""
        workflow = workflow_id_of(request.subject)
        parameters = request.parameters("limit", "cursor")
        limit = page_limit(parameters, _PAGE, _PAGE_MAX, "steps")
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            filling = PageFilling[StepView](limit, parameters.get("cursor"))
            while filling.is_open:
                page = await self._store.steps(workflow, cursor=filling.cursor, limit=filling.left)
                filling.add(await self._with_reasons(page.steps), page.cursor)
            return await self._made(len(filling.items), _steps_text, filling.items, filling.cursor)

    async def get_step(self, request: RouteRequest) -> Answer:
        """One step, with why it waits."""
        request.parameters()
        workflow, step = _place(request.subject)
        [found] = await self._with_reasons([await self._step(workflow, step)])
        return _json(step_json(found))

    async def get_result(self, request: RouteRequest) -> Answer:
        """What it has come to, as JSON."""
        request.parameters()
        return await self.result_of(request, workflow_id_of(request.subject))

    async def result_of(self, request: RouteRequest, workflow: bytes) -> Answer:
        """What the workflow of this id has come to, as JSON."""
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            view = await self._view(workflow)
            if view.state in _PROBLEMS:
                why = f": {view.error.type}: {view.error.message}" if view.error else ""
                raise Problem(_PROBLEMS[view.state], f"The workflow is {view.state.value}{why}.")
            if view.state is not WorkflowState.SUCCEEDED:
                raise Problem("not-finished", f"The workflow is {view.state.value}.")
            page = await self._store.results(workflow, None)
            data = page.results[0] if page.results else None
            if data is None:
                raise Problem("result-expired", "The workflow succeeded; its result is not kept.")
            if len(data) > limits.GATE_LOOP_BYTES_MAX:
                return 200, JSON_HEADERS, await self._side_thread.run(_result_text, data)
            return 200, JSON_HEADERS, _result_text(data)

    async def get_results(self, request: RouteRequest) -> Answer:
        """A page of the results of a step: of a group those of its members, of a job its own one."""
        workflow, step = _place(request.subject)
        parameters = request.parameters("limit", "cursor")
        limit = page_limit(parameters, _PAGE, _PAGE_MAX, "results")
        first = _first_of(parameters)
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            number = step if isinstance(step, int) else (await self._step(workflow, step)).number
            page = await self._store.results(workflow, number, first=first, limit=limit)
            what = f"step {step!r}"
            if sum(len(data or b"") for data in page.results) > limits.GATE_LOOP_BYTES_MAX or limit > _AT_ONCE:
                return 200, JSON_HEADERS, await self._side_thread.run(_results_text, page, what)
            return 200, JSON_HEADERS, _results_text(page, what)

    async def get_values(self, request: RouteRequest) -> Answer:
        """The values that its jobs, or the lone job of this id, have published; ``?name=``: this one."""
        workflow = workflow_id_of(request.subject)
        name = request.parameters("name").get("name")
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            values = await self._store.published(workflow, None if name is None else [name])
            if not values and await self._store.workflow(workflow) is None:
                [job] = await self._store.get([workflow])
                if job is None:
                    raise no_workflow(workflow)
            return 200, JSON_HEADERS, await self._side_thread.run(_values_text, values)

    # --- acting ------------------------------------------------------------------------------------------------------
    def act(self, verb: str) -> Callable[[RouteRequest], Awaitable[Answer]]:
        """What cancels, pauses, resumes or retries (``verb``) a workflow, and answers how it is then."""

        async def answer(request: RouteRequest) -> Answer:
            request.parameters()
            workflow = workflow_id_of(request.subject)
            check_act(verb, await self._view(workflow))
            await getattr(self._store, f"{verb}_workflow")(workflow, by=self._by(request))
            view = await self._view(workflow)
            status = 202 if verb == "cancel" and view.state not in OVER else 200
            return status, JSON_HEADERS, msgspec.json.encode(workflow_json(view))

        return answer

    async def fork(self, request: RouteRequest) -> Answer:
        """Start a copy in which a step, and all that needs it, runs anew."""
        request.parameters()
        workflow = workflow_id_of(request.subject)
        wanted = await read_object(request, self._admission, _FORK)
        step = wanted.step if isinstance(wanted.step, int) else step_of(wanted.step)
        new = _new_id(wanted.id)
        number = (await self._step(workflow, step)).number
        started = await self._store.fork_workflow(workflow, number, new, by=self._by(request))
        if started.conflict:
            raise Problem("conflict", f"{job_id_text(new)} is the id of another workflow.", field="id")
        said = {"id": job_id_text(started.id), "forked_from": job_id_text(workflow), "duplicate": started.duplicate}
        location = (("location", f"/v1/workflows/{said['id']}"),)
        return 202, (*JSON_HEADERS, *location), msgspec.json.encode(said)

    async def signal(self, request: RouteRequest) -> Answer:
        """Deliver an event to a job of the workflow, or to the lone job of this id, or keep it for the first that will
        wait for it."""
        request.parameters()
        workflow = workflow_id_of(request.subject)
        body = await read_json(request, self._admission)
        if len(body) > limits.GATE_LOOP_BYTES_MAX:
            event, payload = await self._side_thread.run(_signal_of, body)
        else:
            event, payload = _signal_of(body)
        signalled = await self._store.signal(workflow, event, payload, by=self._by(request))
        return _json(signalled_json(signalled))

    async def delete(self, request: RouteRequest) -> Answer:
        """Throw away the record of a workflow that is over, with those of its jobs."""
        request.parameters()
        workflow = workflow_id_of(request.subject)
        check_act("delete", await self._view(workflow))
        await self._store.delete_workflow(workflow, by=self._by(request))
        return _json({"id": job_id_text(workflow), "deleted": True})

    # --- inside ------------------------------------------------------------------------------------------------------
    async def _view(self, workflow: bytes) -> WorkflowView:
        return _there(await self._store.workflow(workflow), workflow)

    async def _step(self, workflow: bytes, step: str | int) -> StepView:
        """A step by its name or its number.

        Raises:
            WorkflowNotFound: there is no such workflow, or step.
        """
        seeking = StepSearch(workflow, step)
        while seeking.is_open:
            page = await self._store.steps(workflow, cursor=seeking.cursor, limit=seeking.limit)
            seeking.look(page.steps, page.cursor)
        return seeking.found()

    async def _with_reasons(self, steps: list[StepView]) -> list[StepView]:
        """The same, with why the jobs of those that have begun wait."""
        waiting = jobs_to_look_up(steps)
        return with_reasons(steps, await self._store.get(waiting)) if waiting else steps

    async def _made(self, count: int, make: Callable[..., bytes], *arguments: Any) -> Answer:
        """A page of so many things; of many it is made in a thread."""
        if count > _AT_ONCE:
            return 200, JSON_HEADERS, await self._side_thread.run(make, *arguments)
        return 200, JSON_HEADERS, make(*arguments)


def _json(document: Any) -> Answer:
    return 200, JSON_HEADERS, msgspec.json.encode(document)


def _workflows_text(views: list[WorkflowView], cursor: str | None) -> bytes:
    shown = [workflow_json(view, with_traceback=False) for view in views]
    return msgspec.json.encode({"workflows": shown, "cursor": cursor})


def _steps_text(views: list[StepView], cursor: str | None) -> bytes:
    return msgspec.json.encode({"steps": [step_json(view, with_traceback=False) for view in views], "cursor": cursor})


def _results_text(page: ResultsPage, what: str) -> bytes:
    return msgspec.json.encode(results_json(page, what))


def _values_text(values: dict[str, tuple[bytes, float]]) -> bytes:
    return msgspec.json.encode({"values": values_json(values)})


def _result_text(data: bytes) -> bytes:
    """A workflow's result as JSON.

    Raises:
        Problem: ``invalid-result``: it is of too many jobs, or JSON cannot say it.
    """
    said = said_in_json(data, "the workflow")
    if isinstance(said, Raw):
        return bytes(said)
    referred = referred_step(data)
    if referred is None:
        raise Problem("invalid-result", said or "")
    place = f"/v1/workflows/{job_id_text(referred[0])}/steps/{referred[1]}/results"
    raise Problem("invalid-result", f"It is that of more jobs than one document should have: read it in pages, {place}")


def _there(view: WorkflowView | None, workflow: bytes) -> WorkflowView:
    if view is None:
        raise no_workflow(workflow)
    return view


def workflow_id_of(text: str) -> bytes:
    """The id that a path names.

    Raises:
        Problem: ``workflow-not-found``: it is none.
    """
    try:
        return parse_id(text)
    except ValueError:
        raise Problem("workflow-not-found", f"{text[:_SHOWN]!r} is not the id of a workflow.") from None


def _place(subject: str) -> tuple[bytes, str | int]:
    """The workflow and the step in a path."""
    workflow, _, step = subject.partition("/")
    return workflow_id_of(workflow), step_of(step)


def _state_of(parameters: dict[str, str]) -> WorkflowState | None:
    text = parameters.get("state")
    if text is None:
        return None
    try:
        return WorkflowState(text)
    except ValueError:
        states = ", ".join(state.value for state in WorkflowState)
        raise Problem("invalid-option", f"`state` is one of {states}; not {text[:_SHOWN]!r}.", field="state") from None


def _first_of(parameters: dict[str, str]) -> int:
    text = parameters.get("cursor", "0")
    if not _WHOLE.fullmatch(text):
        raise Problem(
            "invalid-option", f"`cursor` is what the page before gave; not {text[:_SHOWN]!r}.", field="cursor"
        )
    return int(text)


def _new_id(text: str | None) -> bytes:
    try:
        return new_id() if text is None else parse_id(text)
    except ValueError:
        raise Problem("invalid-option", "`id` is a UUID in its usual form.", field="id") from None


def _signal_of(body: bytes) -> tuple[str, bytes]:
    """The event in a body, and its payload as it is stored.

    Raises:
        Problem, PenstockError: it is not what it may be.
    """
    wanted = object_of(body, _SIGNAL)
    try:
        check_name(wanted.event, "an event")
    except InvalidOption as error:
        raise Problem("invalid-option", error.message, field="event") from None
    try:
        payload = None if wanted.payload is UNSET else msgspec.json.decode(wanted.payload)
    except msgspec.ValidationError as error:
        # A number that no reader could take, such as 1e999: the decoder of the whole has skipped it.
        raise Problem("invalid-option", f"`payload`: {error}.", field="payload") from None
    return wanted.event, UNTYPED.recorded(payload, f"the event {wanted.event!r}")[0]
