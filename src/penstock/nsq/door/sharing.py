"""Sharing leases: consumers of a channel that take few messages at a time ask for them together.

A lease request costs the owner about as much for one message as for many, and clients of NSQ ask for one at a time
unless they are told otherwise. So those of a channel that have room for a few wait in one line. Requests are made for
all in the line together, each in the name of one of them, and what comes is handed out from the front of the line: a
request is for nobody in particular, so whoever comes while it waits at the owner, gets messages too. All leases of a
door are settled in the door's name (`penstock.nsq.door.settling`): it does not matter whose name they were made in.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from penstock.model import limits
from penstock.model.errors import PenstockError
from penstock.model.job import LeaseBatch, LeasedJob, LeaseRequest
from penstock.nsq.door.channels import Channel
from penstock.nsq.door.settling import Settling
from penstock.ports import AsyncStore

_AGAIN_S: Final = 0.5


class Member(Protocol):
    """A consumer that asks with others: `penstock.nsq.door.delivering.Consumer`.

    Attributes:
        line: where it waits; None: it does not.
        shared_request: the last request that was made in its name, while it is under way.
    """

    channel: Channel
    distance: int
    holder: bytes
    asked_at: float
    line: Line | None
    shared_request: SharedRequest | None

    @property
    def spare_room(self) -> int:
        """How many messages that were leased for another it takes now."""
        ...

    @property
    def lease_s(self) -> float:
        """How long it has a message."""
        ...

    def deliver_each(self, fenced: Sequence[tuple[int, LeasedJob]]) -> None:
        """Send it these, as far as they are for its client."""
        ...


class SharedRequest:
    """A lease request for all in a line.

    Attributes:
        member: in whose name it is.
        limit: how many messages it asks for.
    """

    __slots__ = ("limit", "line", "member", "task")

    def __init__(self, line: Line, member: Member, limit: int) -> None:
        self.line = line
        self.member = member
        self.limit = limit
        self.task: asyncio.Task[None] | None = None


class Line:
    """The consumers of a channel that wait for messages together. All are equally far, and have a message for equally
    long.

    Attributes:
        waiting: those with room, and for how many messages each; who has waited for longest first.
        wanted: how many that is together.
        requests: under way.
    """

    __slots__ = ("channel", "key", "lease_s", "requests", "waiting", "wanted")

    def __init__(self, key: tuple[Channel, int, float]) -> None:
        self.key = key
        self.channel, _, self.lease_s = key
        self.waiting: OrderedDict[Member, int] = OrderedDict()
        self.wanted = 0
        self.requests: dict[SharedRequest, None] = {}

    def add(self, member: Member, room: int) -> None:
        """It waits for so many messages: at the end of the line, if it has not waited before."""
        self.wanted += room - self.waiting.get(member, 0)
        self.waiting[member] = room
        member.line = self

    def drop(self, member: Member) -> None:
        """It waits no more."""
        self.wanted -= self.waiting.pop(member)
        member.line = None

    @property
    def asked(self) -> int:
        """How many messages have been asked for."""
        return sum(request.limit for request in self.requests)

    def deal(self, fenced: deque[tuple[int, LeasedJob]]) -> None:
        """Hand out messages, as many to each as to the others if they have room. What nobody has room for is left."""
        while fenced and self.waiting:
            share = -(-len(fenced) // len(self.waiting))
            member = next(iter(self.waiting))
            self.drop(member)
            share = min(share, member.spare_room)
            if share:
                member.deliver_each([fenced.popleft() for _ in range(share)])
                if room := member.spare_room:
                    self.add(member, room)


class Sharing:
    """The lines of a door.

    Args:
        due: has `flush` called at the end of this turn of the loop.
        failed: told of a lease that the store refused, or could not be asked for.
        monotonic: seconds.
    """

    def __init__(
        self,
        store: AsyncStore,
        settling: Settling,
        *,
        due: Callable[[], None],
        failed: Callable[[PenstockError], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._settling = settling
        self._schedule = due
        self._failed = failed
        self._monotonic = monotonic
        self._lines: dict[tuple[Channel, int, float], Line] = {}
        self._due: dict[Line, None] = {}

    def join(self, member: Member, room: int) -> None:
        """A consumer asks for so many messages, or now for so many. It joins the end of its channel's line."""
        line = member.line
        if line is None:
            key = (member.channel, member.distance, member.lease_s)
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = Line(key)
        line.add(member, room)
        self._look_after(line)

    def leave(self, member: Member) -> None:
        """A consumer asks for nothing any more. What was asked for and is too much now is withdrawn."""
        line = member.line
        if line is None:
            return
        line.drop(member)
        while line.asked > line.wanted:
            self._withdraw(next(reversed(line.requests)))

    def end(self, member: Member) -> None:
        """A consumer has gone: nothing is asked for in its name any more. The others ask anew."""
        self.leave(member)
        if member.shared_request is not None:
            self._withdraw(member.shared_request)

    def _withdraw(self, request: SharedRequest) -> None:
        if request.task is not None:
            request.task.cancel()  # The store's client gives back what comes all the same.
        self._ended(request)

    def _ended(self, request: SharedRequest) -> None:
        request.line.requests.pop(request, None)
        if request.member.shared_request is request:
            request.member.shared_request = None
        self._look_after(request.line)

    def _look_after(self, line: Line) -> None:
        if not self._due:
            self._schedule()
        self._due[line] = None

    # --- asking -------------------------------------------------------------------------------------------------------
    def flush(self) -> None:
        """Ask for what is wanted and has not been asked for, as far as requests may be under way."""
        due, self._due = self._due, {}
        for line in due:
            self._ask(line)
            if not line.waiting and not line.requests and self._lines.get(line.key) is line:
                del self._lines[line.key]

    def _ask(self, line: Line) -> None:
        limit = min(line.wanted - line.asked, limits.LEASE_JOBS_MAX)
        if limit <= 0 or len(line.requests) >= limits.NSQ_SHARED_REQUESTS_MAX:
            return
        member = next((one for one in line.waiting if one.shared_request is None), None)
        if member is None:
            return
        request = member.shared_request = SharedRequest(line, member, limit)
        line.requests[request] = None
        request.task = asyncio.get_running_loop().create_task(self._lease(request))

    async def _lease(self, request: SharedRequest) -> None:
        line, member = request.line, request.member
        channel = line.channel
        asking = LeaseRequest(member.holder, request.limit, lease_s=line.lease_s, tasks=[], channels=[channel.queue])
        member.asked_at = self._monotonic()
        try:
            batch = await self._store.lease(asking, wait_s=channel.wait_s)
        except PenstockError as error:
            self._failed(error)
            await asyncio.sleep(_AGAIN_S)
        else:
            self._hand_out(line, batch)
        finally:
            self._ended(request)

    def _hand_out(self, line: Line, batch: LeaseBatch) -> None:
        fenced = deque(enumerate(batch.jobs, batch.first_fence))
        try:
            line.deal(fenced)
        finally:
            self._settling.give_back([fence for fence, _ in fenced])
