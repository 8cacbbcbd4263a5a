"""The nsqlookupds of a door: each is told of all topics and channels of the store, whoever makes and deletes them.

The other way round, they are asked for the channels of a topic that is about to be made, so that these get its messages
from the first on. Nothing that an nsqlookupd does or fails to do stops a message from being published.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from penstock.http.client import FetchFailed, fetch
from penstock.model import limits
from penstock.model.errors import PenstockError, TopicNotFound
from penstock.model.topics import TopicView, is_ephemeral
from penstock.nsq.door.announcing import Announced, announced_of
from penstock.nsq.door.lookup_peer import Identity, LookupPeer
from penstock.nsq.protocol.names import name_of
from penstock.ports import AsyncStore
from penstock.process.repeated_faults import Faults

__all__ = ["LookupPeers"]

_PARTS_MAX: Final = 50
"""At most one part in so many of the time is spent on looking which topics there are."""
_FOUND: Final = 200
_LOOKING: Final = "looking which topics there are"
_ASKING: Final = "asking nsqlookupds for channels"


class LookupPeers:
    """All of them.

    Args:
        store: of which the topics are told.
        identity: of the door.
        create_channel: makes a channel, and its topic.
        connect_s: how long connecting to their HTTP API may take.
        request_s: how long a request there may take.
        faults: where is noted what fails.
    """

    def __init__(
        self,
        store: AsyncStore,
        identity: Identity,
        create_channel: Callable[[str, str], Awaitable[object]],
        faults: Faults,
        *,
        connect_s: float,
        request_s: float,
    ) -> None:
        self._store = store
        self._identity = identity
        self._create_channel = create_channel
        self._connect_s = connect_s
        self._request_s = request_s
        self._faults = faults
        self._peers: dict[LookupPeer, asyncio.Task[None]] = {}
        self._topics: dict[str, frozenset[Announced]] = {}
        """What there is of each topic. Nothing: it is about to be made."""
        self._changed: set[str] = set()
        self._preparing: dict[str, asyncio.Task[None]] = {}
        self._looked = asyncio.Event()
        self._look = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._asking = asyncio.Semaphore(limits.LOOKUP_TOPICS_ASKED_MAX)

    def change(self, addresses: Sequence[str]) -> None:
        """Register with these, and with no others."""
        for peer in [peer for peer in self._peers if peer.address not in addresses]:
            self._peers.pop(peer).cancel()
        known = {peer.address for peer in self._peers}
        for address in dict.fromkeys(addresses):
            if address in known:
                continue
            if len(self._peers) >= limits.LOOKUP_PEERS_MAX:
                self._note("registering", f"{len(self._peers)} nsqlookupds are as many as there may be")
                break
            peer = LookupPeer(address, self._identity, self._wanted, self._faults)
            self._peers[peer] = asyncio.ensure_future(peer.run())
        if self._peers and self._looking is None:
            self._looking = asyncio.ensure_future(self._keep_looking())
        elif not self._peers and self._looking is not None:
            self._looking.cancel()
            self._looking = None
            self._looked.clear()

    async def close(self) -> None:
        """Leave all of them: they send nobody here any more."""
        looking, preparing = self._looking, list(self._preparing.values())
        peers = list(self._peers.values())
        self.change([])
        for task in preparing:
            task.cancel()
        ended = [*peers, *preparing, *([looking] if looking else [])]
        await asyncio.gather(*ended, return_exceptions=True)

    # --- which topics there are ---------------------------------------------------------------------------------------
    def look_again(self, topic: str) -> None:
        """A topic, or a channel of it, was made or deleted here: tell at once."""
        self._changed.add(topic)
        self._look.set()

    def _wanted(self) -> set[Announced]:
        return set().union(*self._topics.values())

    async def _keep_looking(self) -> None:
        """Look at all from time to time, and at once at what was changed here."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            began = loop.time()
            try:
                if began >= next_at:
                    self._note_all([topic async for topic in _topics_of(self._store)])
                    next_at = loop.time() + max(limits.LOOKUP_REVIEW_S, (loop.time() - began) * _PARTS_MAX)
                while self._changed:
                    await self._look_at(self._changed.pop())
                self._faults.passed(_LOOKING, loop.time())
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may go well
                self._note(_LOOKING, error)
                next_at = loop.time() + limits.LOOKUP_REVIEW_S
                self._changed.clear()
            try:
                async with asyncio.timeout_at(next_at):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()

    async def _look_at(self, topic: str) -> None:
        try:
            found = announced_of((await self._store.topics(topic=topic)).topics)
        except TopicNotFound:
            found = set()
        before = self._topics.get(topic, frozenset())
        if found:
            self._topics[topic] = frozenset(found)
        else:
            self._topics.pop(topic, None)
        if found != before:
            self._wake()

    def _note_all(self, topics: Iterable[TopicView]) -> None:
        found = {topic.name: frozenset(announced_of([topic])) for topic in topics}
        if found != self._topics:
            self._topics = found
            self._wake()
        self._looked.set()

    def _wake(self) -> None:
        for peer in self._peers:
            peer.wake()

    # --- a topic that is about to be made -----------------------------------------------------------------------------
    def is_new(self, topic: str) -> bool:
        """Whether a topic should be prepared before it is made."""
        return bool(self._peers) and topic not in self._topics

    async def prepare(self, topic: str) -> None:
        """Make the channels that the nsqlookupds know of a topic, unless the topic is there. Raises nothing."""
        if not self.is_new(topic):
            return
        preparing = self._preparing.get(topic)
        if preparing is None:
            preparing = self._preparing[topic] = asyncio.ensure_future(self._prepare(topic))
            preparing.add_done_callback(lambda _: self._preparing.pop(topic, None))
        await asyncio.wait({preparing})

    async def _prepare(self, topic: str) -> None:
        async with self._asking:
            try:
                async with asyncio.timeout(self._request_s):
                    await self._looked.wait()
                    for peer in list(self._peers):
                        await peer.tried.wait()
            except TimeoutError:
                pass
            if not self.is_new(topic):
                return
            channels = await self._channels_of(topic)
            for channel in channels:
                try:
                    await self._create_channel(topic, channel)
                except PenstockError as error:
                    self._note(_ASKING, error)
                    break
        self._topics.setdefault(topic, frozenset())
        if channels:
            self.look_again(topic)

    async def _channels_of(self, topic: str) -> list[str]:
        """What all nsqlookupds together know of a topic, without what is ephemeral: nobody may be there to take it."""
        addresses = [peer.http_address for peer in self._peers if peer.http_address]
        if not addresses and self._peers:
            self._note(_ASKING, f"no nsqlookupd can be asked for the channels of {topic}")
        answers = await asyncio.gather(*(self._ask(address, topic) for address in addresses))
        found = {name for answer in answers for name in answer if not is_ephemeral(name)}
        return sorted(found)[: limits.CHANNELS_OF_TOPIC_MAX]

    async def _ask(self, address: str, topic: str) -> list[str]:
        try:
            answer = await fetch(
                f"http://{address}/channels?topic={quote(topic, safe='')}",
                headers={"accept": "application/vnd.nsq; version=1.0"},
                connect_s=self._connect_s,
                request_s=self._request_s,
                body_bytes_max=limits.LOOKUP_ANSWER_BYTES_MAX,
            )
            if answer.status != _FOUND:
                raise FetchFailed(f"it answers with status {answer.status}")
            names = msgspec.json.decode(answer.body, type=_Channels).channels
        except (FetchFailed, msgspec.DecodeError, RecursionError) as error:
            self._note(_ASKING, f"{address}: {error}")
            return []
        return [name for name in names if name_of(name.encode()) is not None]

    def _note(self, name: str, error: BaseException | str) -> None:
        self._faults.note(name, error, asyncio.get_running_loop().time(), traceback=False)


class _Channels(msgspec.Struct):
    channels: list[str] = []


async def _topics_of(store: AsyncStore) -> AsyncIterator[TopicView]:
    cursor: str | None = None
    while True:
        page = await store.topics(cursor=cursor)
        for topic in page.topics:
            yield topic
        cursor = page.cursor
        if cursor is None:
            return
