"""Messages that were delivered too often: published to the dead-letter topic, if there is one, then buried.

The publishing comes first, under the message's id as idempotency key: when the door dies in between, the message is
leased and published once more, which the store knows for a duplicate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from zlib import crc32

from penstock.model.errors import PenstockError
from penstock.model.job import JobError, LeasedJob
from penstock.model.message_ids import message_number, new_message_ids
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.nsq.door.channels import Channel
from penstock.nsq.door.settling import Settling
from penstock.ports import AsyncStore
from penstock.process.repeated_faults import Faults

_UNDER_WAY_MAX: Final = 64
_AGAIN_S: Final = 1.0


class DeadLetters:
    """Ends messages of which the last attempt has failed.

    Args:
        topic: where they are published again; empty: nowhere.
    """

    def __init__(self, store: AsyncStore, settling: Settling, faults: Faults, topic: str) -> None:
        self._store = store
        self._settling = settling
        self._faults = faults
        self._topic = topic
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_UNDER_WAY_MAX)

    def bury(self, channel: Channel, fence: int, job: LeasedJob, done: Callable[[], None]) -> None:
        """It is dead. ``done`` is called when nothing more has to be kept of it here."""
        error = JobError("MaxAttempts", f"It was delivered {job.attempt} times, and never finished.")
        if not self._topic or channel.topic == self._topic:
            self._settling.bury(fence, error)
            done()
            return
        task = asyncio.get_running_loop().create_task(self._publish(channel, fence, job, error))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: done())

    async def _publish(self, channel: Channel, fence: int, job: LeasedJob, error: JobError) -> None:
        async with self._room:
            key = f"dead:{channel.queue}:{message_number(job.id):016x}"
            message = MessageEntry(new_message_ids(1)[0], job.body, crc32(job.body), idempotency_key=key)
            try:
                await self._store.publish(self._topic, [MessageGroup([message])])
            except PenstockError as failure:
                # It stays a message of its channel. That was an attempt: when it is leased next, it is not delivered.
                self._faults.note("dead letters", failure, asyncio.get_running_loop().time())
                self._settling.later(fence, _AGAIN_S, error)
            else:
                self._settling.bury(fence, error)

    async def drained(self) -> None:
        """Return when all of them have been published."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
