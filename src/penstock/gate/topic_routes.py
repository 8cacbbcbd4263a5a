"""``/v1/topics``: publishing messages, and the topics with their channels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Raw, Struct

from penstock.gate.admission import Admission
from penstock.gate.job_json import check_headers_size, check_size, counts_json, decode_items, job_id_text
from penstock.gate.notes import note_of
from penstock.gate.problems import Problem
from penstock.gate.request_bodies import BYTES, JSON, LINES, check_utf8, kind_of, members_of, not_json, not_this_object
from penstock.gate.requests import RouteRequest, page_limit
from penstock.gate.side_thread import SideThread
from penstock.http.messages import JSON_HEADERS, Answer
from penstock.model import limits
from penstock.model.errors import PenstockError
from penstock.model.ids import id_text
from penstock.model.job import checksum
from penstock.model.message_ids import new_message_ids
from penstock.model.page_filling import PageFilling
from penstock.model.topics import (
    RAW,
    ChannelView,
    MessageEntry,
    MessageGroup,
    PublishAnswer,
    TopicView,
    check_channel,
    check_topic,
    kept_queue,
)
from penstock.ports import AsyncStore
from penstock.tasks import names
from penstock.tasks.message import body_of

_KINDS: Final = (JSON, LINES, BYTES)
_SEND: Final = f"{JSON} or {LINES} with messages as objects, or {BYTES}, the bytes of one message"
_PAGE: Final = 100
_AT_ONCE: Final = 100
"""Messages that are read, or topics whose JSON is made, on the event loop."""
_TEXT: Final = msgspec.json.Decoder(str)
_BLANK: Final = b" \t\r\n"


class MessageJson(Struct, forbid_unknown_fields=True):
    """A message as it is sent. ``body``: text is published as UTF-8, any other value as its JSON. The other members are
    those of `penstock.tasks.app_topics.AppTopics.publish`."""

    body: Raw
    headers: dict[str, str] | None = None
    key: str | None = None
    delay_s: float | None = None
    idempotency_key: str | None = None


_MESSAGE: Final = msgspec.json.Decoder(MessageJson)


class TopicRoutes:
    """Publishes messages, and answers about topics.

    Args:
        store: where they are.
        admission: for what a request brings and takes.
        side_thread: where many messages are read, and large answers made.
        durability: the level that an answer names.
        caller: how the audit log names who asks, by the address that the client has on another machine.
    """

    def __init__(
        self,
        store: AsyncStore,
        admission: Admission,
        side_thread: SideThread,
        durability: str,
        caller: Callable[[str | None], str],
    ) -> None:
        self._store = store
        self._admission = admission
        self._side_thread = side_thread
        self._durability = durability
        self._caller = caller

    # --- publishing --------------------------------------------------------------------------------------------------
    async def post_messages(self, request: RouteRequest) -> Answer:
        """Publish one message, or several: all or none.

        Raises:
            Problem: nothing was published, and why.
        """
        request.parameters()
        topic = request.subject
        check_topic(topic)
        kind = kind_of(request.headers, _KINDS, _SEND)
        length = request.headers.get("content-length")
        body = await self._admission.read(request.flight, length, request.incoming)
        if len(body) > limits.GATE_LOOP_BYTES_MAX:
            groups, is_one = await self._side_thread.run(_groups_of, topic, body, kind)
        else:
            groups, is_one = _groups_of(topic, body, kind)
        count = sum(len(group.messages) for group in groups)
        self._admission.take_jobs(request.flight, count)
        try:
            answer = await self._store.publish(topic, groups, atomic=True)
        finally:
            self._admission.release_jobs(request.flight, count)
        return self._published(groups, answer, is_one=is_one)

    def _published(self, groups: list[MessageGroup], answer: PublishAnswer, *, is_one: bool) -> Answer:
        for one in answer.exceptions:
            if one.conflict:
                raise Problem(
                    "conflict",
                    f"Message {job_id_text(one.id)} of this topic has the same idempotency key and another body.",
                    field="idempotency_key",
                )
        members: dict[str, Any] = {"accepted": answer.accepted, "channels": answer.channels}
        if is_one:
            message = answer.exceptions[0].id if answer.exceptions else groups[0].messages[0].id
            members = {"id": id_text(message), **members, "duplicate": bool(answer.exceptions)}
        return 202, JSON_HEADERS, msgspec.json.encode({**members, "durability": self._durability})

    # --- topics ------------------------------------------------------------------------------------------------------
    async def get_topics(self, request: RouteRequest) -> Answer:
        """A page of the topics."""
        parameters = request.parameters("limit", "cursor")
        limit = page_limit(parameters, _PAGE, limits.PAGE_QUEUES_MAX, "topics")
        self._admission.expect_answer(request.flight)
        async with self._admission.fetching:
            filling = PageFilling[TopicView](limit, parameters.get("cursor"))
            while filling.is_open:
                page = await self._store.topics(cursor=filling.cursor, limit=filling.left)
                filling.add(page.topics, page.cursor)
        topics, cursor = filling.items, filling.cursor
        if sum(len(topic.channels) + 1 for topic in topics) > _AT_ONCE:
            return 200, JSON_HEADERS, await self._side_thread.run(_topics_text, topics, cursor)
        return 200, JSON_HEADERS, _topics_text(topics, cursor)

    async def get_topic(self, request: RouteRequest) -> Answer:
        """One topic."""
        request.parameters()
        return await self._topic(request.subject, 200)

    async def put_topic(self, request: RouteRequest) -> Answer:
        """Make a topic without a channel: 201, or 200 when it is there."""
        request.parameters()
        is_new = await self._store.create_topic(request.subject)
        return await self._topic(request.subject, 201 if is_new else 200)

    async def delete_topic(self, request: RouteRequest) -> Answer:
        """Delete a topic with its channels and all that is in them."""
        request.parameters()
        await self._store.delete_topic(request.subject, by=self._caller(request.flight.client))
        return 200, JSON_HEADERS, msgspec.json.encode({"topic": request.subject, "deleted": True})

    def hold(self, change: str) -> Callable[[RouteRequest], Awaitable[Answer]]:
        """What pauses or resumes (``change``) a topic as a whole."""

        async def answer(request: RouteRequest) -> Answer:
            request.parameters()
            note = await note_of(request, self._admission, change)
            check_topic(request.subject)
            queue, by = kept_queue(request.subject), self._caller(request.flight.client)
            if change == "pause":
                await self._store.pause(queue=queue, by=by, note=note)
            else:
                await self._store.resume(queue=queue, by=by)
            return await self._topic(request.subject, 200)

        return answer

    async def put_channel(self, request: RouteRequest) -> Answer:
        """Make a channel, and its topic: 201, or 200 when it is there."""
        request.parameters()
        topic, channel = _place(request.subject)
        is_new = await self._store.create_channel(topic, channel)
        return await self._topic(topic, 201 if is_new else 200)

    async def delete_channel(self, request: RouteRequest) -> Answer:
        """Delete a channel with all that is in it."""
        request.parameters()
        topic, channel = _place(request.subject)
        await self._store.delete_channel(topic, channel, by=self._caller(request.flight.client))
        return 200, JSON_HEADERS, msgspec.json.encode({"topic": topic, "channel": channel, "deleted": True})

    async def _topic(self, name: str, status: int) -> Answer:
        page = await self._store.topics(topic=name)
        return status, JSON_HEADERS, msgspec.json.encode(topic_json(page.topics[0]))


def topic_json(view: TopicView) -> dict[str, Any]:
    """A topic as it is shown."""
    return {
        "name": view.name,
        "messages_total": view.messages_total,
        "kept": view.kept,
        "paused": view.paused,
        "channels": [_channel_json(channel) for channel in view.channels],
    }


def _channel_json(view: ChannelView) -> dict[str, Any]:
    counts = counts_json(view.counts)
    return {"name": view.name, "consumers": view.consumers, "reason": view.reason, **counts}


def _topics_text(views: list[TopicView], cursor: str | None) -> bytes:
    return msgspec.json.encode({"topics": [topic_json(view) for view in views], "cursor": cursor})


def _place(subject: str) -> tuple[str, str]:
    """The topic and the channel in a path."""
    topic, _, channel = subject.partition("/")
    check_topic(topic)
    check_channel(channel)
    return topic, channel


def _groups_of(topic: str, body: bytes, kind: str) -> tuple[list[MessageGroup], bool]:
    """The messages in a request, and whether they are a single one, which is answered with its id.

    Raises:
        Problem, PenstockError: one is not what it may be.
    """
    if kind == BYTES:
        return [MessageGroup([_entry(new_message_ids(1)[0], body_of(topic, body), MessageJson(Raw(b"")))])], True
    check_utf8(body)
    texts: list[Any]
    if kind == LINES:
        texts = [line for line in body.split(b"\n") if line.strip(_BLANK)]
    elif body.lstrip(_BLANK)[:1] == b"[":
        texts = list(decode_items(body))
    else:
        return _grouped([_read(body, None)]), True
    if not texts:
        raise Problem("malformed-body", "There is no message in the body.")
    if len(texts) > limits.BATCH_JOBS_MAX:
        raise Problem("body-too-large", f"A request may have {limits.BATCH_JOBS_MAX} messages.")
    return _grouped([_read(bytes(text), at) for at, text in enumerate(texts)]), False


def _read(text: bytes, at: int | None) -> tuple[MessageJson, bytes]:
    """One message, and its body. ``at``: its place among several."""
    try:
        check_size(text)
        wanted = _MESSAGE.decode(text)
        if wanted.delay_s is not None:
            wanted.delay_s = names.check_seconds("delay_s", wanted.delay_s)
        if wanted.idempotency_key is not None:
            names.check_idempotency_key(wanted.idempotency_key)
        if wanted.headers is not None:
            check_headers_size(wanted.headers)
            wanted.headers = names.check_headers(wanted.headers) or None
        raw = bytes(wanted.body)
        value = _TEXT.decode(raw).encode() if raw[:1] == b'"' else raw
        return wanted, body_of("body", value)
    except msgspec.ValidationError as error:
        problem = not_this_object(str(error), "A message", members_of(_MESSAGE))
        _refuse(problem.code, problem.detail, at, problem.field)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse("malformed-body", not_json(error).detail, at, None)
    except Problem as problem:
        _refuse(problem.code, problem.detail, at, problem.field)
    except PenstockError as error:
        field = getattr(error, "field", None)
        _refuse(error.code, error.message, at, field if isinstance(field, str) else None)


def _refuse(code: str, detail: str, at: int | None, field: str | None) -> NoReturn:
    where = "" if at is None else f"Message {at}: "
    raise Problem(code, f"{where}{detail}", field=field) from None


def _grouped(messages: list[tuple[MessageJson, bytes]]) -> list[MessageGroup]:
    """Messages in the order they came; those in a row that are alike share a group."""
    groups: list[MessageGroup] = []
    for message, (wanted, body) in zip(new_message_ids(len(messages)), messages, strict=True):
        last = groups[-1] if groups else None
        if last is None or (last.delay_s, last.headers) != (wanted.delay_s, wanted.headers):
            last = MessageGroup([], wanted.delay_s, wanted.headers)
            groups.append(last)
        last.messages.append(_entry(message, body, wanted))
    return groups


def _entry(message: bytes, body: bytes, wanted: MessageJson) -> MessageEntry:
    assert body.startswith(RAW), "body_of begins it so"
    return MessageEntry(message, body, checksum(body), wanted.idempotency_key, wanted.key)
