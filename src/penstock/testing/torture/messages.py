"""Messages as a part of the load: one producer publishes them, another takes them.

For the audit each copy of a message is a job of its own: its token is that of the message with the channel's name, and
its task is one for each channel. So the audit finds a message that is lost in a channel, or twice in it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from penstock.model.deliveries import DOOR_BYTES, delivering_holder
from penstock.model.errors import PenstockError
from penstock.model.job import LeasedJob, LeaseRequest, Outcomes, checksum
from penstock.model.message_ids import copy_id, message_id, new_message_ids
from penstock.model.topics import MESSAGE_TASK, RAW, MessageEntry, MessageGroup, channel_queue
from penstock.store.wire.client.blocking import Client
from penstock.testing.torture.load import Load
from penstock.testing.torture.records import Acked, Attempted, Execution, RecordFile
from penstock.testing.torture.stopping import Stopping

TOPIC: Final = "torture"
CHANNELS: Final = ("archive", "mail")
"""In the order of their slots."""
LEASE_S: Final = 2.0
_PAUSE_S: Final = 0.03
_AGAIN_S: Final = 0.1
_REPEATS_MAX: Final = 600
_AT_ONCE: Final = 12
_KEYED_SHARE: Final = 0.5
_LARGE_SHARE: Final = 0.2
_LARGE_BYTES: Final = 3_000
_TAKEN_AT_ONCE: Final = 20
_WAIT_S: Final = 0.5


def task_of(channel: str) -> str:
    """What the audit calls the task of messages of a channel."""
    return f"{MESSAGE_TASK}.{channel}"


QUEUES: Final = {task_of(channel): channel_queue(TOPIC, channel) for channel in CHANNELS}
"""The queue of each of these tasks. Their jobs leave nothing when they succeed."""


def token_in(body: bytes, channel: str) -> str:
    """The token of a copy, by its body and its channel."""
    return f"{msgspec.json.decode(body[len(RAW) :])['token']}/{channel}"


# --- publishing ------------------------------------------------------------------------------------------------------
def publish_messages(directory: Path, load: Load, stopping: Stopping) -> None:
    """Publish until told to stop. Messages with a key are published again until they are answered."""
    client = Client.connect(directory, start_owner=False)
    for channel in CHANNELS:
        client.create_channel(TOPIC, channel)
    count = 0
    with contextlib.closing(client):
        while not stopping.is_set():
            is_keyed = load.random.random() < _KEYED_SHARE
            number = load.random.randint(1, _AT_ONCE)
            tokens = [f"{load.name}-message-{count + place}" for place in range(number)]
            count += number
            messages = [_message(load, token, is_keyed=is_keyed) for token in tokens]
            load.write(*[Attempted(f"{token}/{name}", task_of(name)) for token in tokens for name in CHANNELS])
            if _publish(client, messages, repeats=_REPEATS_MAX if is_keyed else 1):
                load.write(*_acks(tokens, messages))
            stopping.wait(_PAUSE_S * 2 * load.random.random())


def _message(load: Load, token: str, *, is_keyed: bool) -> MessageEntry:
    more = "x" * _LARGE_BYTES if load.random.random() < _LARGE_SHARE else ""
    body = RAW + msgspec.json.encode({"token": token, "more": more})
    (job_id,) = new_message_ids(1)
    return MessageEntry(job_id, body, checksum(body), token if is_keyed else None)


def _acks(tokens: Sequence[str], messages: Sequence[MessageEntry]) -> list[Acked]:
    return [
        Acked(f"{token}/{name}", copy_id(message.id, slot).hex())
        for token, message in zip(tokens, messages, strict=True)
        for slot, name in enumerate(CHANNELS)
    ]


def _publish(client: Client, messages: list[MessageEntry], *, repeats: int) -> bool:
    """Whether the messages are durable, as far as anybody was told."""
    for _ in range(repeats):
        try:
            client.publish(TOPIC, [MessageGroup(messages)])
        except PenstockError as error:
            sys.stderr.write(f"publishing: {type(error).__name__}: {error}\n")
            threading.Event().wait(_AGAIN_S)
        else:
            return True
    return False


# --- consuming -------------------------------------------------------------------------------------------------------
def consume_messages(directory: Path, log: Path, name: str, stopping: Stopping) -> None:
    """Take messages of all channels until told to stop, and write down each that was begun. It takes them as a door
    does: what it does not settle is an attempt."""
    holder = delivering_holder(os.urandom(DOOR_BYTES), 1)
    records = RecordFile(log / "executions" / name)
    client = Client.connect(directory, start_owner=False)
    request = LeaseRequest(holder, _TAKEN_AT_ONCE, None, LEASE_S, [], list(QUEUES.values()))
    with contextlib.closing(client):
        while not stopping.is_set():
            try:
                batch = client.lease(request, wait_s=_WAIT_S)
                fences = [batch.first_fence + place for place in range(len(batch.jobs))]
                records.write(*[_begun(job, fence) for job, fence in zip(batch.jobs, fences, strict=True)])
                client.settle(Outcomes(holder, forgotten=fences))
            except PenstockError as error:
                sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
                threading.Event().wait(_AGAIN_S)


def _begun(job: LeasedJob, fence: int) -> Execution:
    channel = job.queue.partition(":")[2]
    slot = CHANNELS.index(channel)
    assert job.id == copy_id(message_id(job.id), slot), "a copy is in the channel of its slot"
    token = token_in(job.body, channel)
    return Execution(job.id.hex(), token, task_of(channel), job.attempt, fence, f"{fence:x}", os.getpid())


def row_of(body: Any, queue: str) -> tuple[str, str]:
    """The task and the token of a message that is still in the file."""
    channel = queue.split(":")[1]
    return task_of(channel), token_in(bytes(body), channel)
