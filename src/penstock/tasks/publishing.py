"""How values become messages of a topic: encoded, given ids, sent in one request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any
from zlib import crc32

from msgspec import Struct

from penstock.model import limits, topics
from penstock.model.errors import Conflict, InvalidOption
from penstock.model.ids import id_text
from penstock.model.message_ids import new_message_ids
from penstock.model.topics import MessageEntry, MessageGroup, check_topic
from penstock.tasks import names
from penstock.tasks.message import body_of
from penstock.tasks.store_connection import StoreConnection


class Published(Struct, frozen=True):
    """A message that is durable.

    Attributes:
        message_id: in text form, the same in all channels.
        channels: into how many it was put. 0: the topic has none yet, and keeps the message for its first.
        durability: what the answer stands for: ``disk`` (synced), or ``memory`` in tests.
        duplicate: nothing was added; the message is an earlier one with the same idempotency key.
    """

    message_id: str
    channels: int
    durability: str
    duplicate: bool = False


class Publication:
    """Messages for one topic that are sent in one request.

    Attributes:
        topic: its name.
        groups: what goes to the store; empty when there are no messages.
    """

    def __init__(
        self,
        connection: StoreConnection,
        topic: str,
        bodies: Iterable[Any],
        *,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        delay_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """See `penstock.tasks.app.Penstock.publish`.

        Raises:
            InvalidOption: an option is outside what it may be, or they are too many; ``field`` names what is to blame.
            InvalidArguments: a body is of a type that cannot be sent.
            BodyTooLarge: a body is.
        """
        if not isinstance(topic, str):
            names.refuse("topic", f"is {names.shown(topic)}: give the name of a topic")
        check_topic(topic)
        self.topic = topic
        self._connection = connection
        delay = None if delay_s is None else names.check_seconds("delay_s", delay_s)
        if idempotency_key is not None:
            names.check_idempotency_key(idempotency_key)
        if key is not None and not isinstance(key, str):
            names.refuse("key", f"is {names.shown(key)}: give text")
        fields = None if headers is None else names.check_headers(headers)
        if isinstance(bodies, str | bytes | bytearray | Mapping):
            names.refuse("bodies", f"is {names.shown(bodies)}: give a list of messages, or publish() one")
        found = [body_of(topic, value) for value in islice(bodies, limits.BATCH_JOBS_MAX + 1)]
        if len(found) > limits.BATCH_JOBS_MAX:
            raise InvalidOption(
                f"More than {limits.BATCH_JOBS_MAX} messages at once (BATCH_JOBS_MAX): publish them in parts.",
                field="bodies",
            )
        self._ids = new_message_ids(len(found))
        entries = [
            MessageEntry(message, body, crc32(body), idempotency_key, key)
            for message, body in zip(self._ids, found, strict=True)
        ]
        self.groups = [MessageGroup(entries, delay, fields or None)] if entries else []

    def send(self) -> list[Published]:
        """Publish, and wait until it is durable.

        Raises:
            Conflict: the idempotency key was used before for another message.
            BodyTooLarge, StoreFull, StoreUnavailable: as of `penstock.ports.topics.TopicStore.publish`.
        """
        if not self.groups:
            return []
        return self._published(self._connection.store().publish(self.topic, self.groups, atomic=True))

    async def send_async(self) -> list[Published]:
        """`send` for a coroutine."""
        if not self.groups:
            return []
        store = await self._connection.async_store()
        return self._published(await store.publish(self.topic, self.groups, atomic=True))

    def _published(self, answer: topics.PublishAnswer) -> list[Published]:
        durability = self._connection.durability
        found = [Published(id_text(message), answer.channels, durability) for message in self._ids]
        for one in answer.exceptions:
            if one.conflict:
                raise Conflict(
                    f"{self.topic}: this idempotency key was used before for another message, {id_text(one.id)}."
                )
            found[one.index] = Published(id_text(one.id), answer.channels, durability, duplicate=True)
        return found
