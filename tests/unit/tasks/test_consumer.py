"""Consumers: what is published reaches them, decoded; what they may not be asked for is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from penstock import Concurrency, Context, Message, Penstock, Rate, Retention, Retry
from penstock.model.errors import Conflict, InvalidArguments, InvalidOption, UnknownTask
from penstock.model.ids import id_text
from penstock.model.job import Filter
from penstock.model.message_ids import message_id
from penstock.model.states import State
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from penstock.testing.running import run_ready

Work = Callable[[], int]


class Order(msgspec.Struct):
    """A message with parts."""

    number: int


def test_every_channel_gets_every_message_as_its_consumer_wants_it(app: Penstock, work: Work) -> None:
    got: list[Any] = []

    @app.consumer("orders", channel="archive")
    def archive(message: Order) -> None:
        got.append(message)

    @app.consumer("orders", channel="mail")
    async def mail(ctx: Context, message: Message) -> None:
        got.append((ctx.queue, ctx.task, message.body, message.topic, message.channel, dict(message.headers)))

    work()
    published = app.publish("orders", Order(7), key="jo", headers={"source": "shop"})
    assert published.channels == 2
    assert published.durability == "memory"
    assert work() == 2
    assert Order(7) in got
    told = ("orders:mail", mail.name, b'{"number":7}', "orders", "mail", {"source": "shop", "key": "jo"})
    assert told in got


def test_a_message_has_the_same_id_in_all_channels_and_says_when_it_was_made(
    app: Penstock, work: Work, store: MemoryStore
) -> None:
    got: list[Message] = []
    for channel in ("a", "b"):
        app.consumer("orders", channel=channel, name=f"take.{channel}")(lambda message: got.append(message))
    work()
    published = app.publish("orders", b"x")
    work()
    assert {message.id for message in got} == {published.message_id}
    assert {message.channel for message in got} == {"a", "b"}
    assert all(message.timestamp.tzinfo is not None and message.attempt == 1 for message in got)
    copies = [view.id for view in store.query(Filter()).jobs]
    assert {id_text(message_id(copy)) for copy in copies} == {published.message_id}


def test_what_a_topic_kept_goes_to_the_first_consumer(app: Penstock, work: Work) -> None:
    got: list[str] = []
    assert app.publish("news", "early").channels == 0

    @app.consumer("news", channel="all")
    def read(message: str) -> None:
        got.append(message)

    work()
    assert got == ["early"]


def test_a_message_whose_consumer_raises_is_retried_and_then_dead(
    app: Penstock, work: Work, store: MemoryStore, clock: VirtualClock
) -> None:
    attempts: list[int] = []

    @app.consumer("orders", channel="a", retry=Retry(max_attempts=2, base_s=1.0, jitter=False))
    def take(ctx: Context, message: bytes) -> None:
        attempts.append(ctx.attempt)
        raise ValueError(message)

    work()
    app.publish("orders", b"x")
    for _ in range(2):
        work()
        clock.advance(10)
        store.tick()
    assert attempts == [1, 2]
    [view] = store.query(Filter(queue="orders:a")).jobs
    assert view.state is State.DEAD
    assert view.error is not None
    assert view.error.type == "ValueError"


def test_a_message_that_does_not_fit_is_refused_and_holds_up_no_other(
    app: Penstock, work: Work, store: MemoryStore
) -> None:
    got: list[Order] = []

    @app.consumer("orders", channel="a")
    def take(message: Order) -> None:
        got.append(message)

    work()
    app.publish_many("orders", [b"no JSON", Order(1)])
    assert work() == 1
    assert got == [Order(1)]
    [view] = [view for view in store.query(Filter()).jobs if view.error is not None]
    assert view.error is not None
    assert view.error.type == "InvalidArguments"


def test_messages_of_a_key_come_one_after_another(app: Penstock, store: MemoryStore, clock: VirtualClock) -> None:
    got: list[str] = []

    @app.consumer("orders", channel="a", limits=[Concurrency(1, per="header:key", order="fifo"), Rate(100)])
    def take(message: str) -> None:
        got.append(message)

    run_ready(app, store, clock)
    for number in range(3):
        for key in ("jo", "al"):
            app.publish("orders", f"{key} {number}", key=key)
    for number in range(3):
        assert run_ready(app, store, clock) == 2
        assert sorted(got[-2:]) == [f"al {number}", f"jo {number}"]


def test_an_idempotency_key_adds_a_message_once(app: Penstock) -> None:
    first = app.publish("orders", b"x", idempotency_key="k")
    again = app.publish("orders", b"x", idempotency_key="k")
    assert (first.duplicate, again.duplicate, again.message_id) == (False, True, first.message_id)
    with pytest.raises(Conflict, match="used before for another message"):
        app.publish("orders", b"y", idempotency_key="k")


def test_a_delay_counts_from_now(app: Penstock, work: Work, store: MemoryStore, clock: VirtualClock) -> None:
    @app.consumer("orders", channel="a")
    def take(message: bytes) -> None: ...

    work()
    app.publish("orders", b"x", delay_s=5)
    assert work() == 0
    clock.advance(5.1)
    store.tick()
    assert work() == 1


def test_a_consumer_can_be_called_here_and_now(app: Penstock) -> None:
    @app.consumer("orders", channel="a")
    def take(message: Order) -> int:
        return message.number

    assert take(Order(3)) == 3
    assert repr(take).startswith("<Consumer ")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"channel": "a b"}, "channel"),
        ({"channel": "x" * 65}, "channel"),
        ({"channel": 3}, "channel"),
        ({"channel": "a", "limits": [Concurrency(1, per="tenant")]}, "limits"),
        ({"channel": "a", "limits": [3]}, "limits"),
        ({"channel": "a", "retention": 3}, "retention"),
        ({"channel": "a", "executor": "async"}, "executor"),
        ({"channel": "a", "timeout_s": 0}, "timeout_s"),
    ],
)
def test_options_that_a_consumer_cannot_have_are_refused(app: Penstock, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        app.consumer("orders", name="take", **options)(lambda message: None)
    assert refused.value.field == field


def test_two_consumers_of_a_channel_and_two_of_a_name_are_refused(app: Penstock) -> None:
    app.consumer("orders", channel="a", name="one")(lambda message: None)
    with pytest.raises(InvalidOption, match="a channel of its own"):
        app.consumer("orders", channel="a", name="two")(lambda message: None)
    with pytest.raises(InvalidOption, match="already"):
        app.consumer("orders", channel="b", name="one")(lambda message: None)
    with pytest.raises(InvalidOption, match="already"):
        app.task(name="one")(lambda: None)


def test_a_consumer_is_no_task(app: Penstock) -> None:
    take = app.consumer("orders", channel="a", name="take")(lambda message: None)
    for call in (take.enqueue, take.s, take.options):
        with pytest.raises(InvalidOption, match=r"app\.publish"):
            call()
    with pytest.raises(UnknownTask):
        app.get("take")


def test_a_channel_declares_its_limits_and_its_retention(app: Penstock) -> None:
    plain = app.consumer("orders", channel="a", name="a")(lambda message: None)
    bounded = app.consumer("orders", channel="b", name="b", limits=[Concurrency(3)], retention=Retention(dead=5))(
        lambda message: None
    )
    assert plain.channel_record is None
    assert bounded.channel_record is not None
    assert bounded.channel_record.name == "orders:b"


@pytest.mark.parametrize(
    ("call", "error", "field"),
    [
        (lambda app: app.publish("a b", b""), InvalidOption, "topic"),
        (lambda app: app.publish(3, b""), InvalidOption, "topic"),
        (lambda app: app.publish("a", b"", key=3), InvalidOption, "key"),
        (lambda app: app.publish("a", b"", headers={"x": 1}), InvalidOption, "headers"),
        (lambda app: app.publish("a", b"", delay_s=-1), InvalidOption, "delay_s"),
        (lambda app: app.publish("a", b"", idempotency_key=""), InvalidOption, "idempotency_key"),
        (lambda app: app.publish("a", object()), InvalidArguments, "body"),
        (lambda app: app.publish("a", float("nan")), InvalidArguments, "body"),
        (lambda app: app.publish("a", {"sums": [1.5, None, float("inf")]}), InvalidArguments, "body"),
        (lambda app: app.publish("a", b"", key="one", headers={"key": "other"}), InvalidOption, "key"),
        (lambda app: app.publish_many("a", [b""] * 10_001), InvalidOption, "bodies"),
        (lambda app: app.publish_many("a", "one text"), InvalidOption, "bodies"),
        (lambda app: app.publish_many("a", {"one": "object"}), InvalidOption, "bodies"),
    ],
)
def test_what_cannot_be_published_is_refused_and_says_what_is_to_blame(
    app: Penstock, store: MemoryStore, call: Any, error: type[Exception], field: str
) -> None:
    with pytest.raises(error) as refused:
        call(app)
    assert getattr(refused.value, "field", None) == field
    assert store.totals().counts.accepted_total == 0


def test_null_is_sent_as_it_is(app: Penstock, store: MemoryStore) -> None:
    for value in (None, {"sum": None, "sums": [1.5, 2]}, "null"):
        app.publish("a", value)
    assert store.totals().counts.accepted_total == 3


def test_no_messages_are_no_request(app: Penstock) -> None:
    assert app.publish_many("orders", []) == []
