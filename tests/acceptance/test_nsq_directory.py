"""A data directory of the real nsqd goes into a store, and a store into one that the real nsqd opens.

What nsqd would have delivered is what it does deliver, started on a copy of the directory.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from penstock.ports import BlockingStore
from penstock.store.directory import StoreDirectory
from penstock.store.opening import open_store
from tests.acceptance.conftest import until
from tests.acceptance.nsq_client import Connection, Message
from tests.unit.nsq.data_directory.made_files import record, written

ON_DISK = ("-mem-queue-size=0", "-max-bytes-per-file=4000")
CHANNELS = ("mail", "bill")


def bodies(count: int, seed: int) -> list[bytes]:
    """Bodies of all lengths and bytes."""
    chance = random.Random(seed)
    return [b"%d " % number + chance.randbytes(chance.randrange(400)) for number in range(count)]


def post(daemon, path: str, body: bytes = b"") -> None:
    daemon.ask(path, body)


def publish(daemon, topic: str, some: Iterable[bytes]) -> None:
    with Connection(daemon.ports["TCP"]) as connection:
        for body in some:
            connection.publish(topic, body)


def depths(daemon, topic: str) -> dict[str, int]:
    """How much waits in each channel of a topic, and under no name in none of them."""
    told = json.loads(daemon.ask(f"/stats?format=json&topic={topic}"))["topics"]
    return {"": sum(one["depth"] for one in told)} | {
        channel["channel_name"]: channel["depth"] + channel["in_flight_count"] + channel["deferred_count"]
        for one in told
        for channel in one["channels"]
    }


def requeue(daemon, topic: str, channel: str, deliveries: int, held: int) -> None:
    """Deliver some messages so often, each requeued; then leave so many in flight when nsqd is stopped."""
    with Connection(daemon.ports["TCP"]) as connection:
        connection.subscribe(topic, channel, 1)
        for _ in range(deliveries):
            connection.requeue(connection.message(), 0)
        connection.command("CLS")
    until(lambda: depths(daemon, topic)[channel] == held)


def drained(daemon, topic: str, channel: str, count: int) -> list[tuple[bytes, int, int]]:
    """Body, time and attempts of each message, finished one by one; there are no more."""
    taken: list[Message] = []
    with Connection(daemon.ports["TCP"]) as connection:
        connection.subscribe(topic, channel, 50)
        for _ in range(count):
            taken.append(connection.message())
            connection.finish(taken[-1])
        until(lambda: depths(daemon, topic)[channel] == 0)
        connection.command("CLS")
        assert connection.response() == b"CLOSE_WAIT"
    return [(one.body, one.timestamp_ns, one.attempts) for one in taken]


@pytest.fixture
def filled(daemons, tmp_path: Path) -> Path:
    """The directory of an nsqd that was stopped: with messages in channels, some delivered before and some in flight;
    in a paused topic; and in a topic without a channel."""
    path = tmp_path / "nsqd-data"
    nsqd = daemons.real_nsqd(*ON_DISK, data_path=path)
    for topic in ("orders", "held"):
        post(nsqd, f"/topic/create?topic={topic}")
        for channel in CHANNELS:
            post(nsqd, f"/channel/create?topic={topic}&channel={channel}")
    publish(nsqd, "orders", bodies(60, 1))
    until(lambda: all(depths(nsqd, "orders")[channel] == 60 for channel in CHANNELS))
    requeue(nsqd, "orders", "mail", 150, 60)
    post(nsqd, "/topic/pause?topic=held")
    publish(nsqd, "held", bodies(20, 2))
    post(nsqd, "/channel/pause?topic=orders&channel=bill")
    publish(nsqd, "kept", bodies(10, 3))
    with Connection(nsqd.ports["TCP"]) as connection:
        connection.subscribe("orders", "mail", 5)
        for _ in range(5):
            connection.message()
        assert nsqd.end() == 0
    assert len(list(path.glob("orders:mail.diskqueue.0*.dat"))) > 2
    return path


def expected(daemons, path: Path) -> dict[str, Counter]:
    """What the real nsqd delivers of a copy of this directory."""
    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    nsqd = daemons.real_nsqd(*ON_DISK, data_path=copy)
    post(nsqd, "/topic/unpause?topic=held")
    post(nsqd, "/channel/unpause?topic=orders&channel=bill")
    post(nsqd, "/channel/create?topic=kept&channel=mail")
    until(lambda: depths(nsqd, "kept")["mail"] == 10 and depths(nsqd, "held")["bill"] == 20)
    return take_all(nsqd)


def take_all(daemon) -> dict[str, Counter]:
    return {
        f"{topic}:{channel}": Counter(drained(daemon, topic, channel, count))
        for topic, channel, count in (
            ("orders", "mail", 60),
            ("orders", "bill", 60),
            ("held", "mail", 20),
            ("held", "bill", 20),
            ("kept", "mail", 10),
        )
    }


def test_what_a_real_nsqd_has_on_disk_is_delivered_by_ours_byte_for_byte(daemons, place, filled: Path) -> None:
    wanted = expected(daemons, filled)
    assert max(attempts for _, _, attempts in wanted["orders:mail"]) > 2
    done = place.json("store", "import-nsqd", str(filled))
    assert (done["topics"], done["channels"], done["ok"]) == (3, 4, True)
    nsqd = daemons.nsqd(data_path=place.store)
    stats = {one["topic_name"]: one for one in json.loads(nsqd.ask("/stats?format=json"))["topics"]}
    assert {name: one["paused"] for name, one in stats.items()} == {"orders": False, "held": True, "kept": False}
    post(nsqd, "/topic/unpause?topic=held")
    post(nsqd, "/channel/unpause?topic=orders&channel=bill")
    post(nsqd, "/channel/create?topic=kept&channel=mail")
    assert take_all(nsqd) == wanted


def test_what_was_imported_and_exported_again_is_delivered_by_a_real_nsqd_as_it_would_have_been(
    daemons, place, filled: Path, tmp_path: Path
) -> None:
    wanted = expected(daemons, filled)
    place.json("store", "import-nsqd", str(filled))
    back = tmp_path / "back"
    done = place.json("store", "export-nsqd", str(back), "--max-bytes-per-file", "3000")
    assert {one["queue"]: one["exported"] for one in done["queues"]} == {
        "held:bill": 20,
        "held:mail": 20,
        "kept": 10,
        "orders:bill": 60,
        "orders:mail": 60,
    }
    nsqd = daemons.real_nsqd(*ON_DISK, data_path=back)
    stats = {one["topic_name"]: one for one in json.loads(nsqd.ask("/stats?format=json"))["topics"]}
    assert stats["held"]["paused"]
    assert [one["channel_name"] for one in stats["orders"]["channels"] if one["paused"]] == ["bill"]
    post(nsqd, "/topic/unpause?topic=held")
    post(nsqd, "/channel/unpause?topic=orders&channel=bill")
    post(nsqd, "/channel/create?topic=kept&channel=mail")
    until(lambda: depths(nsqd, "kept")["mail"] == 10)
    assert take_all(nsqd) == wanted
    assert "ERROR" not in nsqd.said()
    assert list(back.glob("*.bad")) == []


def test_what_was_published_at_our_door_is_exported_to_a_real_nsqd(daemons, place, tmp_path: Path) -> None:
    ours = daemons.nsqd(data_path=place.store)
    post(ours, "/topic/create?topic=orders")
    post(ours, "/channel/create?topic=orders&channel=mail")
    some = bodies(30, 4)
    publish(ours, "orders", some)
    with Connection(ours.ports["TCP"]) as connection:
        connection.publish("orders", b"deferred", defer_ms=600_000)
        connection.subscribe("orders", "mail", 2)
        requeued, held = connection.message(), connection.message()
        connection.command("RDY 0")
        connection.requeue(requeued, 600_000)
        until(lambda: json.loads(ours.ask("/stats?format=json"))["topics"][0]["channels"][0]["deferred_count"] == 2)
        told = place.json("store", "export-nsqd", str(tmp_path / "out"))["queues"]
        assert [(one["exported"], one["in_flight"], one["deferred"]) for one in told] == [(31, 1, 2)]
    nsqd = daemons.real_nsqd(*ON_DISK, data_path=tmp_path / "out")
    taken = drained(nsqd, "orders", "mail", 31)
    assert Counter(body for body, _, _ in taken) == Counter([*some, b"deferred"])
    by_body = {body: (timestamp_ns, attempts) for body, timestamp_ns, attempts in taken}
    assert by_body[requeued.body] == (requeued.timestamp_ns, requeued.attempts + 1)
    assert by_body[held.body] == (held.timestamp_ns, held.attempts + 1)


def test_what_an_nsqd_that_was_killed_has_on_disk_is_all_there(daemons, place, tmp_path: Path) -> None:
    """Its position is older than its files then."""
    path = tmp_path / "nsqd-data"
    nsqd = daemons.real_nsqd(*ON_DISK, data_path=path)
    post(nsqd, "/topic/create?topic=orders")
    post(nsqd, "/channel/create?topic=orders&channel=mail")
    some = bodies(50, 5)
    publish(nsqd, "orders", some)
    until(lambda: depths(nsqd, "orders")["mail"] == 50)
    nsqd.kill()
    done = place.json("store", "import-nsqd", str(path))
    assert done["ok"]
    ours = daemons.nsqd(data_path=place.store)
    count = depths(ours, "orders")["mail"]
    assert {body for body, _, _ in drained(ours, "orders", "mail", count)} == set(some)


def test_a_directory_is_refused_while_an_nsqd_runs_on_it(daemons, place, tmp_path: Path) -> None:
    path = tmp_path / "nsqd-data"
    nsqd = daemons.real_nsqd(*ON_DISK, data_path=path)
    publish(nsqd, "orders", [b"one"])
    status, _, errors = place.run("store", "import-nsqd", str(path))
    assert status != 0
    assert "nsqd runs on" in errors
    nsqd.end()
    assert place.json("store", "import-nsqd", str(path), "--dry-run")["queues"][0]["imported"] == 1
    assert place.json("store", "import-nsqd", str(path))["queues"][0]["imported"] == 1


def test_a_damaged_file_costs_its_damaged_record_which_is_named(daemons, place, filled: Path) -> None:
    (path, *_) = sorted(filled.glob("orders:bill.diskqueue.0*.dat"))
    data = bytearray(path.read_bytes())
    second = 4 + int.from_bytes(data[:4], "big")
    data[second] = 0xFF
    path.write_bytes(data)
    status, output, errors = place.run("store", "import-nsqd", str(filled), "--json")
    assert status == 1, errors
    (bill,) = [queue for queue in json.loads(output)["queues"] if queue["queue"] == "orders:bill"]
    assert (bill["imported"], [(one["file"], one["offset"]) for one in bill["lost"]]) == (59, [(path.name, second)])
    status, output, _ = place.run("store", "import-nsqd", str(filled))
    assert status == 1
    assert f"! {path.name}, from byte {second}: " in output


COUNT = 30_000


@pytest.fixture
def long_queue(tmp_path: Path) -> Path:
    """A data directory with a channel that takes more than a moment to import."""
    path = tmp_path / "nsqd-data"
    path.mkdir()
    records = [record(number, b"%d" % number) for number in range(COUNT)]
    written(path, "orders:mail", [records[:10_000], records[10_000:20_000], records[20_000:]])
    return path


def imported(store: BlockingStore) -> int:
    """How many messages are in the channels of a store."""
    return sum(channel.counts.ready for topic in store.topics().topics for channel in topic.channels)


def check_exported_whole(place, path: Path, out: Path) -> None:
    """What is in the store is, in order, what is in the directory."""
    place.json("store", "export-nsqd", str(out))
    files = [sorted(directory.glob("*.0*.dat")) for directory in (path, out)]
    whole, back = (b"".join(file.read_bytes() for file in some) for some in files)
    assert back == whole


@pytest.mark.parametrize("least", [1, 9_000, 20_000])
def test_an_import_that_is_killed_is_run_again_and_nothing_is_doubled_or_lost(
    place, long_queue: Path, tmp_path: Path, least: int
) -> None:
    importing = place.start("store", "import-nsqd", str(long_queue))
    until(lambda: (place.store / "penstock.db").exists())
    store = open_store(place.store)
    try:
        until(lambda: imported(store) >= least)
        importing.send_signal(signal.SIGKILL)
        importing.communicate()
        before = imported(store)
        (queue,) = place.json("store", "import-nsqd", str(long_queue))["queues"]
        assert (queue["imported"], queue["known"]) == (COUNT - before, before)
        assert imported(store) == COUNT
    finally:
        store.close()
    check_exported_whole(place, long_queue, tmp_path / "out")


def test_an_import_goes_on_when_the_store_s_owner_is_killed(place, long_queue: Path, tmp_path: Path) -> None:
    importing = place.start("store", "import-nsqd", str(long_queue))
    until(lambda: (place.store / "penstock.db").exists())
    store = open_store(place.store)
    try:
        for least in (1, 8_000, 16_000):
            until(lambda least=least: imported(store) >= least)
            record_of_owner = StoreDirectory(place.store).owner()
            assert record_of_owner is not None
            os.kill(record_of_owner.pid, signal.SIGKILL)
        _, errors = importing.communicate()
        assert importing.returncode == 0, errors
        assert imported(store) == COUNT
    finally:
        store.close()
    check_exported_whole(place, long_queue, tmp_path / "out")
