"""The part of an application that has to do with topics: publishing, and consumers of channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.tasks.consumer import Consumer
from penstock.tasks.flow_rules import Limit, Retention
from penstock.tasks.publishing import Publication, Published
from penstock.tasks.retry import Retry
from penstock.tasks.store_connection import StoreConnection
from penstock.tasks.task import Lane, Task

R = TypeVar("R")


class AppTopics:
    """What `penstock.tasks.app.Penstock` offers for topics.

    Attributes:
        consumers: those of the application, by name; read-only.
    """

    _connection: StoreConnection
    _tasks: dict[str, Task[..., Any]]

    def __init__(self) -> None:
        super().__init__()
        self._consumers: dict[str, Consumer[Any]] = {}
        self.consumers: Mapping[str, Consumer[Any]] = MappingProxyType(self._consumers)

    def publish(
        self,
        topic: str,
        body: Any,
        *,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        delay_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> Published:
        """Put a message into every channel of a topic, in one step; it is durable when this returns.

        Who publishes need not know the channels. A topic that is not there is made; what it gets before it has a
        channel is kept for its first.

        Args:
            topic: 1 to 64 of A-Z a-z 0-9 _ . -, of which the last may be ``#ephemeral``.
            body: bytes as they are, text as UTF-8, anything else as JSON.
            headers: strings that travel with the message, see `Message.headers`.
            key: travels in the header ``key``. A consumer with ``Concurrency(1, per="header:key")`` takes the messages
                of a key one after another.
            delay_s: not before this many seconds from now.
            idempotency_key: within a day, a second message to this topic with the same key and body is the first one
                again (`Published.duplicate`); with another body it is a Conflict.

        Raises:
            InvalidOption: an option is outside what it may be; ``field`` names it.
            InvalidArguments: the body is of a type that cannot be sent.
            BodyTooLarge: the body is.
            Conflict: the idempotency key was used before for another message.
            StoreFull: there is no room, or the topic has no channel and keeps as many messages as it may.
            StoreUnavailable: the store cannot be reached.
        """
        own = Publication(
            self._connection,
            topic,
            [body],
            headers=headers,
            key=key,
            delay_s=delay_s,
            idempotency_key=idempotency_key,
        )
        return own.send()[0]

    async def publish_async(
        self,
        topic: str,
        body: Any,
        *,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        delay_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> Published:
        """`publish` for a coroutine: it does not hold up the event loop."""
        own = Publication(
            self._connection,
            topic,
            [body],
            headers=headers,
            key=key,
            delay_s=delay_s,
            idempotency_key=idempotency_key,
        )
        return (await own.send_async())[0]

    def publish_many(
        self,
        topic: str,
        bodies: Iterable[Any],
        *,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        delay_s: float | None = None,
    ) -> list[Published]:
        """`publish` of many bodies in one request and one transaction: all or none. The options are those of each.

        Raises:
            InvalidOption: they are more than one request may hold.
            BodyTooLarge: one is too large, or they are too many for so many channels.
        """
        return Publication(self._connection, topic, bodies, headers=headers, key=key, delay_s=delay_s).send()

    async def publish_many_async(
        self,
        topic: str,
        bodies: Iterable[Any],
        *,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        delay_s: float | None = None,
    ) -> list[Published]:
        """`publish_many` for a coroutine."""
        publication = Publication(self._connection, topic, bodies, headers=headers, key=key, delay_s=delay_s)
        return await publication.send_async()

    def consumer(
        self,
        topic: str,
        *,
        channel: str,
        name: str | None = None,
        retry: Retry | None = None,
        timeout_s: float | None = None,
        soft_timeout_s: float | None = None,
        keep_result_s: float | None = None,
        keep_record_s: float = limits.KEEP_RECORD_S,
        executor: Lane | None = None,
        limits: Iterable[Limit] = (),
        retention: Retention | None = None,
    ) -> Callable[[Callable[..., R]], Consumer[R]]:
        """Make a consumer of a function: ``@app.consumer("orders", channel="archive")``.

        Every channel of a topic gets every message, and each message in a channel goes to one of its consumers, as a
        job: it is retried, is dead when it has failed too often, and is found with those of the queue
        ``topic:channel``. Workers make the channel when they start. Messages that the topic got before that are not in
        it, but those that a topic without any channel has kept.

        The function takes the message, after a `Context` if it wants one. What it gets is decided by the annotation:
        `Message`, or none: with headers, id and time; ``bytes``: the body; ``str``: the body as text; anything else:
        what the body says as JSON.

        Args:
            topic: whose messages it takes.
            channel: from which of its channels. Several applications, or workers, may share one.
            name: in logs, errors and `Context.task`. None: ``module.function``.
            retry: when a message whose consumer raised is given out again. None: ``Retry()``.
            limits: of the channel: `Concurrency` and `Rate`, ``per`` a header.
            retention: how much is kept of the channel's finished messages. None: what holds for all queues.

        The other options are the attributes of `Task`.

        Raises:
            InvalidOption: an option is outside what it may be, the function does not take one message, or the
                application has a consumer of this channel; ``field`` names what is to blame.
        """
        options: dict[str, Any] = {
            "timeout_s": timeout_s,
            "soft_timeout_s": soft_timeout_s,
            "keep_result_s": keep_result_s,
            "keep_record_s": keep_record_s,
            "executor": executor,
            "limits": limits,
            "retention": retention,
        }
        if retry is not None:
            options["retry"] = retry

        def make(function: Callable[..., R]) -> Consumer[R]:
            return self._add_consumer(Consumer(self._connection, function, name, (topic, channel), dict(options)))

        return make

    def _add_consumer(self, consumer: Consumer[R]) -> Consumer[R]:
        if consumer.name in self._tasks or consumer.name in self._consumers:
            raise InvalidOption(
                f"There is a task or a consumer {consumer.name!r} already: give one of them a name=.", field="name"
            )
        for other in self._consumers.values():
            if other.queue == consumer.queue:
                raise InvalidOption(
                    f"{other.name} takes the messages of {consumer.queue!r} already. Each message goes to one consumer"
                    f" of a channel: give {consumer.name} a channel of its own, or let one function call both.",
                    field="channel",
                )
        self._consumers[consumer.name] = consumer
        return consumer
