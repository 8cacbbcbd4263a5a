"""A store goes into a data directory: what waits, what is deferred, and what is in flight."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption, StoreUnavailable
from penstock.model.job import JobError, LeaseRequest, Outcomes, Retried, checksum
from penstock.model.message_ids import message_number, new_message_ids
from penstock.model.outcomes import Buried
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.nsq.data_directory.catalogue import Catalogue, Channel, Topic, parsed
from penstock.nsq.data_directory.directory import looked_into
from penstock.nsq.data_directory.exporting import export_directory
from penstock.nsq.data_directory.importing import import_directory
from penstock.nsq.data_directory.queue_reading import planned, read
from penstock.nsq.data_directory.records import Record
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from tests.unit.nsq.data_directory.made_files import some_records, written

HOLDER = b"h" * 16
RECORDS = some_records(30)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(VirtualClock())


def publish(store: MemoryStore, *bodies: bytes, topic: str = "orders", delay_s: float | None = None) -> list[bytes]:
    """Publish messages; their ids."""
    ids = new_message_ids(len(bodies))
    entries = [MessageEntry(one, b"r" + body, checksum(b"r" + body)) for one, body in zip(ids, bodies, strict=True)]
    store.publish(topic, [MessageGroup(entries, delay_s=delay_s)])
    return ids


def records(directory: Path, queue: str) -> list[Record]:
    """What nsqd would deliver of a queue."""
    plan = planned(looked_into(directory).queues[queue])
    assert plan.notes == []
    return [place.record for part in plan.parts for place in read(part, 1 << 24, pytest.fail)]


def test_messages_are_written_in_order_with_their_times(store: MemoryStore, tmp_path: Path) -> None:
    store.create_channel("orders", "mail")
    ids = publish(store, b"one", b"two \x00\xff", b"")
    done = export_directory(store, tmp_path / "out")
    assert [(queue.queue, queue.exported) for queue in done.queues] == [("orders:mail", 3)]
    assert records(tmp_path / "out", "orders:mail") == [
        Record(int.from_bytes(one[:6], "big") * 1_000_000, 0, b"%016x" % message_number(one), body)
        for one, body in zip(ids, (b"one", b"two \x00\xff", b""), strict=True)
    ]


def test_what_is_deferred_and_what_is_in_flight_goes_along_and_what_is_dead_does_not(
    store: MemoryStore, tmp_path: Path
) -> None:
    store.create_channel("orders", "mail")
    publish(store, b"dead", b"in flight", b"requeued", b"waits")
    batch = store.lease(LeaseRequest(HOLDER, 3, channels=["orders:mail"]))
    dead, _, requeued = (batch.first_fence + number for number in range(3))
    error = JobError("Error", "")
    store.settle(Outcomes(HOLDER, buried=[Buried(dead, error)], retried=[Retried(requeued, 60.0, error)]))
    publish(store, b"deferred", delay_s=60.0)
    (told,) = export_directory(store, tmp_path / "out").queues
    assert (told.exported, told.deferred, told.in_flight, told.dead) == (4, 2, 1, 1)
    assert [(one.body, one.attempts) for one in records(tmp_path / "out", "orders:mail")] == [
        (b"in flight", 1),
        (b"requeued", 1),
        (b"waits", 0),
        (b"deferred", 0),
    ]


def test_topics_channels_and_what_is_paused_are_listed(store: MemoryStore, tmp_path: Path) -> None:
    store.create_channel("orders", "mail")
    store.create_channel("orders", "bill")
    store.create_channel("orders", "now#ephemeral")
    store.create_topic("empty")
    store.create_channel("now#ephemeral", "mail")
    store.pause(queue="orders:bill")
    done = export_directory(store, tmp_path / "out")
    assert parsed((tmp_path / "out" / "nsqd.dat").read_bytes()) == Catalogue(
        [Topic("empty", False, []), Topic("orders", False, [Channel("bill", True), Channel("mail")])]
    )
    assert (done.topics, done.channels, len(done.notes)) == (2, 2, 2)


def test_a_directory_that_is_imported_and_exported_again_is_the_same(store: MemoryStore, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    written(there, "orders:mail", [RECORDS[:10], RECORDS[10:20]])
    written(there, "kept", [RECORDS[20:]])
    import_directory(store, there)
    export_directory(store, tmp_path / "back", file_bytes_max=500)
    assert records(tmp_path / "back", "orders:mail") == RECORDS[:20]
    assert records(tmp_path / "back", "kept") == RECORDS[20:]
    assert len(list((tmp_path / "back").glob("orders:mail.*"))) > 3


def test_attempts_are_those_there_and_those_here(store: MemoryStore, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    written(there, "orders:mail", [[RECORDS[2], RECORDS[5]._replace(attempts=65_535)]])
    import_directory(store, there)
    store.lease(LeaseRequest(HOLDER, 2, channels=["orders:mail"]))
    export_directory(store, tmp_path / "back")
    assert [one.attempts for one in records(tmp_path / "back", "orders:mail")] == [3, 65_535]


def test_a_message_that_nsqd_would_not_read_stops_the_export(store: MemoryStore, tmp_path: Path) -> None:
    store.create_channel("orders", "mail")
    publish(store, b"short", b"x" * 101)
    with pytest.raises(InvalidOption, match="max-msg-size"):
        export_directory(store, tmp_path / "out", message_bytes_max=100)
    assert list(tmp_path.iterdir()) == []
    export_directory(store, tmp_path / "out", message_bytes_max=101)


def test_a_directory_that_has_something_is_left_alone(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "nsqd.dat").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("out", "file", "link"):
        with pytest.raises(InvalidOption):
            export_directory(store, tmp_path / name)
    (tmp_path / "empty").mkdir()
    export_directory(store, tmp_path / "empty")
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["nsqd.dat"]


def test_an_export_that_fails_leaves_nothing(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_channel("orders", "mail")
    publish(store, b"one")
    monkeypatch.setattr(store, "get", Mock(side_effect=StoreUnavailable))
    with pytest.raises(StoreUnavailable):
        export_directory(store, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_long_bodies_are_asked_for_in_parts(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_channel("orders", "mail")
    bodies = [b"%d" % number * 100 for number in range(9)]
    publish(store, *bodies)
    monkeypatch.setattr(limits, "ANSWER_BYTES_MAX", 350)
    monkeypatch.setattr(limits, "NSQ_EXPORT_MESSAGES", 4)
    export_directory(store, tmp_path / "out")
    assert [one.body for one in records(tmp_path / "out", "orders:mail")] == bodies
