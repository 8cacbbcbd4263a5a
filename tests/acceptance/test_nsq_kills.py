"""What becomes of messages when somebody dies, or is stopped for a while: the door, the owner, a consumer.

The same script runs against the real nsqd with everything on disk, which loses what it had given out or put off.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.store.directory import StoreDirectory
from tests.acceptance import nsq_client
from tests.acceptance.conftest import until
from tests.acceptance.nsq_client import Connection, Message
from tests.acceptance.nsq_peers import Daemon
from tests.acceptance.owners import environment, wait_for_end

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

FINISHED, HELD, WAITING, DEFERRED, REQUEUED = 20, 30, 50, 10, 5
SOON_MS, LATE_MS = 3_000, 600_000


def named(kind: str, number: int) -> set[bytes]:
    return {f"{kind} {each}".encode() for each in range(number)}


def channel_counts(daemon: Daemon, topic: str = "orders") -> dict[str, int]:
    """The numbers of the channel ``ch``, as the daemon shows them."""
    (shown,) = json.loads(daemon.ask(f"/stats?format=json&topic={topic}"))["topics"]
    (channel,) = shown["channels"]
    return {name: value for name, value in channel.items() if isinstance(value, int)}


def counts_are(daemon: Daemon, **wanted: int) -> None:
    """Wait until the channel shows these numbers."""
    until(lambda: {name: channel_counts(daemon)[name] for name in wanted} == wanted)


class Story:
    """A channel with messages finished, in flight, waiting, put off by their producer and put off by a consumer."""

    def __init__(self, daemon: Daemon, defer_ms: int = SOON_MS) -> None:
        daemon.ask("/topic/create?topic=orders", b"")
        daemon.ask("/channel/create?topic=orders&channel=ch", b"")
        self.producer, self.consumer = Connection(daemon.ports["TCP"]), Connection(daemon.ports["TCP"])
        self._publish(named("first", FINISHED + REQUEUED + HELD))
        self.consumer.subscribe("orders", "ch", FINISHED + REQUEUED + HELD)
        taken = [self.consumer.message() for _ in range(FINISHED + REQUEUED + HELD)]
        self.consumer.command("RDY 0")
        for message in taken[:FINISHED]:
            self.consumer.finish(message)
        for message in taken[FINISHED : FINISHED + REQUEUED]:
            self.consumer.requeue(message, defer_ms)
        self.held = taken[FINISHED + REQUEUED :]
        self._publish(named("deferred", DEFERRED), defer_ms)
        self._publish(named("waiting", WAITING))
        self.finished = {message.body for message in taken[:FINISHED]}
        self.given_out = {message.body for message in taken[FINISHED:]}
        self.put_off = named("deferred", DEFERRED)
        self.left = self.given_out | self.put_off | named("waiting", WAITING)

    def __enter__(self) -> Story:
        return self

    def __exit__(self, *exception: object) -> None:
        self.producer.socket.close()
        self.consumer.socket.close()

    def wait_settled(self, daemon: Daemon) -> None:
        """Until what was finished and put off is known to the daemon as such; some of that may be waiting again."""

        def is_settled() -> bool:
            counts = channel_counts(daemon)
            left = counts["depth"] + counts["deferred_count"]
            return (left, counts["in_flight_count"]) == (WAITING + DEFERRED + REQUEUED, HELD)

        until(is_settled)

    def _publish(self, bodies: Iterable[bytes], defer_ms: int | None = None) -> None:
        for body in sorted(bodies):
            self.producer.publish("orders", body, defer_ms)


def drained(port: int, number: int) -> list[Message]:
    """So many messages of the channel, each finished."""
    with Connection(port) as connection:
        connection.subscribe("orders", "ch", number)
        taken = []
        for _ in range(number):
            taken.append(connection.message())
            connection.finish(taken[-1])
        connection.command("CLS")
        assert connection.response() == b"CLOSE_WAIT"
    return taken


def kill_owner(store: Path) -> None:
    record = StoreDirectory(store).owner()
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    wait_for_end(record.pid)


def again(daemons, daemon: Daemon, data_path: Path) -> Daemon:
    """Our door started again where it was."""
    return daemons.nsqd(f"-tcp-address={daemon.tcp}", "-http-address=127.0.0.1:0", data_path=data_path)


@pytest.mark.parametrize("whom", ["the door", "the door and the owner"])
def test_every_message_comes_again_after_a_kill_but_those_that_were_finished(daemons, directory, whom):
    first = daemons.nsqd(data_path=directory)
    with Story(first) as story:
        story.wait_settled(first)
        first.kill()
    if whom != "the door":
        kill_owner(directory)
    second = again(daemons, first, directory)
    taken = drained(second.ports["TCP"], len(story.left))
    assert sorted(message.body for message in taken) == sorted(story.left)
    attempts = {message.body: message.attempts for message in taken}
    assert {attempts[body] for body in story.given_out} == {2}
    assert {attempts[body] for body in story.left - story.given_out} == {1}
    counts_are(second, depth=0, in_flight_count=0, deferred_count=0)


def test_an_owner_that_dies_takes_nothing_from_consumers(daemons, directory):
    daemon = daemons.nsqd(data_path=directory)
    with Story(daemon) as story:
        story.wait_settled(daemon)
        kill_owner(directory)
        # What they hold is theirs as before.
        for message in story.held:
            story.consumer.finish(message)
        left = story.left - {message.body for message in story.held}
        taken = drained(daemon.ports["TCP"], len(left))
    assert sorted(message.body for message in taken) == sorted(left)
    counts_are(daemon, depth=0, in_flight_count=0, deferred_count=0)


def test_a_real_nsqd_with_everything_on_disk_loses_what_it_gave_out_or_put_off(daemons, tmp_path):
    """What the tests above are good for: they would see it."""
    data_path, on_disk = tmp_path / "nsqd", ("-mem-queue-size=0", "-sync-every=1")
    first = daemons.real_nsqd(*on_disk, data_path=data_path)
    with Story(first, LATE_MS) as story:
        story.wait_settled(first)
        first.kill()
    second = daemons.real_nsqd(*on_disk, data_path=data_path)
    depth = channel_counts(second)["depth"]
    kept = {message.body for message in drained(second.ports["TCP"], depth)}
    lost = story.left - kept
    assert lost >= story.given_out
    # A message that its topic had no hands free for goes to its files, which know nothing of delays.
    assert lost & story.put_off


@contextmanager
def consuming(daemon: Daemon, ready: int, message_timeout_ms: int) -> Iterator[subprocess.Popen[str]]:
    """A consumer that is a process, and has taken so many messages. It is killed at the end."""
    arguments = [str(daemon.ports["TCP"]), "orders", "ch", str(ready), str(message_timeout_ms)]
    with subprocess.Popen(
        [sys.executable, nsq_client.__file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        try:
            for _ in range(ready):
                assert process.stdout.readline().startswith("took ")
            yield process
        finally:
            process.kill()


@pytest.fixture(params=["nsqd", "real_nsqd"])
def daemon(request, daemons, directory) -> Daemon:
    """Ours and the real one: in this they are the same."""
    options = {"data_path": directory} if request.param == "nsqd" else {}
    daemon = getattr(daemons, request.param)(**options)
    daemon.ask("/topic/create?topic=orders", b"")
    daemon.ask("/channel/create?topic=orders&channel=ch", b"")
    return daemon


def test_a_consumer_that_was_stopped_past_its_time_is_refused_and_another_has_the_message_once(daemon):
    daemon.ask("/pub?topic=orders", b"slow")
    with consuming(daemon, 1, 1_000) as stopped, Connection(daemon.ports["TCP"]) as other:
        stopped.send_signal(signal.SIGSTOP)
        other.subscribe("orders", "ch", 1)
        message = other.message()
        assert (message.body, message.attempts) == (b"slow", 2)
        stopped.send_signal(signal.SIGCONT)
        stopped.stdin.write("finish\n")
        stopped.stdin.flush()
        assert stopped.stdout.readline() == "sent\n"
        assert stopped.stdout.readline().startswith("E_FIN_FAILED ")
        other.finish(message)
        counts_are(daemon, depth=0, in_flight_count=0, deferred_count=0, timeout_count=1)
        # Nobody is sent it again: what comes next is the next.
        daemon.ask("/pub?topic=orders", b"next")
        assert other.message().body == b"next"


def test_what_a_killed_consumer_had_goes_to_another_at_once(daemons, directory):
    """The real nsqd keeps it until its time is over."""
    daemon = daemons.nsqd(data_path=directory)
    daemon.ask("/topic/create?topic=orders", b"")
    daemon.ask("/channel/create?topic=orders&channel=ch", b"")
    with Connection(daemon.ports["TCP"]) as other:
        for number in range(10):
            other.publish("orders", str(number).encode())
        with consuming(daemon, 10, 300_000) as dying:
            other.subscribe("orders", "ch", 10)
            dying.kill()
            taken = [other.message() for _ in range(10)]
        assert sorted(message.body for message in taken) == [str(number).encode() for number in range(10)]
        assert {message.attempts for message in taken} == {2}
        for message in taken:
            other.finish(message)
        counts_are(daemon, depth=0, in_flight_count=0, timeout_count=0)


def test_several_doors_before_one_store_are_one_nsqd(daemons, directory):
    doors = [daemons.nsqd("-msg-timeout=1s", data_path=directory) for _ in range(2)]
    consumers = [Connection(door.ports["TCP"]) for door in doors]
    for consumer in consumers:
        consumer.subscribe("orders", "ch", 0)
    for number in range(100):
        with Connection(doors[number % 2].ports["TCP"]) as producer:
            producer.publish("orders", str(number).encode())
    taken = []
    for consumer, number in zip(consumers, (40, 50), strict=True):
        consumer.command(f"RDY {number}")
        for _ in range(number):
            taken.append(consumer.message())
            consumer.command("RDY 0")
            consumer.finish(taken[-1])
    dying, other = consumers
    dying.command("RDY 10")
    held = [dying.message() for _ in range(10)]
    assert {message.body for message in [*taken, *held]} == {str(number).encode() for number in range(100)}
    doors[0].kill()
    # Its messages go to the other when their time is over.
    other.command("RDY 10")
    got = []
    for _ in held:
        got.append(other.message())
        other.finish(got[-1])
    assert {message.body for message in got} == {message.body for message in held}
    assert {message.attempts for message in got} == {2}
    counts_are(doors[1], depth=0, in_flight_count=0, deferred_count=0)
    for consumer in consumers:
        consumer.socket.close()
