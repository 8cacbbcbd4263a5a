"""Delivering: the messages that one connection leases, sends and answers for.

A consumer whose RDY is more than what it has in flight has one lease request under way, which waits at the owner until
there is something. What comes is written in one piece. Room that FINs make is asked for once a turn of the loop.
Consumers with a small RDY ask together with the others of their channel (`penstock.nsq.door.sharing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from penstock.model import limits
from penstock.model.errors import PenstockError
from penstock.model.job import JobError, LeaseBatch, LeasedJob, LeaseRequest
from penstock.nsq.door.channels import Channel
from penstock.nsq.door.dead_letters import DeadLetters
from penstock.nsq.door.in_flight import InFlight
from penstock.nsq.door.sampling import Sampling
from penstock.nsq.door.settling import Settler, Settling
from penstock.nsq.door.sharing import Line, SharedRequest, Sharing
from penstock.nsq.door.wire_messages import message_frames
from penstock.nsq.options import DoorOptions
from penstock.nsq.protocol import errors
from penstock.nsq.protocol.errors import ProtocolError
from penstock.nsq.protocol.frames import MESSAGE_FRAME_BYTES
from penstock.ports import AsyncStore
from penstock.process.repeated_faults import Faults

TIMED_OUT: Final = JobError("TimedOut", "The consumer did not answer within the message time-out.")
REQUEUED: Final = JobError("Requeued", "The consumer asked for it to be delivered again.")
CUT_OFF: Final = JobError("Disconnected", "The consumer's connection ended before it had answered.")
_AGAIN_S: Final = 0.5


class Host(Protocol):
    """What a consumer needs of the door."""

    store: AsyncStore
    options: DoorOptions
    settling: Settling
    dead_letters: DeadLetters
    sampling: Sampling
    sharing: Sharing
    faults: Faults
    time: Callable[[], float]
    monotonic: Callable[[], float]

    def has_in_flight(self, consumer: Consumer) -> None:
        """A consumer has messages, whose time may be up."""
        ...


class Receiver(Settler, Protocol):
    """What a consumer needs of its client's connection."""

    @property
    def is_open(self) -> bool:
        """Whether it may be written to."""
        ...

    @property
    def takes_messages(self) -> bool:
        """Whether messages may be leased for it."""
        ...

    @property
    def ready_count(self) -> int:
        """How many messages the client takes at the same time."""
        ...

    def send(self, data: bytes) -> None:
        """Send this at the end of the turn."""
        ...

    def fail(self, error: ProtocolError) -> None:
        """Answer with an error."""
        ...

    def due(self) -> None:
        """Something is to be done at the end of this turn of the loop."""
        ...

    def end(self) -> None:
        """Close the connection."""
        ...


class Consumer:
    """What a connection that has subscribed takes, and holds.

    Attributes:
        channel: whose messages.
        holder: its identity at the store.
        in_flight: what its client has and has not answered.
        sample_rate: of a hundred messages, how many it takes; 0: all.
        distance: how far it is from this node; those that are nearer get messages first.
        asked_at: when the store heard of it last, in monotonic seconds; 0: never.
        line: in which it waits for messages together with others. shared_request: that one, in its name.
        message_count, finish_count, requeue_count, timeout_count: messages so far.
    """

    __slots__ = (
        "_connection",
        "_door",
        "_dying",
        "_is_late",
        "_last_attempts",
        "_leasing",
        "_leasing_limit",
        "_mean_bytes",
        "asked_at",
        "channel",
        "distance",
        "finish_count",
        "holder",
        "in_flight",
        "line",
        "message_count",
        "requeue_count",
        "sample_rate",
        "shared_request",
        "timeout_count",
    )

    def __init__(
        self,
        door: Host,
        connection: Receiver,
        channel: Channel,
        holder: bytes,
        *,
        timeout_s: float,
        sample_rate: int,
        distance: int = 0,
    ) -> None:
        self._door = door
        self._connection = connection
        self.channel = channel
        self.holder = holder
        self.in_flight = InFlight(timeout_s, door.options.max_msg_timeout_s)
        self.sample_rate = sample_rate
        self.distance = distance
        self.asked_at = 0.0
        self.message_count = self.finish_count = self.requeue_count = self.timeout_count = 0
        self.line: Line | None = None
        self.shared_request: SharedRequest | None = None
        self._leasing: asyncio.Task[None] | None = None
        self._leasing_limit = 0
        self._is_late = False
        self._dying = 0
        self._mean_bytes = MESSAGE_FRAME_BYTES
        self._last_attempts: dict[bytes, LeasedJob] = {}

    # --- asking -------------------------------------------------------------------------------------------------------
    @property
    def room(self) -> int:
        """How many more messages the client takes now. Those that are being buried count, so that they are bounded."""
        return self._connection.ready_count - len(self.in_flight) - self._dying

    @property
    def spare_room(self) -> int:
        """How many messages that were leased for another it takes now."""
        return max(0, self.room) if self._connection.takes_messages else 0

    @property
    def is_asking(self) -> bool:
        """Whether a lease is under way in its name."""
        return self._leasing is not None or self.shared_request is not None

    @property
    def lease_s(self) -> float:
        """How long the store lets the door have a message. The door itself knows earlier that it is too late."""
        return min(self.in_flight.timeout_s + limits.NSQ_LEASE_SLACK_S, limits.LEASE_S_MAX)

    def refill(self) -> None:
        """Ask for messages, if there is room and nothing has been asked for."""
        room = self.room
        if room <= 0 or self._leasing is not None or self._is_late or not self._connection.takes_messages:
            return
        room = min(room, max(1, limits.NSQ_SEND_BYTES_MAX // self._mean_bytes))
        if self._shares:
            self._door.sharing.join(self, room)
            return
        self._door.sharing.leave(self)
        self._leasing_limit = min(room, self._lot)
        self._leasing = asyncio.get_running_loop().create_task(self._lease(self._leasing_limit))

    @property
    def _shares(self) -> bool:
        """Whether it asks together with others. What a sample leaves out is refused in the name of its consumer."""
        is_small = self._connection.ready_count <= limits.NSQ_SHARED_READY_MAX
        return is_small and not self.sample_rate and len(self.channel.consumers) > 1

    @property
    def _lot(self) -> int:
        """How many to ask for at once: with a part of what the client takes, the store makes the next messages while
        the client works on these."""
        part = self._connection.ready_count // limits.NSQ_LOTS
        return min(max(part, limits.NSQ_LOT_MIN), limits.LEASE_JOBS_MAX)

    def ready_changed(self) -> None:
        """The client has said how many it takes. What was asked for and is too much now is not asked for any more."""
        asked = self._leasing_limit if self._leasing is not None else 0
        if self.line is not None:
            asked = self.line.waiting[self]
        if asked > self.spare_room:
            self._stop_asking()
        self._connection.due()

    def _stop_asking(self) -> None:
        leasing, self._leasing = self._leasing, None
        if leasing is not None:
            leasing.cancel()  # The store's client gives back what comes all the same.
        self._door.sharing.leave(self)

    async def _lease(self, limit: int) -> None:
        request = LeaseRequest(self.holder, limit, lease_s=self.lease_s, tasks=[], channels=[self.channel.queue])
        self.asked_at = self._door.monotonic()
        try:
            batch = await self._door.store.lease(request, wait_s=self.channel.wait_s)
        except PenstockError as error:
            self._door.faults.note("delivering", error, self._door.monotonic())
            await asyncio.sleep(_AGAIN_S)
        else:
            if batch.jobs:
                self._deliver(batch)
        finally:
            # Not kept in a variable: a task that is cancelled would keep itself, and all of a client that has gone.
            if self._leasing is asyncio.current_task():
                self._leasing = None
        self._connection.due()

    # --- sending ------------------------------------------------------------------------------------------------------
    def _deliver(self, batch: LeaseBatch) -> None:
        jobs, first = batch.jobs, batch.first_fence
        room = max(0, self.room) if self._connection.is_open else 0
        if room < len(jobs):
            self._door.settling.give_back(range(first + room, first + len(jobs)))
            jobs = jobs[:room]
        if not jobs:
            return
        if self.sample_rate or self._door.options.max_attempts or self.distance:
            self.deliver_each(list(enumerate(jobs, first)))
            return
        ids, frames = message_frames(jobs)
        self.in_flight.sent(ids, first, self._door.monotonic())
        self._write(frames, len(ids))

    def _write(self, frames: bytes, count: int) -> None:
        self.message_count += count
        self._mean_bytes = len(frames) // count
        self._connection.send(frames)
        self._door.has_in_flight(self)

    def deliver_each(self, fenced: Sequence[tuple[int, LeasedJob]]) -> None:
        """Send messages for which there is room, as far as they are for this client: each has to be looked at."""
        attempts_max = self._door.options.max_attempts
        if attempts_max:
            dead = [(fence, job) for fence, job in fenced if job.attempt > attempts_max]
            for fence, job in dead:
                self._bury(fence, job)
            if dead:
                fenced = [(fence, job) for fence, job in fenced if job.attempt <= attempts_max]
        if self.distance:
            fenced = self.channel.nearer_first(self, list(fenced))
        if self.sample_rate:
            fenced, others = self._door.sampling.split(fenced, self.sample_rate)
            if others:
                self.channel.left_out(self, others)
        self.send_single(fenced)

    def take_over(self, fenced: Sequence[tuple[int, LeasedJob]], lease_s: float) -> None:
        """Send messages that were leased for another consumer, for so long. This one's client may have longer."""
        if lease_s < self.lease_s:
            for fence, _ in fenced:
                self._door.settling.touch(self._connection, fence, self.lease_s)
        self.send_single(fenced)

    def send_single(self, fenced: Sequence[tuple[int, LeasedJob]]) -> None:
        """Send messages whose fences are in no order."""
        if not fenced:
            return
        ids, frames = message_frames([job for _, job in fenced])
        now = self._door.monotonic()
        attempts_max = self._door.options.max_attempts
        for message, (fence, job) in zip(ids, fenced, strict=True):
            self.in_flight.sent_for_another(message, fence, now)
            if attempts_max and job.attempt >= attempts_max:
                self._last_attempts[message] = job
        self._write(frames, len(ids))

    # --- answers ------------------------------------------------------------------------------------------------------
    def finish(self, messages: list[bytes]) -> None:
        """FIN of these."""
        found = self.in_flight.take_many(messages)
        if None in found:
            for message, fence in zip(messages, found, strict=True):
                if fence is None:
                    self._fail(errors.E_FIN_FAILED, "FIN", message)
            messages = [message for message, fence in zip(messages, found, strict=True) if fence is not None]
        fences = [fence for fence in found if fence is not None]
        if not fences:
            return
        self.finish_count += len(fences)
        if self.channel.latency is not None:
            self.channel.finished(messages, self._door.time(), self._door.monotonic())
        self._door.settling.finish(self._connection, messages, fences)
        for message in messages if self._last_attempts else ():
            self._last_attempts.pop(message, None)
        self._connection.due()

    def requeue(self, message: bytes, delay_ms: int) -> None:
        """REQ: the client wants it to be delivered again, not before so long."""
        fence = self.in_flight.take(message)
        if fence is None:
            self._fail(errors.E_REQ_FAILED, "REQ", message)
            return
        delay_s = min(max(0, delay_ms) / 1_000, self._door.options.max_req_timeout_s)
        self.requeue_count += 1
        self.channel.requeue_count += 1
        error = REQUEUED if self._door.options.count_requeues else None
        if not (error and self._ends(message, fence)):
            self._door.settling.again(self._connection, "REQ", message, fence, delay_s, error)
        self._connection.due()

    def touch(self, message: bytes) -> None:
        """TOUCH: the client needs longer."""
        fence = self.in_flight.touch(message, self._door.monotonic())
        if fence is None:
            self._fail(errors.E_TOUCH_FAILED, "TOUCH", message)
        else:
            self._door.settling.touch(self._connection, fence, self.lease_s)

    def time_out(self, now: float) -> None:
        """Take back what the client has had for too long. Others are offered it first: its client may have stopped."""
        late = self.in_flight.timed_out(now)
        if not late:
            return
        self._stop_asking()
        self._is_late = True
        asyncio.get_running_loop().call_later(limits.NSQ_LATE_S, self._be_offered_again)
        self.timeout_count += len(late)
        self.channel.timeout_count += len(late)
        for message, fence in late:
            if not self._ends(message, fence):
                self._door.settling.again(self._connection, "time-out", message, fence, 0.0, TIMED_OUT)
        self._connection.due()

    def _be_offered_again(self) -> None:
        self._is_late = False
        self._connection.due()

    def _ends(self, message: bytes, fence: int) -> bool:
        """Whether that was the last attempt of this message: it is dead then."""
        job = self._last_attempts.pop(message, None) if self._last_attempts else None
        if job is None:
            return False
        self._bury(fence, job)
        return True

    def _bury(self, fence: int, job: LeasedJob) -> None:
        self._dying += 1
        self._door.dead_letters.bury(self.channel, fence, job, self._buried)

    def _buried(self) -> None:
        self._dying -= 1
        self._connection.due()

    def _fail(self, code: str, verb: str, message: bytes) -> None:
        text = f"{verb} {message.decode('utf-8', 'surrogateescape')} failed ID not in flight"
        self._connection.fail(ProtocolError(code, text, verb))

    def extend_all(self) -> None:
        """The store has a new owner: what the client has is to be its for as long as it was told."""
        for fence in self.in_flight.fences():
            self._door.settling.touch(self._connection, fence, self.lease_s)

    def forget(self, fences: set[int]) -> None:
        """The channel was emptied of these: what the client says of them comes too late."""
        held = fences.intersection(self.in_flight.fences())
        self.in_flight.lost(held)
        self._last_attempts = {one: job for one, job in self._last_attempts.items() if one in self.in_flight}
        self._door.settling.discard(sorted(held))
        self._connection.due()

    def disconnect(self) -> None:
        """The channel is gone, and so is the connection."""
        self._connection.end()

    def close(self) -> None:
        """The client has gone: others get what it had."""
        self._stop_asking()
        self._door.sharing.end(self)
        fences = self.in_flight.take_all()
        self._door.settling.unanswered(fences, CUT_OFF)
