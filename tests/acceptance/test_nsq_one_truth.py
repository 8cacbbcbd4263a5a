"""One channel, worked by NSQ's clients and by an application at the same time, and looked at by everybody."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import until
from .nsq_client import Connection
from .nsq_peers import Daemon, Daemons
from .owners import environment
from .test_consumers import APP, lines
from .test_consumers import application as application  # noqa: PLC0414 - a fixture
from .test_consumers import notes as notes  # noqa: PLC0414 - a fixture
from .test_worker import Site
from .test_worker import site as site  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
DEADLINE_S = 60.0


class Taker(threading.Thread):
    """An NSQ client that finishes whatever it gets, and keeps the numbers in it."""

    def __init__(self, nsqd: Daemon, topic: str, channel: str) -> None:
        super().__init__(daemon=True)
        self.numbers: list[int] = []
        self.connection = Connection(nsqd.ports["TCP"])
        self.connection.subscribe(topic, channel, 2)
        self.start()

    def run(self) -> None:
        """Until the connection is closed."""
        try:
            while True:
                message = self.connection.message()
                self.numbers.append(json.loads(message.body)["n"])
                self.connection.finish(message)
        except (OSError, EOFError):
            return

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.socket.shutdown(2)
        self.join(DEADLINE_S)
        self.connection.socket.close()


@pytest.fixture
def nsqd(daemons: Daemons, site: Site) -> Daemon:
    """A door before the application's store."""
    site.store.mkdir(exist_ok=True)
    return daemons.nsqd(data_path=site.store)


@pytest.fixture
def taker(nsqd: Daemon) -> Iterator[Taker]:
    """An NSQ client at the channel of one of the application's consumers."""
    taking = Taker(nsqd, "orders", "process")
    yield taking
    taking.close()


def penstock(site: Site, *arguments: str) -> Any:
    """What a command answers in JSON."""
    command = [sys.executable, "-m", "penstock.cli", *arguments, "--url", str(site.store), "--json"]
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment(), timeout=DEADLINE_S)
    return json.loads(found.stdout)


def test_a_channel_is_worked_by_an_nsq_client_and_by_an_application(
    site: Site, application: Any, notes: Path, nsqd: Daemon, taker: Taker
) -> None:
    site.work(APP, executors=1).wait_ready()
    published = 0

    def noted() -> list[int]:
        return [int(line.split()[1]) for line in lines(notes) if line.startswith("process ")]

    def publish() -> None:
        nonlocal published
        body = json.dumps({"n": published}).encode()
        if published % 2:
            assert nsqd.ask("/pub?topic=orders", body) == b"OK"
        else:
            application.app.publish("orders", {"n": published}, key="k")
        published += 1

    def both_have_some() -> bool:
        publish()
        return len(noted()) >= 10 and len(taker.numbers) >= 10

    until(both_have_some)
    until(lambda: len(noted()) + len(taker.numbers) >= published)
    assert Counter(noted() + taker.numbers) == Counter(range(published))
    # Whoever asks is told the same.
    until(lambda: penstock(site, "stats")["queues"]["orders:process"]["running"] == 0)
    (topic,) = json.loads(nsqd.ask("/stats?format=json&topic=orders"))["topics"]
    (channel,) = [one for one in topic["channels"] if one["channel_name"] == "process"]
    assert (channel["depth"], channel["in_flight_count"], channel["message_count"]) == (0, 0, published)
    counts = penstock(site, "stats")["queues"]["orders:process"]
    assert (counts["ready"], counts["accepted_total"]) == (0, published)


def test_what_an_application_fails_at_an_nsq_client_gets_with_its_attempts(
    site: Site, application: Any, nsqd: Daemon
) -> None:
    worker = site.work(APP, executors=1)
    worker.wait_ready()
    application.app.publish("trouble", "ill")
    until(lambda: penstock(site, "stats")["queues"]["trouble:retried"]["dead"] == 1)
    worker.process.terminate()
    worker.process.communicate()
    with Connection(nsqd.ports["TCP"]) as client:
        client.subscribe("trouble", "retried", 1)
        penstock(site, "dead", "retry", "--queue", "trouble:retried")
        message = client.message()
        assert (message.body, message.attempts >= 1) == (b"ill", True)
        client.finish(message)
        until(lambda: penstock(site, "stats")["queues"]["trouble:retried"]["running"] == 0)


def test_an_operator_pauses_a_channel_and_nobody_gets_anything(site: Site, nsqd: Daemon) -> None:
    with Connection(nsqd.ports["TCP"]) as client:
        client.subscribe("orders", "process", 1)
        penstock(site, "queues", "orders:process", "pause")
        (topic,) = json.loads(nsqd.ask("/stats?format=json&topic=orders"))["topics"]
        assert topic["channels"][0]["paused"] is True
        assert nsqd.ask("/pub?topic=orders", b"first") == b"OK"
        assert penstock(site, "stats")["queues"]["orders:process"]["ready"] == 1
        nsqd.ask("/channel/unpause?topic=orders&channel=process", b"")
        assert client.message().body == b"first"
