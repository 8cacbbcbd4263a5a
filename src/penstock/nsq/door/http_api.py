"""nsqd's HTTP API: publishing, statistics, what operators do to topics and channels, and the options of the door.

Requests are checked in nsqd's order, and refused with its words. What it lacks: `penstock.nsq.door.http_actions`.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from penstock.http.messages import Answer
from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.topics import channel_queue, check_channel, check_topic, kept_queue
from penstock.nsq.door.configuration import Configuration
from penstock.nsq.door.debugging import debug_routes
from penstock.nsq.door.http_actions import ActionRoutes
from penstock.nsq.door.http_bodies import lines_of, messages_of
from penstock.nsq.door.http_statistics import StatisticsRoutes
from penstock.nsq.door.statistics import DoorCounts
from penstock.nsq.http_application import Request, Route
from penstock.nsq.http_routes import EMPTY, ApiError, Query, Routes, json_answer, plain_answer
from penstock.nsq.loading import NSQ_VERSION
from penstock.nsq.options import DoorOptions
from penstock.ports import AsyncStore

__all__ = ["Door", "HttpApi", "tls_required"]

logger = logging.getLogger("penstock.nsqd")

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_MS_PER_S: Final = 1_000


class Door(DoorCounts, Protocol):
    """The door, as far as its HTTP API needs it."""

    async def publish(self, topic: str, bodies: Sequence[bytes], delay_s: float | None = None) -> None:
        """Publish these, as a PUB does; they are accepted when this returns. Raises PenstockError."""
        ...

    async def create_topic(self, topic: str) -> None:
        """Make a topic, if it is not there."""
        ...

    async def create_channel(self, topic: str, channel: str) -> None:
        """Make a channel, if it is not there, as a SUB does."""
        ...

    async def empty_channel(self, topic: str, channel: str, by: str) -> None:
        """Throw away all that is in a channel. What consumers of this door have of it is not known any more."""
        ...

    async def channel_gone(self, topic: str, channel: str) -> None:
        """A channel was deleted: the connections of its consumers end."""
        ...

    def change_options(self, options: DoorOptions) -> None:
        """These are in force from now on."""
        ...


class HttpApi:
    """The routes of a door, and what they do.

    Args:
        store: of the door.
        door: this.
        ports: the ports of TCP and HTTP, as they are; -1: it is at a path.
    """

    def __init__(self, store: AsyncStore, door: Door, ports: tuple[int, int]) -> None:
        self._store = store
        self._door = door
        self._ports = ports
        self._statistics = StatisticsRoutes(store, door)
        configuration = Configuration(lambda: door.options, door.change_options, ports)
        actions = ActionRoutes(store, self._channel, _by)
        self.routes = Routes[Route](
            {
                ("GET", "/ping"): Route(self._statistics.ping, is_open=True, is_plain=True),
                ("GET", "/info"): Route(self._info),
                ("GET", "/stats"): Route(self._statistics.stats),
                ("POST", "/pub"): Route(self._publish, is_logged=False),
                ("POST", "/mpub"): Route(self._publish_many, is_logged=False),
                ("POST", "/topic/create"): Route(self._create_topic),
                ("POST", "/topic/delete"): Route(self._delete_topic),
                ("POST", "/topic/empty"): Route(self._empty_topic),
                ("POST", "/topic/pause"): Route(self._pause_topic),
                ("POST", "/topic/unpause"): Route(self._resume_topic),
                ("POST", "/channel/create"): Route(self._create_channel),
                ("POST", "/channel/delete"): Route(self._delete_channel),
                ("POST", "/channel/empty"): Route(self._empty_channel),
                ("POST", "/channel/pause"): Route(self._pause_channel),
                ("POST", "/channel/unpause"): Route(self._resume_channel),
                ("GET", "/config/:opt"): Route(configuration.show),
                ("PUT", "/config/:opt"): Route(configuration.change),
                ("POST", "/channel/replay"): Route(actions.replay),
                ("POST", "/channel/retry_dead"): Route(actions.retry_dead),
                ("GET", "/action"): Route(actions.show),
                **debug_routes(),
            }
        )

    async def _info(self, _request: Request) -> Answer:
        options = self._door.options
        tcp_port, http_port = self._ports
        return json_answer(
            {
                "version": NSQ_VERSION,
                "broadcast_address": options.broadcast_address,
                "hostname": socket.gethostname(),
                "http_port": http_port,
                "tcp_port": tcp_port,
                "start_time": int(self._door.started_at),
                "max_heartbeat_interval": round(options.max_heartbeat_interval_s * 1_000_000_000),
                "max_output_buffer_size": options.max_output_buffer_size_bytes,
                "max_output_buffer_timeout": round(options.max_output_buffer_timeout_s * 1_000_000_000),
                "max_deflate_level": options.max_deflate_level,
            }
        )

    # --- publishing ---------------------------------------------------------------------------------------------------
    async def _publish(self, request: Request) -> Answer:
        options = self._door.options
        body = await request.body(options.max_msg_size_bytes, ApiError(413, "MSG_TOO_BIG"))
        if not body:
            raise ApiError(400, "MSG_EMPTY")
        topic = _topic_to_publish(request.query())
        delay_s = _delay_s(request.query(), options.max_req_timeout_s)
        await self._door.publish(topic, [body], delay_s)
        return plain_answer("OK")

    async def _publish_many(self, request: Request) -> Answer:
        options = self._door.options
        too_big = ApiError(413, "BODY_TOO_BIG")
        if request.announced_bytes() > options.max_body_size_bytes:
            raise too_big
        topic = _topic_to_publish(request.query())
        binary = request.query().get("binary")
        body = await request.body(options.max_body_size_bytes, too_big)
        if binary is None or not request.query().flag("binary"):
            some = lines_of(body, options.max_msg_size_bytes, limits.NSQ_PUBLISH_MESSAGES_MAX)
        else:
            some = iter([messages_of(body, options.max_msg_size_bytes, options.max_body_size_bytes)])
        published = False
        for bodies in some:
            await self._door.publish(topic, bodies)
            published = True
        if not published:
            await self._door.create_topic(topic)
        return plain_answer("OK")

    # --- topics -------------------------------------------------------------------------------------------------------
    async def _create_topic(self, request: Request) -> Answer:
        await self._door.create_topic(_topic_to_publish(request.query()))
        return EMPTY

    async def _delete_topic(self, request: Request) -> Answer:
        topic = request.query().need("topic")
        channels = await self._channels(topic)
        await self._store.delete_topic(topic, by=_by(request))
        for channel in channels:
            await self._door.channel_gone(topic, channel)
        return EMPTY

    async def _empty_topic(self, request: Request) -> Answer:
        topic = request.query().need("topic")
        if not _is(check_topic, topic):
            raise ApiError(400, "INVALID_TOPIC")
        await self._store.empty_topic(topic, by=_by(request))
        return EMPTY

    async def _pause_topic(self, request: Request) -> Answer:
        topic = request.query().need("topic")
        await self._channels(topic)
        await self._store.pause(queue=kept_queue(topic), by=_by(request))
        return EMPTY

    async def _resume_topic(self, request: Request) -> Answer:
        topic = request.query().need("topic")
        await self._channels(topic)
        await self._store.resume(queue=kept_queue(topic), by=_by(request))
        return EMPTY

    async def _channels(self, topic: str) -> list[str]:
        """The channels of a topic. Raises TopicNotFound."""
        page = await self._store.topics(topic=topic)
        return [channel.name for channel in page.topics[0].channels]

    # --- channels -----------------------------------------------------------------------------------------------------
    async def _create_channel(self, request: Request) -> Answer:
        topic, channel = await self._channel(request, must_exist=False)
        await self._door.create_channel(topic, channel)
        return EMPTY

    async def _delete_channel(self, request: Request) -> Answer:
        topic, channel = await self._channel(request)
        await self._store.delete_channel(topic, channel, by=_by(request))
        await self._door.channel_gone(topic, channel)
        return EMPTY

    async def _empty_channel(self, request: Request) -> Answer:
        topic, channel = await self._channel(request)
        await self._door.empty_channel(topic, channel, _by(request))
        return EMPTY

    async def _pause_channel(self, request: Request) -> Answer:
        topic, channel = await self._channel(request)
        await self._store.pause(queue=channel_queue(topic, channel), by=_by(request))
        return EMPTY

    async def _resume_channel(self, request: Request) -> Answer:
        topic, channel = await self._channel(request)
        await self._store.resume(queue=channel_queue(topic, channel), by=_by(request))
        return EMPTY

    async def _channel(self, request: Request, *, must_exist: bool = True) -> tuple[str, str]:
        """The channel that a request names, whose topic is there."""
        query = request.query()
        topic = query.need("topic")
        if not _is(check_topic, topic):
            raise ApiError(400, "INVALID_ARG_TOPIC")
        channel = query.need("channel")
        if not _is(check_channel, channel):
            raise ApiError(400, "INVALID_ARG_CHANNEL")
        if channel not in await self._channels(topic) and must_exist:
            raise ApiError(404, "CHANNEL_NOT_FOUND")
        return topic, channel


def tls_required(https_port: int) -> Answer:
    """What is answered without TLS where that is required. NSQ's tools try again at this port."""
    return json_answer({"message": "TLS_REQUIRED", "https_port": https_port}, 403)


def _topic_to_publish(query: Query) -> str:
    topic = query.need("topic")
    if not _is(check_topic, topic):
        raise ApiError(400, "INVALID_TOPIC")
    return topic


def _delay_s(query: Query, delay_s_max: float) -> float | None:
    """The delay of a message; None: it is not asked for."""
    text = query.get("defer")
    if text is None:
        return None
    delay_s = int(text) / _MS_PER_S if _INTEGER.fullmatch(text) else -1.0
    if not 0 <= delay_s <= delay_s_max:
        raise ApiError(400, "INVALID_DEFER")
    return delay_s or None


def _is(check: Callable[[str], None], name: str) -> bool:
    try:
        check(name)
    except InvalidOption:
        return False
    return True


def _by(request: Request) -> str:
    """How the audit log names who asked."""
    return "nsqd" if request.client is None else f"nsqd@{request.client}"
