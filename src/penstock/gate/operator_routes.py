"""What operators ask for over HTTP: queues and what holds them, bulk actions, single jobs, the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final

import msgspec

from penstock.gate.admission import Admission
from penstock.gate.edited_jobs import edited_entry, read_arguments
from penstock.gate.job_json import job_id_text
from penstock.gate.notes import note_of
from penstock.gate.operator_json import (
    ActionJson,
    EmptyJson,
    action_json,
    audit_json,
    hold_json,
    queue_json,
)
from penstock.gate.problems import Problem
from penstock.gate.reads import job_id_of, record_of
from penstock.gate.request_bodies import has_no_body, read_json, read_object
from penstock.gate.requests import RouteRequest, page_limit
from penstock.gate.side_thread import SideThread
from penstock.gate.task_catalog import Catalog
from penstock.http.messages import JSON_HEADERS, Answer
from penstock.model import limits
from penstock.model.actions import Action, ActionRequest, ActionState, Verb
from penstock.model.holds import QueueView, check_there
from penstock.model.ids import new_id, parse_id
from penstock.model.job import Filter
from penstock.model.page_filling import PageFilling
from penstock.model.states import MOVES, Event, State, why_not_now
from penstock.model.unique import KEY_IS_TAKEN
from penstock.ports import AsyncStore

Caller = Callable[[str | None], str]
"""How the audit log names who sends a request, by the address that the client has on another machine."""
_ACTION: Final = msgspec.json.Decoder(ActionJson)
_EMPTY: Final = msgspec.json.Decoder(EmptyJson)
_AT_ONCE: Final = 100
"""Queues, or entries, whose JSON is made on the event loop."""
_AUDIT: Final = 100
_LOOK_S: Final = 0.02
"""How often it is looked whether an action that has begun is counted."""
_SHOWN: Final = 60


class OperatorRoutes:
    """Answers operators.

    Args:
        store: where it is done.
        catalog: which tasks there are, to check new arguments against.
        admission: for what a request brings and takes.
        side_thread: where large texts are read and made.
        caller: how the audit log names who asks.
    """

    def __init__(
        self, store: AsyncStore, catalog: Catalog, admission: Admission, side_thread: SideThread, caller: Caller
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._admission = admission
        self._side_thread = side_thread
        self._caller = caller

    def _by(self, request: RouteRequest) -> str:
        return self._caller(request.flight.client)

    # --- queues and tasks --------------------------------------------------------------------------------------------
    async def get_queues(self, request: RouteRequest) -> Answer:
        """A page of the queues."""
        parameters = request.parameters("limit", "cursor")
        limit = page_limit(parameters, limits.PAGE_QUEUES, limits.PAGE_QUEUES_MAX, "queues")
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            filling = PageFilling[QueueView](limit, parameters.get("cursor"))
            while filling.is_open:
                page = await self._store.queues(cursor=filling.cursor, limit=filling.left)
                filling.add(page.queues, page.cursor)
            if len(filling.items) > _AT_ONCE:
                return 200, JSON_HEADERS, await self._side_thread.run(_queues_text, filling.items, filling.cursor)
            return 200, JSON_HEADERS, _queues_text(filling.items, filling.cursor)

    async def get_queue(self, request: RouteRequest) -> Answer:
        """One queue."""
        request.parameters()
        return await self._queue(request.subject)

    async def _queue(self, name: str) -> Answer:
        page = await self._store.queues(names=[name])
        if not page.queues:
            known = await self._store.queues(limit=limits.PAGE_QUEUES)
            check_there(name, None, [view.name for view in known.queues])
        return _json(queue_json(page.queues[0]))

    async def get_holds(self, request: RouteRequest) -> Answer:
        """What is paused or draining: queues, tasks, and tasks in queues."""
        request.parameters()
        return _json({"holds": [hold_json(hold) for hold in await self._store.holds()]})

    async def delete_queue(self, request: RouteRequest) -> Answer:
        """Remove a queue that is empty."""
        request.parameters()
        await self._store.remove_queue(request.subject, by=self._by(request))
        return _json({"name": request.subject, "removed": True})

    def hold(self, kind: str, change: str) -> Callable[[RouteRequest], Awaitable[Answer]]:
        """What pauses, drains or resumes (``change``) a queue or a task (``kind``)."""

        async def answer(request: RouteRequest) -> Answer:
            request.parameters()
            note = await note_of(request, self._admission, change)
            options: dict[str, Any] = {kind: request.subject, "by": self._by(request)}
            if change != "resume":
                options["note"] = note
            await getattr(self._store, change)(**options)
            return await self._held(kind, request.subject)

        return answer

    async def _held(self, kind: str, name: str) -> Answer:
        if kind == "queue":
            page = await self._store.queues(names=[name])
            return _json(queue_json(page.queues[0]) if page.queues else {"name": name})
        holds = [hold for hold in await self._store.holds() if (hold.queue, hold.task) == (None, name)]
        return _json({"name": name, "holds": [hold_json(hold) for hold in holds]})

    def empty(self, kind: str) -> Callable[[RouteRequest], Awaitable[Answer]]:
        """What deletes all that waits in a queue or of a task (``kind``)."""

        async def answer(request: RouteRequest) -> Answer:
            request.parameters()
            said = await self._maybe(request, _EMPTY, EmptyJson())
            where = Filter(queue=request.subject) if kind == "queue" else Filter(task=request.subject)
            wanted = ActionRequest(new_id(), Verb.EMPTY, where, None, said.dry_run, said.per_s, said.note)
            return await self._begun(wanted, request)

        return answer

    # --- actions -----------------------------------------------------------------------------------------------------
    async def post_action(self, request: RouteRequest) -> Answer:
        """Begin a bulk action. It goes on by itself."""
        request.parameters()
        wanted = (await read_object(request, self._admission, _ACTION)).request()
        return await self._begun(wanted, request)

    async def _begun(self, wanted: ActionRequest, request: RouteRequest) -> Answer:
        """Begin it, and answer when what matches has been counted, or after `limits.GATE_COUNT_S` without the count."""
        action = await self._store.start_action(wanted, by=self._by(request))
        until = monotonic() + limits.GATE_COUNT_S
        while action.state is ActionState.COUNTING and monotonic() < until:
            await asyncio.sleep(_LOOK_S)
            found = await self._store.actions([action.id])
            action = found[0] if found else action
        location = (("location", f"/v1/actions/{job_id_text(action.id)}"),)
        return 202, (*JSON_HEADERS, *location), msgspec.json.encode(action_json(action))

    async def get_actions(self, request: RouteRequest) -> Answer:
        """The bulk actions that are under way, and the latest that have ended."""
        request.parameters()
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            return _json({"actions": [action_json(action) for action in await self._store.actions()]})

    async def get_action(self, request: RouteRequest) -> Answer:
        """One of them."""
        request.parameters()
        found = await self._store.actions([_action_id(request.subject)])
        return _json(action_json(_known(found[0] if found else None, request.subject)))

    async def delete_action(self, request: RouteRequest) -> Answer:
        """Stop one where it is."""
        request.parameters()
        found = await self._store.stop_action(_action_id(request.subject), by=self._by(request))
        return _json(action_json(_known(found, request.subject)))

    # --- single jobs -------------------------------------------------------------------------------------------------
    async def retry_job(self, request: RouteRequest) -> Answer:
        """Let a job that is dead, cancelled or expired run again; with other arguments when the body has some."""
        request.parameters()
        job_id, by = job_id_of(request.subject), self._by(request)
        body = b"" if has_no_body(request) else await read_json(request, self._admission)
        view = record_of(await self._store.get([job_id]), request.subject)
        if view.state not in MOVES[Event.REVIVE].sources:
            raise Problem(
                "conflict", f"The job is {view.state.value}; only a dead, cancelled or expired one can be retried."
            )
        if not body:
            state = record_of(await self._store.revive([job_id], by=by), request.subject)
        else:
            task = await self._catalog.find(view.task)
            wanted = await self._side_thread.run(read_arguments, body)
            entry = await self._side_thread.run(edited_entry, view, task, wanted)
            state = record_of([await self._store.revive_edited(entry, by=by)], request.subject)
        if state is view.state:
            raise Problem("conflict", f"The job is {state.value}, and {KEY_IS_TAKEN}")
        return _state(job_id, state)

    async def run_job_now(self, request: RouteRequest) -> Answer:
        """Let a job that waits for a time start now."""
        request.parameters()
        job_id = job_id_of(request.subject)
        view = record_of(await self._store.get([job_id]), request.subject)
        problem = why_not_now(view.state, view.reason)
        if problem is not None:
            raise Problem("conflict", problem)
        state = record_of(await self._store.edit([job_id], run_at=0.0, by=self._by(request)), request.subject)
        return _state(job_id, state)

    # --- the audit log -----------------------------------------------------------------------------------------------
    async def get_audit(self, request: RouteRequest) -> Answer:
        """A page of the audit log, newest first."""
        parameters = request.parameters("limit", "cursor")
        limit = page_limit(parameters, _AUDIT, limits.PAGE_AUDIT_MAX, "entries")
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            page = await self._store.audit(cursor=parameters.get("cursor"), limit=limit)
            return _json(audit_json(page))

    # --- bodies ------------------------------------------------------------------------------------------------------
    async def _maybe(self, request: RouteRequest, decoder: msgspec.json.Decoder[Any], without: Any) -> Any:
        """The object in the body, or what stands for it where there is no body."""
        return without if has_no_body(request) else await read_object(request, self._admission, decoder)


def _json(document: Any) -> Answer:
    return 200, JSON_HEADERS, msgspec.json.encode(document)


def _state(job_id: bytes, state: State) -> Answer:
    return _json({"id": job_id_text(job_id), "state": state.value})


def _queues_text(queues: list[QueueView], cursor: str | None) -> bytes:
    return msgspec.json.encode({"queues": [queue_json(view) for view in queues], "cursor": cursor})


def _action_id(text: str) -> bytes:
    try:
        return parse_id(text)
    except ValueError:
        raise Problem("not-found", f"{text[:_SHOWN]!r} is not the id of an action.") from None


def _known(action: Action | None, subject: str) -> Action:
    if action is None:
        raise Problem(
            "not-found",
            f"There is no action {subject}: it was never started, or {limits.ACTIONS_KEPT_MAX} later ones have ended.",
        )
    return action
