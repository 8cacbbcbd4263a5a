"""The HTTP API of nsqlookupd: from a request to its answer. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from penstock.http.messages import Answer
from penstock.model.errors import InvalidOption
from penstock.model.topics import check_channel, check_topic
from penstock.nsq.http_routes import EMPTY, ApiError, Elsewhere, Query, Routes, json_answer, text_answer
from penstock.nsq.lookup.registry import Node, Peer, Producer, Registry, RegistryFull

__all__ = ["LookupApi"]

_NEVER_NS: Final = -6_795_364_578_871_345_152
"""The time that Go's zero time says it is."""


class LookupApi:
    """Answers requests.

    Args:
        registry: what is asked and changed.
        version: of NSQ.
    """

    def __init__(self, registry: Registry, version: str) -> None:
        self._registry = registry
        self._version = version
        self._routes = Routes[Callable[[str, int], Answer]](
            {
                ("GET", "/ping"): self._ping,
                ("GET", "/info"): self._info,
                ("GET", "/debug"): self._debug,
                ("GET", "/lookup"): self._lookup,
                ("GET", "/topics"): self._topics,
                ("GET", "/channels"): self._channels,
                ("GET", "/nodes"): self._nodes,
                ("POST", "/topic/create"): self._create_topic,
                ("POST", "/topic/delete"): self._delete_topic,
                ("POST", "/channel/create"): self._create_channel,
                ("POST", "/channel/delete"): self._delete_channel,
                ("POST", "/topic/tombstone"): self._tombstone,
            }
        )

    def answer(self, method: str, path: str, query_string: str, now_ns: int) -> Answer:
        """The answer to a request.

        Args:
            method: in capitals.
            path: decoded.
            query_string: not decoded.
            now_ns: the time, as `Registry` has it.
        """
        try:
            route, _ = self._routes.find(method, path, query_string)
            return route(query_string, now_ns)
        except Elsewhere as elsewhere:
            return elsewhere.answer
        except ApiError as error:
            return error.answer()
        except RegistryFull:
            return ApiError(503, "TOO_MANY_REGISTRATIONS").answer()

    # --- questions ----------------------------------------------------------------------------------------------------
    def _ping(self, _query: str, _now_ns: int) -> Answer:
        return text_answer("OK")

    def _info(self, _query: str, _now_ns: int) -> Answer:
        return json_answer({"version": self._version})

    def _topics(self, _query: str, _now_ns: int) -> Answer:
        return json_answer({"topics": self._registry.topics()})

    def _channels(self, query: str, _now_ns: int) -> Answer:
        return json_answer({"channels": self._registry.channels(Query(query).need("topic"))})

    def _lookup(self, query: str, now_ns: int) -> Answer:
        found = self._registry.lookup(Query(query).need("topic"), now_ns)
        if found is None:
            raise ApiError(404, "TOPIC_NOT_FOUND")
        return json_answer({"channels": found.channels, "producers": [_peer(peer) for peer in found.producers]})

    def _nodes(self, _query: str, now_ns: int) -> Answer:
        return json_answer({"producers": [_node(node) for node in self._registry.nodes(now_ns)]})

    def _debug(self, _query: str, _now_ns: int) -> Answer:
        found: dict[str, list[dict[str, Any]]] = {}
        for name, producer, heard_ns in self._registry.entries():
            found.setdefault(name, []).append(_entry(producer, heard_ns))
        return json_answer(dict(sorted(found.items())))

    # --- operators ----------------------------------------------------------------------------------------------------
    def _create_topic(self, query: str, _now_ns: int) -> Answer:
        self._registry.create(_topic(Query(query)))
        return EMPTY

    def _delete_topic(self, query: str, _now_ns: int) -> Answer:
        self._registry.delete_topic(Query(query).need("topic"))
        return EMPTY

    def _create_channel(self, query: str, _now_ns: int) -> Answer:
        self._registry.create(*_topic_and_channel(Query(query)))
        return EMPTY

    def _delete_channel(self, query: str, _now_ns: int) -> Answer:
        if not self._registry.delete_channel(*_topic_and_channel(Query(query))):
            raise ApiError(404, "CHANNEL_NOT_FOUND")
        return EMPTY

    def _tombstone(self, query: str, now_ns: int) -> Answer:
        parameters = Query(query)
        self._registry.tombstone(parameters.need("topic"), parameters.need("node"), now_ns)
        return EMPTY


def _topic(query: Query) -> str:
    topic = query.need("topic")
    try:
        check_topic(topic)
    except InvalidOption:
        raise ApiError(400, "INVALID_ARG_TOPIC") from None
    return topic


def _topic_and_channel(query: Query) -> tuple[str, str]:
    topic, channel = _topic(query), query.need("channel")
    try:
        check_channel(channel)
    except InvalidOption:
        raise ApiError(400, "INVALID_ARG_CHANNEL") from None
    return topic, channel


def _peer(peer: Peer) -> dict[str, Any]:
    return {
        "remote_address": peer.remote_address,
        "hostname": peer.hostname,
        "broadcast_address": peer.broadcast_address,
        "tcp_port": peer.tcp_port,
        "http_port": peer.http_port,
        "version": peer.version,
    }


def _node(node: Node) -> dict[str, Any]:
    return {**_peer(node.peer), "tombstones": node.tombstones, "topics": node.topics}


def _entry(producer: Producer, heard_ns: int) -> dict[str, Any]:
    peer = producer.peer
    return {
        "broadcast_address": peer.broadcast_address,
        "hostname": peer.hostname,
        "http_port": peer.http_port,
        "id": peer.remote_address,
        "last_update": heard_ns,
        "tcp_port": peer.tcp_port,
        "tombstoned": producer.tombstoned_ns is not None,
        "tombstoned_at": _NEVER_NS if producer.tombstoned_ns is None else producer.tombstoned_ns,
        "version": peer.version,
    }
