"""Publishing: what clients publish in one turn of the loop goes to the store with one request a topic.

Of a topic at most `REQUESTS_MAX` requests are under way; what comes meanwhile is gathered. With two the owner works
while this process makes the next; more only make them small. A connection whose messages would take more memory than
there may be is read no further until there is room.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol
from zlib import crc32

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, PenstockError, StoreFull, StoreUnavailable
from penstock.model.message_ids import new_message_ids
from penstock.model.topics import RAW, MessageEntry, MessageGroup
from penstock.nsq.door.answers import Answered, Owed
from penstock.nsq.door.message_texts import MessageTexts
from penstock.nsq.protocol import errors, frames
from penstock.nsq.protocol.errors import ProtocolError
from penstock.ports import AsyncStore

REQUESTS_MAX: Final = 2
_AGAIN_S: Final = 0.5
_MESSAGE_COST_BYTES: Final = 200
"""What a message takes in memory besides its body."""
_FAILED: Final = {"PUB": errors.E_PUB_FAILED, "MPUB": errors.E_MPUB_FAILED, "DPUB": errors.E_DPUB_FAILED}


class Preparer(Protocol):
    """Prepares topics before they are made: `penstock.nsq.door.lookup_peers.LookupPeers`."""

    def is_new(self, topic: str) -> bool:
        """Whether a topic is to be prepared."""
        ...

    async def prepare(self, topic: str) -> None:
        """Prepare it. Raises nothing."""
        ...

    def look_again(self, topic: str) -> None:
        """It is there now."""
        ...


class Batch:
    """Messages of one topic that are published with one request.

    Attributes:
        now: bodies that are ready at once.
        later: by delay, bodies that are not.
        owed: the answers to those who published them.
        has_acknowledged: some were answered already (`--ack memory`).
        is_prepared: its topic need not be prepared any more.
    """

    __slots__ = ("bytes", "count", "has_acknowledged", "is_prepared", "later", "now", "owed", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.now: list[bytes] = []
        self.later: dict[float, list[bytes]] = {}
        self.owed: list[Owed] = []
        self.has_acknowledged = False
        self.is_prepared = False
        self.count = 0
        self.bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether more would make too large a request."""
        return self.count >= limits.NSQ_PUBLISH_MESSAGES_MAX or self.bytes >= limits.NSQ_PUBLISH_BYTES_MAX


class Publishing:
    """Publishes what connections are sent.

    Args:
        store: where to.
        texts: what is read in bodies, for duplicates and for order.
        in_memory: OK is said at once, and not when the store has it.
        idempotency_s: for how long a duplicate is known for one. None: as long as the store does.
        due: has `flush` called at the end of this turn of the loop.
        failed: told of what could not be published.

    Attributes:
        backlog_bytes: what is held of messages that the store has not accepted yet.
        published: messages that it has. published_bytes: their size by topic.
        lookups: asked to prepare topics that are new. Meanwhile others are published to. None: nothing is prepared.
    """

    def __init__(
        self,
        store: AsyncStore,
        texts: MessageTexts,
        *,
        in_memory: bool,
        idempotency_s: float | None = None,
        due: Callable[[], None],
        failed: Callable[[PenstockError], None],
    ) -> None:
        self._store = store
        self._texts = texts
        self._in_memory = in_memory
        self._idempotency_s = idempotency_s
        self._due = due
        self._failed = failed
        self._open: dict[str, Batch] = {}
        self._full: deque[Batch] = deque()
        self._under_way: dict[asyncio.Task[None], str] = {}
        self._withheld: list[Callable[[], None]] = []
        self._idle: list[asyncio.Future[None]] = []
        self.backlog_bytes = 0
        self.published = 0
        self.published_bytes: Counter[str] = Counter()
        self.lookups: Preparer | None = None
        self._preparing: dict[str, list[Batch]] = {}
        """What waits for its topic to be prepared."""
        self._tasks: set[asyncio.Task[None]] = set()

    # --- taking in ----------------------------------------------------------------------------------------------------
    def add(
        self, asker: Answered, verb: str, topic: str, bodies: Sequence[bytes], delay_s: float | None = None
    ) -> bool:
        """Publish these with others. Answers whether its connection may be read further; if not, `when_room` tells."""
        batch = self._open.get(topic)
        if batch is not None and batch.count + len(bodies) > limits.NSQ_PUBLISH_MESSAGES_MAX:
            # What one command publishes is in one transaction, if that may be so large.
            self._full.append(self._open.pop(topic))
            batch = None
        if batch is None:
            batch = self._open[topic] = Batch(topic)
            self._due()
        if delay_s is None:
            batch.now += bodies
        else:
            batch.later.setdefault(delay_s, []).extend(bodies)
        size_bytes = sum(map(len, bodies)) + _MESSAGE_COST_BYTES * len(bodies)
        batch.count += len(bodies)
        batch.bytes += size_bytes
        self.backlog_bytes += size_bytes
        self._owe(asker, verb, batch)
        if batch.is_full:
            self._full.append(self._open.pop(topic))
        return self.backlog_bytes < limits.NSQ_BACKLOG_BYTES_MAX

    def _owe(self, asker: Answered, verb: str, batch: Batch) -> None:
        answers = asker.answers
        if self._in_memory and self.backlog_bytes < limits.NSQ_MEMORY_ACK_BYTES_MAX:
            owed = Owed(asker, verb)
            owed.done = True
            batch.has_acknowledged = True
            answers.owe(owed)
            asker.answered()
            return
        last = answers.last()
        if last is not None and batch.owed and batch.owed[-1] is last and last.verb == verb:
            last.count += 1
            return
        owed = Owed(asker, verb)
        answers.owe(owed)
        batch.owed.append(owed)

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` when there is room for more messages."""
        self._withheld.append(resume)

    # --- sending ------------------------------------------------------------------------------------------------------
    def flush(self) -> None:
        """Send what has been gathered, as far as requests may be under way."""
        while (batch := self._next()) is not None:
            if self.lookups is not None and self._is_prepared_first(self.lookups, batch):
                continue
            task = asyncio.get_running_loop().create_task(self._publish(batch))
            self._under_way[task] = batch.topic
            task.add_done_callback(self._sent)

    def _next(self) -> Batch | None:
        """What is to be sent next; None: nothing may be now. A topic with nothing under way need not wait for others:
        the owner takes all that it finds into one transaction."""
        count = len(self._under_way)
        if count >= limits.NSQ_PUBLISH_REQUESTS_MAX:
            return None
        busy = () if count < REQUESTS_MAX else self._under_way.values()
        for place, batch in enumerate(self._full):
            if batch.topic not in busy:
                del self._full[place]
                return batch
        topic = next((topic for topic in self._open if topic not in busy), None)
        return None if topic is None else self._open.pop(topic)

    def _is_prepared_first(self, lookups: Preparer, batch: Batch) -> bool:
        """Whether a batch waits for its topic, which is new."""
        waiting = self._preparing.get(batch.topic)
        if waiting is not None and not batch.is_prepared:
            waiting.append(batch)
            return True
        if batch.is_prepared or not lookups.is_new(batch.topic):
            return False
        self._preparing[batch.topic] = [batch]
        task = asyncio.get_running_loop().create_task(self._prepare(lookups, batch.topic))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _prepare(self, lookups: Preparer, topic: str) -> None:
        try:
            await lookups.prepare(topic)
        finally:
            batches = self._preparing.pop(topic)
            for batch in batches:
                batch.is_prepared = True
            self._full.extendleft(reversed(batches))
            self.flush()

    def _sent(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self.flush()
        if not self._under_way and not self._preparing:
            for idle in self._idle:
                if not idle.done():
                    idle.set_result(None)
            self._idle.clear()
        if not task.cancelled():
            task.result()

    async def drained(self) -> None:
        """Return when all that was taken in has been published, or refused."""
        self.flush()
        if self._under_way or self._preparing:
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle

    async def _publish(self, batch: Batch) -> None:
        # What ends in any other way than a return of the store is not in it, as far as is known.
        error: PenstockError | None = StoreUnavailable("The door could not publish it.")
        try:
            for groups in self._requests(batch):
                await self._send(batch, groups)
            error = None
        except PenstockError as failure:
            error = failure
            self._failed(failure)
        finally:
            self._tell(batch, error)

    def _requests(self, batch: Batch) -> Iterator[list[MessageGroup]]:
        """The messages of a batch, by request."""
        groups: list[MessageGroup] = []
        room = limits.NSQ_PUBLISH_MESSAGES_MAX
        for delay_s, bodies in ((None, batch.now), *batch.later.items()):
            start = 0
            while start < len(bodies):
                some = bodies[start : start + room]
                groups.append(MessageGroup(self._entries(some), delay_s, idempotency_s=self._idempotency_s))
                start += len(some)
                room -= len(some)
                if not room:
                    yield groups
                    groups, room = [], limits.NSQ_PUBLISH_MESSAGES_MAX
        if groups:
            yield groups

    async def _send(self, batch: Batch, groups: list[MessageGroup]) -> None:
        while True:
            try:
                await self._store.publish(batch.topic, groups)
            except BodyTooLarge:
                # Too many copies for one request: the topic has many channels.
                halves = _halves(groups)
                if halves is None:
                    raise
                for half in halves:
                    await self._send(batch, half)
            except (StoreUnavailable, StoreFull) as error:
                if not batch.has_acknowledged or (isinstance(error, StoreFull) and error.refused):
                    raise
                # Some were answered already, and nobody will publish them again.
                self._failed(error)
                await asyncio.sleep(_AGAIN_S)
                continue
            return

    def _entries(self, bodies: list[bytes]) -> list[MessageEntry]:
        ids = new_message_ids(len(bodies))
        raw = [RAW + body for body in bodies]
        if not self._texts:
            return list(map(MessageEntry, ids, raw, map(crc32, raw)))
        keys = map(self._texts.idempotency_key, bodies)
        return list(map(MessageEntry, ids, raw, map(crc32, raw), keys, map(self._texts.key, bodies)))

    def _tell(self, batch: Batch, error: PenstockError | None) -> None:
        self.backlog_bytes -= batch.bytes
        if error is None:
            self.published += batch.count
            self.published_bytes[batch.topic] += batch.bytes - _MESSAGE_COST_BYTES * batch.count
            if batch.is_prepared and self.lookups is not None:
                # Only now it is there.
                self.lookups.look_again(batch.topic)
        for owed in batch.owed:
            if error is not None:
                owed.frame = frames.error_frame(
                    ProtocolError(_FAILED[owed.verb], f"{owed.verb} failed {error.message}")
                )
                owed.error, owed.is_fatal = error, True
            owed.done = True
            owed.connection.answered()
        if self._withheld and self.backlog_bytes < limits.NSQ_BACKLOG_BYTES_MAX // 2:
            withheld, self._withheld = self._withheld, []
            for resume in withheld:
                resume()


def _halves(groups: list[MessageGroup]) -> tuple[list[MessageGroup], list[MessageGroup]] | None:
    """Two requests instead of one; None: it has one message alone."""
    if len(groups) > 1:
        middle = len(groups) // 2
        return groups[:middle], groups[middle:]
    (group,) = groups
    middle = len(group.messages) // 2
    if not middle:
        return None
    return [replace(group, messages=group.messages[:middle])], [replace(group, messages=group.messages[middle:])]
