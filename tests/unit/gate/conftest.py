"""A gate over the in-memory store, and a stand-in for the server that calls it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import pytest

from penstock.gate.access import Access
from penstock.gate.app import Gate
from penstock.gate.shared_counters import Seat
from penstock.gate.task_catalog import Catalog, StoreCatalog, app_catalog
from penstock.http.messages import ClientGone
from penstock.model.errors import PenstockError
from penstock.model.flow import QueueRecord
from penstock.model.health import StoreHealth
from penstock.model.job import (
    Capabilities,
    DeadCounts,
    EnqueueAnswer,
    Filter,
    JobGroup,
    JobView,
    Page,
    StatsPage,
    TaskRecord,
    Totals,
)
from penstock.model.limits_in_force import LimitView
from penstock.model.states import TERMINAL
from penstock.model.workflow_views import WorkflowView
from penstock.tasks.app import Penstock
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore

PORT = 7367
HOST = f"127.0.0.1:{PORT}"


@dataclass
class Exchange:
    """What the server offers for a request: what it says, the body in chunks, and a place for the answer.

    Attributes:
        stalls: after the chunks nothing comes, and no end either.
        gone: after the chunks the client is.
        client: whose it is.
        slow: done when the answer has been taken. None: it is at once.
        unsent: how much of it has not been.
    """

    chunks: list[bytes]
    stalls: bool = False
    gone: bool = False
    method: str = ""
    path: str = ""
    query_string: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    taken: int = 0
    ended: bool = False
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    leaver: asyncio.Future[None] | None = None

    task: asyncio.Task[None] | None = None
    client: str | None = None
    slow: asyncio.Future[None] | None = None
    unsent: int = 0
    given_up: bool = False

    @property
    def complete(self) -> bool:
        return self.ended or not (self.chunks[1:] or self.stalls or self.gone)

    def take(self) -> bytes:
        """The body of a request that arrived in one piece."""
        body = b"".join(self.chunks[self.taken :])
        self.taken = len(self.chunks)
        return body

    async def chunk(self) -> bytes:
        if self.taken < len(self.chunks):
            self.taken += 1
            return self.chunks[self.taken - 1]
        if self.stalls:
            self.stalled.set()
            await asyncio.Event().wait()
        if self.gone:
            raise ClientGone
        self.ended = True
        return b""

    def leaving(self) -> asyncio.Future[None]:
        self.leaver = asyncio.get_running_loop().create_future()
        return self.leaver

    def answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        self.answers.append((status, dict(headers), body))
        self.unsent = len(body)

    def delivered(self) -> asyncio.Future[None] | None:
        return self.slow

    def unsent_bytes(self) -> int:
        return self.unsent

    def give_up(self) -> None:
        self.given_up = True


class AsyncMemory:
    """The in-memory store as coroutines. ``trouble`` is raised by every call; ``hold`` keeps enqueue waiting."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.trouble: PenstockError | None = None
        self.ill = StoreHealth()
        self.hold: asyncio.Event | None = None
        self.held = asyncio.Event()
        self.enqueued: list[Sequence[JobGroup]] = []
        self.changed = asyncio.Event()
        self.parked = asyncio.Event()
        self.asked_for_tasks = 0
        self.queues_a_slice: int | None = None
        self.jobs_a_slice: int | None = None

    def __getattr__(self, name: str) -> Any:
        """A call that is not written here is the store's own."""

        async def call(*arguments: Any, **named: Any) -> Any:
            return getattr(self._check(), name)(*arguments, **named)

        return call

    def _check(self) -> MemoryStore:
        if self.trouble is not None:
            raise self.trouble
        return self.store

    async def capabilities(self) -> Capabilities:
        return self._check().capabilities()

    async def tasks(self) -> list[TaskRecord]:
        self.asked_for_tasks += 1
        return self._check().tasks()

    async def limits(self) -> list[LimitView]:
        return self._check().limits()

    async def declared_queues(self) -> list[QueueRecord]:
        return self._check().declared_queues()

    async def enqueue(self, groups: Sequence[JobGroup], *, atomic: bool = False, cursor: None = None) -> EnqueueAnswer:
        if self.hold is not None:
            self.held.set()
            await self.hold.wait()
        self.enqueued.append(groups)
        return self._check().enqueue(groups, atomic=atomic)

    async def get(self, ids: Sequence[bytes], *, result: bool = False) -> list[JobView | None]:
        return self._check().get(ids, result=result)

    async def wait(self, ids: Sequence[bytes], wait_s: float) -> list[JobView | None]:
        while True:
            views = self._check().get(ids)
            if all(view is None or view.state in TERMINAL for view in views):
                return views
            self.parked.set()
            await self.changed.wait()
            self.changed.clear()

    async def wait_workflow(self, workflow: bytes, wait_s: float) -> WorkflowView | None:
        while True:
            view = self._check().workflow(workflow)
            if view is None or view.finished_at is not None:
                return view
            self.parked.set()
            await self.changed.wait()
            self.changed.clear()

    async def stats(self, *, cursor: str | None = None, limit: int = 500, busiest: bool = False) -> StatsPage:
        limit = limit if self.queues_a_slice is None else min(limit, self.queues_a_slice)
        return self._check().stats(cursor=cursor, limit=limit, busiest=busiest)

    async def query(self, where: Filter, *, cursor: str | None = None, limit: int = 100) -> Page:
        limit = limit if self.jobs_a_slice is None else min(limit, self.jobs_a_slice)
        return self._check().query(where, cursor=cursor, limit=limit)

    async def dead_counts(self) -> DeadCounts:
        return self._check().dead_counts()

    async def totals(self) -> Totals:
        return self._check().totals()

    async def health(self) -> StoreHealth:
        self._check()
        return self.ill

    async def close(self) -> None:
        self.store.close()


class Point(msgspec.Struct):
    """An argument with parts."""

    x: int
    y: int


def make_app() -> Penstock:
    """Tasks for the gate to know."""
    app = Penstock("nowhere")

    @app.task(name="images.thumbnail", queue="images", priority=5, tags=("picture",))
    def thumbnail(path: str, *, width: int = 200) -> str:
        return f"{path} {width}"

    @app.task(name="geometry.move")
    def move(point: Point, by: list[float], at: datetime | None = None) -> None: ...

    @app.task(name="hooks.receive", expires_s=60)
    def receive(event: str, payload: dict[str, Any]) -> None: ...

    @app.task(name="any.call")
    def anything(*args: Any, **kwargs: Any) -> None: ...

    @app.task(name="any.value")
    def value() -> Any: ...

    return app


@dataclass
class Answer:
    """What the gate said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> tuple[int, str, str | None]:
        """Status, code and field."""
        assert self.headers["content-type"] == "application/problem+json", self
        members = self.json
        assert members["type"] == f"urn:penstock:problem:{members['code']}"
        assert members["status"] == self.status
        assert members["title"]
        assert members["detail"]
        return self.status, members["code"], members.get("field")


class Door:
    """A gate, and ways to call it."""

    def __init__(
        self,
        *,
        with_app: bool = True,
        token: str | None = None,
        host: str = "127.0.0.1",
        seat: Seat | None = None,
        app: Penstock | None = None,
        store: Callable[[VirtualClock], Any] = MemoryStore,
    ) -> None:
        self.clock = VirtualClock()
        self.memory = store(self.clock)
        self.store = AsyncMemory(self.memory)
        self.unready: str | None = None
        access = Access(host, token)
        access.listening(PORT)
        self.app = make_app() if app is None else app
        catalog: Catalog = (
            app_catalog(self.app.tasks.values())
            if with_app
            else StoreCatalog(self.store.tasks, self.store.declared_queues)
        )
        self.gate = Gate(self.store, catalog, access, durability="disk", unready=lambda: self.unready, seat=seat)

    async def send(
        self, method: str, target: str, exchange: Exchange, headers: dict[str, str] | None = None
    ) -> Answer | None:
        """One request through ``exchange``; None: it was left without an answer."""
        exchange.method = method
        exchange.path, _, exchange.query_string = target.partition("?")
        exchange.headers = {"host": HOST} | (headers or {})
        exchange.task = asyncio.current_task()
        await self.gate.serve(exchange)
        assert len(exchange.answers) <= 1
        return Answer(*exchange.answers[0]) if exchange.answers else None

    async def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        """One whole request; a header's ``_`` stands for ``-``, an empty one is left out."""
        given = {} if body is None else {"content-type": "application/json", "content-length": str(len(body))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        given = {name: value for name, value in given.items() if value}
        answer = await self.send(method, target, Exchange([body] if body else []), given)
        assert answer is not None
        return answer

    def call(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        """`ask`, on an event loop of its own."""
        return asyncio.run(self.ask(method, target, body, **headers))

    def post(self, body: Any, query: str = "", **headers: str) -> Answer:
        """``POST /v1/jobs`` with JSON, or with bytes as they are."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.call("POST", f"/v1/jobs{query}", text, **headers)


@pytest.fixture
def door() -> Door:
    """A gate that knows the application."""
    return Door()


@pytest.fixture
def blind_door() -> Door:
    """A gate that knows what workers recorded."""
    return Door(with_app=False)


@pytest.fixture
def make_door() -> type[Door]:
    """For a gate of the test's own."""
    return Door


@pytest.fixture
def make_exchange() -> type[Exchange]:
    """For a body that does not come at once."""
    return Exchange
