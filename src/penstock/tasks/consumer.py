"""A consumer: a function that takes the messages of a channel. Executors run it as they run a task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Generic, NoReturn, TypeVar, cast

from penstock.model.errors import InvalidOption
from penstock.model.flow import QueueRecord
from penstock.model.flow_texts import HEADER
from penstock.model.ids import id_text, parse_id
from penstock.model.message_ids import message_id, message_time
from penstock.model.topics import channel_queue, check_channel, check_topic
from penstock.tasks.context import Context
from penstock.tasks.flow_rules import channel_record, checked_limits
from penstock.tasks.message import Message, MessageCodec
from penstock.tasks.names import refuse
from penstock.tasks.store_connection import StoreConnection
from penstock.tasks.task import Task, TaskOptions

R = TypeVar("R")

_PUBLISHERS = ("queue", "priority", "expires_s", "tags", "unique", "fair", "searchable", "sensitive")
"""Options of tasks that a consumer does not have: they are about jobs that are enqueued."""


class Consumer(Task[[Any], R], Generic[R]):
    """A function that takes the messages of a channel. Made by `Penstock.consumer`; never by hand.

    Its attributes are those of `Task`; ``limits`` hold for the channel. Nothing is enqueued with it: messages come from
    `Penstock.publish`.

    Attributes:
        topic: of which the messages are.
        channel: of the topic. Every channel gets every message, and each message in it goes to one of its consumers.
    """

    def __init__(
        self,
        connection: StoreConnection,
        function: Callable[..., Any],
        name: str | None,
        place: tuple[str, str],
        options: dict[str, Any],
    ) -> None:
        """``place``: topic and channel. Raises InvalidOption when the function cannot be a consumer."""
        self.topic, self.channel = place
        for text, check in ((self.topic, check_topic), (self.channel, check_channel)):
            if not isinstance(text, str):
                refuse("topic" if check is check_topic else "channel", f"is {text!r}: give a name")
            check(text)
        for option in options:
            if option in _PUBLISHERS:
                refuse(option, "is an option of tasks: jobs of a consumer are messages, as they were published")
        rules = options.pop("limits", ())
        retention = options.pop("retention", None)
        super().__init__(connection, function, name, TaskOptions(**options), {})
        self.queue = channel_queue(self.topic, self.channel)
        self.channel_record: QueueRecord | None = channel_record(self.queue, rules, retention)
        self.limits = checked_limits(rules)
        for rule in self.limits:
            if rule.per is not None and not rule.per.startswith(HEADER):
                refuse(
                    "limits",
                    f"has per={rule.per!r}: messages have no parameters; name a header, such as per='header:key'",
                )
        self._message_codec = MessageCodec(self.name, function)
        self.codec = self._message_codec
        self._given = function
        self.function: Callable[..., Any] = _with_message(self, function)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the function here and now, with whatever it takes."""
        return self._given(*args, **kwargs)

    @property
    def takes_context(self) -> bool:
        """Always: what the executor calls makes the message of it."""
        return True

    def resolve(self) -> None:
        """Look up what the annotations name, so that a mistake shows when a worker starts.

        Raises:
            InvalidOption: one cannot be resolved, or the function does not take one message.
        """
        self._message_codec.arguments_decoder()

    def arguments(self, context: Context, value: Any) -> tuple[Any, ...]:
        """What the function is called with.

        Args:
            context: of the job that is the message in this channel.
            value: the message's body, decoded.
        """
        if self._message_codec.takes_message:
            found = message_id(parse_id(context.job_id))
            value = Message(
                body=value,
                id=id_text(found),
                topic=self.topic,
                channel=self.channel,
                headers=context.headers,
                attempt=context.attempt,
                timestamp=datetime.fromtimestamp(message_time(found), UTC),
            )
        return (context, value) if self._message_codec.takes_context else (value,)

    def enqueue(self, /, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refused: what a consumer runs are messages."""
        self._refuse()

    async def enqueue_async(self, /, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refused, as `enqueue`."""
        self._refuse()

    def options(self, **_options: Any) -> NoReturn:
        """Refused, as `enqueue`."""
        self._refuse()

    def s(self, /, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refused, as `enqueue`."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise InvalidOption(
            f"{self.name} is a consumer, not a task: what it runs is published, with app.publish({self.topic!r}, …).",
            field="task",
        )

    def __repr__(self) -> str:
        return f"<Consumer {self.name} of {self.queue}>"


def _with_message(consumer: Consumer[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as an executor calls it: with the context, and the body of the message."""
    if consumer.is_async and inspect.iscoroutinefunction(function):

        @wraps(function)
        async def consume_async(context: Context, value: Any) -> Any:
            called = cast("Callable[..., Coroutine[Any, Any, Any]]", function)
            return await called(*consumer.arguments(context, value))

        return consume_async

    @wraps(function)
    def consume(context: Context, value: Any) -> Any:
        return function(*consumer.arguments(context, value))

    return consume
