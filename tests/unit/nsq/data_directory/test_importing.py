"""A data directory goes into a store: all of it, each message once, however often it is begun."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption, StoreFull, StoreUnavailable
from penstock.model.job import Filter
from penstock.model.topics import PublishAnswer
from penstock.nsq.data_directory.catalogue import Catalogue, Channel, Topic, as_text, parsed
from penstock.nsq.data_directory.exporting import export_directory, record_of
from penstock.nsq.data_directory.importing import import_directory
from penstock.nsq.data_directory.queue_reading import BadFiles
from penstock.nsq.data_directory.records import Record
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from tests.unit.nsq.data_directory.made_files import contents, record, some_records, with_ends, written

RECORDS = some_records(30)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(VirtualClock())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A topic with two channels, with something in each and something in none of them; and one without channels."""
    topics = [Topic("orders", False, [Channel("mail"), Channel("bill", True)]), Topic("kept", False, None)]
    (tmp_path / "nsqd.dat").write_bytes(as_text(Catalogue(topics)))
    written(tmp_path, "orders:mail", [RECORDS[:5], RECORDS[5:10]])
    written(tmp_path, "orders:bill", [RECORDS[8:10]])
    written(tmp_path, "orders", [RECORDS[10:20]])
    written(tmp_path, "kept", [RECORDS[20:]])
    return tmp_path


def held(store: MemoryStore, queue: str) -> list[Record]:
    """The messages of a queue as nsqd would have them."""
    ids = [view.id for view in store.query(Filter(queue=queue), limit=1_000).jobs]
    return [record_of(view) for view in store.get(ids, body=True)[::-1] if view is not None]


EXPECTED = {
    "orders:mail": RECORDS[:20],
    "orders:bill": [*RECORDS[8:10], *RECORDS[10:20]],
    "kept:": RECORDS[20:],
}


def test_each_message_is_where_nsqd_would_have_delivered_it(store: MemoryStore, directory: Path) -> None:
    done = import_directory(store, directory)
    assert {queue: held(store, queue) for queue in EXPECTED} == EXPECTED
    assert (done.topics, done.channels, done.has_losses) == (2, 2, False)
    assert {queue.queue: queue.imported for queue in done.queues} == {
        "orders:mail": 10,
        "orders:bill": 2,
        "orders": 10,
        "kept": 10,
    }


def test_a_message_is_in_all_channels_the_same(store: MemoryStore, directory: Path) -> None:
    import_directory(store, directory)
    (mail,) = [view for view in store.query(Filter(queue="orders:mail")).jobs if record_of(view).id == RECORDS[8].id]
    assert mail.headers == {
        "nsq-timestamp": str(RECORDS[8].timestamp_ns),
        "nsq-id": RECORDS[8].id.decode(),
        "nsq-attempts": "2",
    }


def test_a_channel_that_was_paused_is_paused(store: MemoryStore, directory: Path) -> None:
    import_directory(store, directory)
    assert [(hold.queue, hold.by) for hold in store.holds()] == [("orders:bill", "nsqd-import")]


def test_a_topic_that_was_paused_is_paused_with_all_its_channels(store: MemoryStore, tmp_path: Path) -> None:
    topics = [Topic("orders", True, [Channel("mail"), Channel("bill", True)]), Topic("none", True)]
    (tmp_path / "nsqd.dat").write_bytes(as_text(Catalogue(topics)))
    import_directory(store, tmp_path)
    assert [hold.queue for hold in store.holds()] == ["none:", "orders:", "orders:bill"]
    assert [topic.paused for topic in store.topics().topics] == [True, True]
    export_directory(store, tmp_path / "back")
    back = parsed((tmp_path / "back" / "nsqd.dat").read_bytes())
    assert back == Catalogue([Topic("none", True, []), Topic("orders", True, [Channel("bill", True), Channel("mail")])])


def test_a_second_import_adds_nothing_also_from_a_copy(store: MemoryStore, directory: Path) -> None:
    import_directory(store, directory)
    copy = directory.rename(directory.with_name("elsewhere"))
    done = import_directory(store, copy)
    assert {queue: held(store, queue) for queue in EXPECTED} == EXPECTED
    assert sum(queue.imported for queue in done.queues) == 0
    assert sum(queue.known for queue in done.queues) == 32


def test_what_nsqd_has_written_since_is_added(store: MemoryStore, directory: Path) -> None:
    import_directory(store, directory)
    written(directory, "orders:mail", [RECORDS[:5], [*RECORDS[5:10], *RECORDS[20:22]], RECORDS[22:23]])
    import_directory(store, directory)
    assert held(store, "orders:mail") == [*RECORDS[:20], *RECORDS[20:23]]


def test_another_queue_of_the_same_name_is_another(store: MemoryStore, directory: Path) -> None:
    """Where nsqd began anew its files have the same names and numbers."""
    import_directory(store, directory)
    others = [record(number) for number in range(100, 103)]
    written(directory, "orders:bill", [others])
    import_directory(store, directory)
    assert held(store, "orders:bill") == [*EXPECTED["orders:bill"], *others]


class Mortal(MemoryStore):
    """A store whose client dies with a call of `publish`: before it is applied, or after."""

    calls_left = 0
    is_applied = False

    def publish(self, *args: Any, **options: Any) -> PublishAnswer:
        if self.calls_left == 0:
            if self.is_applied:
                super().publish(*args, **options)
            raise StoreUnavailable
        self.calls_left -= 1
        return super().publish(*args, **options)


@pytest.mark.parametrize("is_applied", [False, True])
@pytest.mark.parametrize("at", range(16))
def test_an_import_that_ends_anywhere_goes_on_where_it_was(
    directory: Path, monkeypatch: pytest.MonkeyPatch, at: int, is_applied: bool
) -> None:
    monkeypatch.setattr(limits, "NSQ_IMPORT_MESSAGES", 3)
    store = Mortal(VirtualClock())
    store.calls_left, store.is_applied = at, is_applied
    with pytest.raises(StoreUnavailable):
        import_directory(store, directory)
        raise StoreUnavailable
    store.calls_left = 1_000
    import_directory(store, directory)
    for queue, records in EXPECTED.items():
        assert Counter(held(store, queue)) == Counter(records)


def test_a_topic_that_has_more_than_one_without_a_channel_may_keep_is_imported_when_it_has_one(
    store: MemoryStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TOPIC_KEPT_MAX", 7)
    monkeypatch.setattr(limits, "NSQ_IMPORT_MESSAGES", 3)
    with pytest.raises(StoreFull, match="Create a channel"):
        import_directory(store, directory)
    store.create_channel("kept", "mail")
    import_directory(store, directory)
    assert held(store, "kept:mail") == RECORDS[20:]


def test_what_is_lost_is_named_and_everything_else_is_there(store: MemoryStore, directory: Path) -> None:
    path = directory / "orders.diskqueue.000000.dat"
    data = bytearray(contents(RECORDS[10:20]))
    second = with_ends(RECORDS[10:20])[0][1]
    data[second + 20] = 0
    path.write_bytes(data)
    done = import_directory(store, directory)
    assert done.has_losses
    (lost,) = [lost for queue in done.queues for lost in queue.lost]
    assert (lost.file, lost.offset) == (path.name, second)
    assert held(store, "orders:mail") == [one for one in EXPECTED["orders:mail"] if one != RECORDS[11]]


def test_losses_beyond_a_number_are_counted(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "NSQ_LOSSES_TOLD_MAX", 1)
    data = bytearray(contents(RECORDS))
    for one, end in with_ends(RECORDS)[::3]:
        data[end - len(one.body) - 1] = 0
    written(tmp_path, "orders:mail", [RECORDS])
    (tmp_path / "orders:mail.diskqueue.000000.dat").write_bytes(data)
    (queue,) = import_directory(store, tmp_path).queues
    assert (len(queue.lost), queue.lost_more, queue.imported) == (1, 9, 20)


def test_a_dry_run_counts_the_same_and_needs_no_store(store: MemoryStore, directory: Path) -> None:
    dry = import_directory(None, directory)
    assert dry == import_directory(store, directory)


def test_a_file_that_nsqd_has_put_aside_may_be_taken(store: MemoryStore, directory: Path) -> None:
    path = directory / "orders:mail.diskqueue.000000.dat"
    path.rename(f"{path}.bad")
    (directory / "orders:mail.diskqueue.meta.dat").write_text(f"5\n1,0\n1,{len(contents(RECORDS[5:10]))}\n")
    import_directory(store, directory)
    assert held(store, "orders:mail") == RECORDS[5:20]
    import_directory(store, directory, bad_files=BadFiles.ALL)
    assert Counter(held(store, "orders:mail")) == Counter(RECORDS[:20])


def test_a_long_file_takes_little_memory(tmp_path: Path) -> None:
    written(tmp_path, "orders:mail", [[record(number, bytes(50_000)) for number in range(600)]])
    tracemalloc.start()
    (queue,) = import_directory(None, tmp_path).queues
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert queue.imported == 600
    assert most < 4 * limits.NSQ_IMPORT_BYTES


def test_it_is_told_how_far_it_is(store: MemoryStore, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NSQ_IMPORT_MESSAGES", 4)
    told: list[tuple[str, int]] = []
    import_directory(store, directory, show=lambda queue, messages: told.append((queue, messages)))
    assert [messages for queue, messages in told if queue == "kept"] == [4, 8, 10]


def test_nothing_else_is_imported(store: MemoryStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption):
        import_directory(store, tmp_path)
    assert store.topics().topics == []
