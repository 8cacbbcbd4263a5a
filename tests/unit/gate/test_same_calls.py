"""One call is one call through every door: what an idempotency key compares is not how it was written."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from penstock.model.errors import Conflict
from penstock.tasks.app import Penstock

MOMENT = dt.datetime(2026, 5, 1, 7, 30, tzinfo=dt.UTC)
NUMBER = uuid.UUID("0190d5a0-0000-7000-8000-000000000000")


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass
class Parcel:
    label: str
    weight_kg: float
    notes: dict[str, str]


class Place(msgspec.Struct, rename="camel"):
    street_name: str
    doors: set[int]


def make_tasks() -> Penstock:
    app = Penstock("nowhere")

    @app.task(name="t.price")
    def price(x: float) -> None: ...

    @app.task(name="t.maybe")
    def maybe(x: float | None = None, *, y: list[float] = []) -> None: ...  # noqa: B006 - never called

    @app.task(name="t.when")
    def when(at: dt.datetime, on: dt.date, took: dt.timedelta) -> None: ...

    @app.task(name="t.exact")
    def exact(amount: Decimal, number: uuid.UUID, blob: bytes, names: set[str]) -> None: ...

    @app.task(name="t.size")
    def size(size: Size) -> None: ...

    @app.task(name="t.send")
    def send(parcel: Parcel) -> None: ...

    @app.task(name="t.visit")
    def visit(place: Place) -> None: ...

    @app.task(name="t.by_number")
    def by_number(table: dict[int, str]) -> None: ...

    @app.task(name="t.loose")
    def loose(a, b=None, *rest: Any, **named: Any) -> None: ...

    @app.task(name="t.only")
    def only(a: int, /, b: int, *, c: int = 0) -> None: ...

    return app


WRITTEN = [
    pytest.param("t.price", (3.0,), {}, [b"[3]", b"[3.0]", b"[ 3e0 ]"], [b'{"x":3}', b'{"x": 3.0}'], id="float"),
    pytest.param("t.maybe", (), {"x": 3, "y": [1, 2]}, [], [b'{"y":[1.0,2],"x":3}'], id="floats inside"),
    pytest.param(
        "t.when",
        (MOMENT.astimezone(dt.timezone(dt.timedelta(hours=5))), dt.date(2026, 5, 1), dt.timedelta(seconds=90)),
        {},
        [b'["2026-05-01T07:30:00Z","2026-05-01","PT90S"]', b'["2026-05-01T09:30:00+02:00","2026-05-01","PT1M30S"]'],
        [],
        id="times",
    ),
    pytest.param(
        "t.exact",
        (Decimal("1.50"), NUMBER, b"ab", {"x", "y", "z"}),
        {},
        [b'["1.50","%s","YWI=",["z","y","x"]]' % str(NUMBER).encode()],
        [],
        id="exact",
    ),
    pytest.param("t.size", (), {"size": Size.LARGE}, [b'["l"]'], [b'{"size":"\\u006c"}'], id="enum"),
    pytest.param(
        "t.send",
        (Parcel("p", 2, {"b": "1", "a": "2"}),),
        {},
        [b'[{"notes":{"a":"2","b":"1"},"weight_kg":2.0,"label":"p"}]'],
        [],
        id="dataclass",
    ),
    pytest.param("t.visit", (Place("Main", {3, 1}),), {}, [b'[{"streetName":"Main","doors":[1,3]}]'], [], id="struct"),
    pytest.param("t.by_number", ({2: "b", 1: "a"},), {}, [b'[{"1":"a","2":"b"}]'], [], id="keys that are no text"),
    pytest.param(
        "t.loose",
        (1, {"q": [1, {"y": 1, "x": None}], "p": 2}),
        {"k": 1, "j": 2},
        [],
        [b'{"j":2,"b":{"p":2,"q":[1,{"x":null,"y":1}]},"a":1,"k":1}'],
        id="dicts in any order",
    ),
    pytest.param("t.loose", (2**70, 2), {}, [b"[1180591620717411303424,2]"], [], id="large"),
]


def by_door() -> list[Any]:
    """What is written, for a gate with the application and for one without. Without the class of a dataclass nobody
    knows that a field is a float, so that call is for the one that has it."""
    return [
        pytest.param(with_app, *written.values, id=f"{written.id}, {'with' if with_app else 'without'} the application")
        for written in WRITTEN
        for with_app in (True, False)
        if with_app or written.id != "dataclass"
    ]


@pytest.mark.parametrize("with_app, task, args, kwargs, arrays, objects", by_door())
def test_a_call_is_the_same_however_it_was_written(door_of, with_app, task, args, kwargs, arrays, objects):
    if not with_app and task == "t.visit":
        arrays = [b'[{"doors":[1,3],"streetName":"Main"}]']
    door, app = door_of(with_app)
    texts = [b'{"task":"%s","args":%s,"idempotency_key":"k"}' % (task.encode(), array) for array in arrays]
    texts += [b'{"task":"%s","idempotency_key":"k","kwargs":%s}' % (task.encode(), named) for named in objects]
    ids = set()
    for text in texts:
        answer = door.post(text)
        assert answer.status == 202, answer
        ids.add(answer.json["id"])
    if args != (2**70, 2):
        ids.add(app.get(task).options(idempotency_key="k").enqueue(*args, **kwargs).id)
    assert len(ids) == 1


@pytest.fixture
def door_of(make_door):
    """A gate, and the application of a producer on the same store."""

    def make(with_app: bool) -> tuple[Any, Penstock]:
        door = make_door(with_app=with_app, app=make_tasks())
        app = Penstock(store=door.memory)
        for task in door.app.tasks.values():
            app.task(name=task.name)(task.function)
        door.memory.register_tasks([task.record() for task in app.tasks.values()])
        return door, app

    return make


@pytest.mark.parametrize("with_app", [True, False], ids=["with the application", "without"])
def test_another_call_is_a_conflict(door_of, with_app):
    door, app = door_of(with_app)
    app.get("t.price").options(idempotency_key="k").enqueue(x=3)
    assert door.post({"task": "t.price", "args": [4], "idempotency_key": "k"}).problem[1] == "conflict"
    door.post({"task": "t.only", "args": [1, 2], "idempotency_key": "k"})
    with pytest.raises(Conflict):
        app.get("t.only").options(idempotency_key="k").enqueue(2, 1)
    with pytest.raises(Conflict):  # a default that is written out is another call
        app.get("t.only").options(idempotency_key="k").enqueue(1, 2, c=0)
    assert app.get("t.only").options(idempotency_key="k").enqueue(1, b=2).duplicate


@pytest.mark.parametrize("with_app", [True, False], ids=["with the application", "without"])
def test_what_cannot_be_read_is_refused_when_it_has_a_key(door_of, with_app):
    door, _ = door_of(with_app)
    answer = door.post(b'{"task":"t.loose","args":[1e999],"idempotency_key":"k"}')
    assert answer.problem[:2] == (422, "invalid-arguments")


@pytest.mark.parametrize("schema", [None, "no JSON", "[]", '{"parameters":[{"name":1}]}', '{"parameters":3}'])
def test_a_task_without_a_readable_schema_is_compared_as_it_comes(door_of, schema):
    door, app = door_of(with_app=False)
    record = app.get("t.price").record()
    door.memory.register_tasks([msgspec.structs.replace(record, name="t.unknown", schema=schema)])
    texts = [b'{"task":"t.unknown","args":%s,"idempotency_key":"k"}' % text for text in (b"[3]", b"[ 3 ]")]
    assert [door.post(text).json["duplicate"] for text in texts] == [False, True]
