"""``GET /v1/jobs``: searching; and ``GET /v1/dead``: what is counted of dead jobs."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Final

import msgspec

from penstock.gate.admission import Admission
from penstock.gate.job_json import dead_json, time_of, view_json
from penstock.gate.problems import Problem
from penstock.gate.requests import RouteRequest, page_limit
from penstock.gate.side_thread import SideThread
from penstock.http.messages import JSON_HEADERS, Answer
from penstock.model import limits
from penstock.model.acceptance import check_queue, check_task
from penstock.model.job import Filter, JobView
from penstock.model.page_filling import PageFilling
from penstock.model.states import State
from penstock.model.topics import check_any_queue
from penstock.ports import AsyncStore

ARGUMENT: Final = "arg."
"""What is before the name of an argument, as the name of a parameter."""
_PARAMETERS: Final = ("state", "queue", "task", "tag", "key", "error", "since", "until", "limit", "cursor")
_JOBS: Final = 100
"""Jobs in a page, where nobody asks for another number. With more, the answer is made in a thread."""
_SHOWN: Final = 60


class Searches:
    """Answers which jobs there are.

    Args:
        store: where they are.
        admission: how many answers are made at once.
        side_thread: where large answers are made.
    """

    def __init__(self, store: AsyncStore, admission: Admission, side_thread: SideThread) -> None:
        self._store = store
        self._admission = admission
        self._side_thread = side_thread

    async def get_jobs(self, request: RouteRequest) -> Answer:
        """A page of jobs, newest first. It is short, with a cursor, when `limits.GATE_SEARCH_S` is over before it is
        full."""
        parameters = request.parameters(*_PARAMETERS, prefix=ARGUMENT)
        where, limit = filter_of(parameters), page_limit(parameters, _JOBS, limits.PAGE_JOBS_MAX, "jobs")
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            until = monotonic() + limits.GATE_SEARCH_S
            filling = PageFilling[JobView](limit, parameters.get("cursor"))
            while filling.is_open:
                page = await self._store.query(where, cursor=filling.cursor, limit=filling.left)
                filling.add(page.jobs, page.cursor)
                if monotonic() >= until:
                    break
            if len(filling.items) > _JOBS:
                return 200, JSON_HEADERS, await self._side_thread.run(_page_text, filling.items, filling.cursor)
            return 200, JSON_HEADERS, _page_text(filling.items, filling.cursor)

    async def get_dead(self, request: RouteRequest) -> Answer:
        """Dead jobs by task and type of error."""
        request.parameters()
        return 200, JSON_HEADERS, msgspec.json.encode(dead_json(await self._store.dead_counts()))


def filter_of(parameters: dict[str, str]) -> Filter:
    """What is searched for.

    Raises:
        Problem: ``invalid-option``: there is no such state, or a time is none.
        InvalidOption: there can be no such name.
    """
    queue, task, tag = (parameters.get(name) for name in ("queue", "task", "tag"))
    if queue is not None:
        check_any_queue(queue)
    if task is not None:
        check_task(task)
    if tag is not None:
        check_queue(tag, "tag")
    arguments = {name.removeprefix(ARGUMENT): text for name, text in parameters.items() if name.startswith(ARGUMENT)}
    return Filter(
        _state(parameters),
        queue,
        task,
        tag,
        parameters.get("key"),
        parameters.get("error"),
        _time(parameters, "since"),
        _time(parameters, "until"),
        arguments or None,
    )


def _state(parameters: dict[str, str]) -> State | None:
    text = parameters.get("state")
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        states = ", ".join(state.value for state in State)
        raise Problem("invalid-option", f"`state` is one of {states}; not {text[:_SHOWN]!r}.", field="state") from None


def _time(parameters: dict[str, str], name: str) -> float | None:
    text = parameters.get(name)
    if text is None:
        return None
    try:
        return time_of(text)
    except ValueError:
        detail = (
            f"`{name}` is a time with its offset, such as 2027-01-01T08:00:00Z or 2027-01-01T08:00:00%2B01:00; "
            f"not {text[:_SHOWN]!r}."
        )
        raise Problem("invalid-option", detail, field=name) from None


def _page_text(jobs: Sequence[JobView], cursor: str | None) -> bytes:
    return msgspec.json.encode({"jobs": [view_json(view, with_traceback=False) for view in jobs], "cursor": cursor})
