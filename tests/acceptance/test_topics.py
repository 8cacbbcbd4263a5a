"""Topics, with real processes that are killed: each accepted message is once in each channel."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

from penstock.model.actions import ActionRequest, ActionState, Verb
from penstock.model.ids import new_id
from penstock.model.job import Filter, LeaseRequest, Outcomes, Succeeded, checksum
from penstock.model.message_ids import message_id, new_message_ids
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.store.wire.client.blocking import Client
from tests.acceptance.owners import begun, connected, told

CHANNELS = ("archive", "mail", "tail")
PRODUCERS = 3
CALLS = 60
HOLDER = b"holder-0-16bytes"

PRODUCE = """
from penstock.model.job import checksum
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.model.message_ids import new_message_ids
accepted = []
for number in range(int(sys.argv[2])):
    body = b"r" + bytes(3_000 if number % 4 == 0 else 30)
    messages = [MessageEntry(one, body, checksum(body)) for one in new_message_ids(3)]
    published = client.publish("orders", [MessageGroup(messages)])
    assert (published.accepted, published.channels, published.exceptions) == (3, 3, []), published
    accepted += [int.from_bytes(one.id, "big") for one in messages]
print(*accepted)
client.close()
"""


def drain(client: Client, channel: str) -> list[bytes]:
    """Take and settle all messages of a channel. Answers the ids of the messages."""
    found: list[bytes] = []
    while True:
        batch = client.lease(LeaseRequest(HOLDER, 50, tasks=[], channels=[f"orders:{channel}"]))
        if not batch.jobs:
            return found
        found += [message_id(job.id) for job in batch.jobs]
        fences = list(range(batch.first_fence, batch.first_fence + len(batch.jobs)))
        assert client.settle(Outcomes(HOLDER, forgotten=fences)).exceptions == []


def test_owners_are_killed_while_messages_are_published_and_taken(directory: Path) -> None:
    with connected(directory) as client:
        for channel in CHANNELS:
            client.create_channel("orders", channel)
        processes = begun(PRODUCERS, PRODUCE, directory, CALLS)
        taken: list[bytes] = []
        for kill in range(1, 4):
            while client.totals().counts.accepted_total < PRODUCERS * CALLS * 9 * kill // 5:
                client.capabilities()
            taken += drain(client, "tail")
            os.kill(client.owner_statistics().pid, signal.SIGKILL)
        accepted = [number.to_bytes(16, "big") for process in processes for number in told(process)]
        assert len(accepted) == len(set(accepted)) == PRODUCERS * CALLS * 3
        taken += drain(client, "tail")
        os.kill(client.owner_statistics().pid, signal.SIGKILL)
        for found in (taken, drain(client, "archive"), drain(client, "mail")):
            assert Counter(found) == Counter(accepted), "each message once in each channel"
        counts = client.totals().counts
        assert (counts.accepted_total, counts.succeeded_total, counts.unaccounted()) == (
            3 * len(accepted),
            3 * len(accepted),
            0,
        )


def test_a_killed_owner_forgets_neither_what_a_topic_keeps_nor_what_was_deleted(directory: Path) -> None:
    with connected(directory) as client:
        some = [MessageEntry(one, b"r", checksum(b"r")) for one in new_message_ids(700)]
        client.publish("orders", [MessageGroup(some)])
        os.kill(client.owner_statistics().pid, signal.SIGKILL)
        client.create_channel("orders", "archive")
        os.kill(client.owner_statistics().pid, signal.SIGKILL)
        assert client.topics().topics[0].channels[0].counts.ready == 700
        client.delete_channel("orders", "archive")
        os.kill(client.owner_statistics().pid, signal.SIGKILL)
        client.create_channel("orders", "archive")
        assert drain(client, "archive") == []
        while client.totals().counts.ready:
            client.tick()
        counts = client.totals().counts
        assert (counts.discarded_total, counts.unaccounted()) == (700, 0)


def test_owners_are_killed_while_a_channel_is_replayed(directory: Path) -> None:
    with connected(directory) as client:
        client.create_channel("orders", "archive")
        some = [MessageEntry(one, b"r", checksum(b"r")) for one in new_message_ids(6_000)]
        client.publish("orders", [MessageGroup(some)])
        while True:
            batch = client.lease(LeaseRequest(HOLDER, 500, channels=["orders:archive"]))
            if not batch.jobs:
                break
            fences = range(batch.first_fence, batch.first_fence + len(batch.jobs))
            client.settle(Outcomes(HOLDER, succeeded=[Succeeded(fence, 0.0, 0.0) for fence in fences]))
        action = client.start_action(ActionRequest(new_id(), Verb.REPLAY, Filter(queue="orders:archive")))
        for kill in (1, 2):
            while client.actions([action.id])[0].changed < kill * 1_500:
                client.capabilities()
            os.kill(client.owner_statistics().pid, signal.SIGKILL)
        while (done := client.actions([action.id])[0]).is_under_way:
            client.capabilities()
        assert (done.state, done.changed) == (ActionState.DONE, len(some))
        assert drain(client, "archive") == [one.id for one in some], "each once more, the oldest first"
        counts = client.totals().counts
        assert (counts.revived_total, counts.succeeded_total, counts.unaccounted()) == (len(some), 2 * len(some), 0)
