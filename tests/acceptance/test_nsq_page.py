"""What docs/howto/nsq.md shows can be done, in its order, with NSQ's own tools."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.process import process_file
from tests.acceptance.conftest import Place, until
from tests.acceptance.nsq_client import Connection
from tests.acceptance.nsq_peers import program

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "nsq.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
DEADLINE_S = 90

CURL = '''#!{python}
"""curl, as far as the page uses it; it waits until there is somebody to talk to."""
import sys, time, urllib.error, urllib.request

words = sys.argv[1:]
body = words.pop(words.index("-d") + 1).encode() if "-d" in words else None
url = next(word for word in words if word.startswith("http"))
deadline = time.monotonic() + 60
while True:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:
            print(answer.read().decode())
        break
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > deadline:
            raise
        time.sleep(0.05)
'''
PENSTOCK = """#!/bin/sh
case "$1" in
  nsqd) shift; set -- nsqd -tcp-address {nsqd_tcp} -http-address {nsqd_http} "$@" ;;
  nsqlookupd) shift; set -- nsqlookupd -tcp-address {lookupd_tcp} -http-address {lookupd_http} "$@" ;;
esac
exec {python} -m penstock.cli "$@"
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Shell:
    """Runs blocks of the page, at other ports than the page's."""

    def __init__(self, place: Place, ports: dict[str, int]) -> None:
        self.place = place
        self._ports = ports
        self._sessions: list[subprocess.Popen[bytes]] = []
        programs = place.path / "programs"
        programs.mkdir()
        names = {"nsqd_tcp": "4150", "nsqd_http": "4151", "lookupd_tcp": "4160", "lookupd_http": "4161"}
        addresses = {name: self.address(port) for name, port in names.items()}
        for name, text in (
            ("curl", CURL.format(python=sys.executable)),
            ("penstock", PENSTOCK.format(python=sys.executable, **addresses)),
        ):
            (programs / name).write_text(text)
            (programs / name).chmod(0o700)
        path = f"{programs}:{program('nsq_tail').parent}:{os.environ['PATH']}"
        self._environment = place.environment | {"PATH": path}

    def address(self, port: str) -> str:
        """What stands for this port of the page."""
        return f"127.0.0.1:{self._ports.setdefault(port, free_port())}"

    def run(self, commands: str, **environment: str) -> str:
        """Run these; what they have printed so far, with what they leave in the background."""
        commands = re.sub(r"127\.0\.0\.1:(\d{4})", lambda found: self.address(found[1]), commands)
        said = self.place.path / f"said-{len(self._sessions)}"
        with said.open("wb") as into, said.with_suffix(".log").open("wb") as log:
            session = subprocess.Popen(
                ["/bin/sh", "-eu", "-c", commands],
                cwd=self.place.path,
                env=self._environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=into,
                stderr=log,
                start_new_session=True,
            )
            self._sessions.append(session)
        status = session.wait(DEADLINE_S)
        assert status == 0, said.read_text() + said.with_suffix(".log").read_text()
        return said.read_text()

    def end(self) -> None:
        """End what runs in the background."""
        for session in self._sessions:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(session.pid, signal.SIGTERM)


@pytest.fixture
def shell(place):
    shells = []

    def made(**ports):
        shells.append(Shell(place, {number: int(port) for number, port in ports.items()}))
        return shells[-1]

    yield made
    for one in shells:
        one.end()


def block(beginning: str) -> str:
    """The block of the page that begins so."""
    [found] = [one for one in BLOCKS if one.startswith(beginning)]
    return found


def test_from_nothing_to_nsq_tail_in_five_commands(shell):
    install, *commands = block("pip install penstock").splitlines()
    assert install == "pip install penstock"
    assert len(commands) == 4
    said = shell().run("\n".join(commands))
    assert "orders" in said
    assert "\norder 17\n" in said


def test_daemons_of_both_kinds_find_each_other(shell):
    running = shell()
    running.run("\n".join(block("penstock nsqlookupd &").splitlines()))
    nodes = until(lambda: json.loads(running.run(block("penstock nsqlookupd &").splitlines()[-1]))["producers"])
    assert [f"127.0.0.1:{node['tcp_port']}" for node in nodes] == [running.address("4150")]


def producers(lookupd):
    """The ports at which there are messages of the topic."""
    return [one["tcp_port"] for one in json.loads(lookupd.ask("/lookup?topic=orders"))["producers"]]


def test_moving_without_a_stop(shell, daemons, place):
    lookupd = daemons.real_nsqlookupd()
    old = daemons.real_nsqd(f"-lookupd-tcp-address={lookupd.tcp}")
    old.ask("/topic/create?topic=orders", b"")
    old.ask("/channel/create?topic=orders&channel=mail", b"")
    with Connection(old.ports["TCP"]) as client:
        client.publish("orders", b"order 16")
        client.publish("orders", b"order 17", defer_ms=3_000_000)
    until(lambda: json.loads(lookupd.ask("/lookup?topic=orders"))["channels"] == ["mail"])
    ports = {
        "4150": old.ports["TCP"],
        "4151": old.ports["HTTP"],
        "4160": lookupd.ports["TCP"],
        "4161": lookupd.ports["HTTP"],
    }
    running = shell(**ports)
    said = running.run(block("penstock nsqd -tcp-address"))
    assert "OK" in said
    assert "[mail" in said
    both = sorted([old.ports["TCP"], int(running.address("5150").rpartition(":")[2])])
    until(lambda: sorted(producers(lookupd)) == both)
    stop, imported = block("kill -TERM").splitlines()
    running.run(stop, NSQD=str(old.process.pid))
    assert old.process.wait(DEADLINE_S) == 0
    data_path = next(word.partition("=")[2] for word in old.process.args if "data-path" in word)
    assert "2 messages imported" in running.run(imported.replace("/var/lib/nsqd", data_path))
    [topic] = place.json("topics")["topics"]
    [channel] = topic["channels"]
    assert (channel["name"], channel["ready"] + channel["scheduled"]) == ("mail", 3)


def test_the_consumer_of_the_page_takes_what_an_nsq_client_publishes(shell, place):
    [source] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (place.path / "page.py").write_text(source)
    config = place.path / "nsqd.cfg"
    config.write_text('tcp_address = "127.0.0.1:0"\nhttp_address = "127.0.0.1:0"\n')
    running = place.start("up", "page:app", "--gate", "127.0.0.1:0", "--executors", "1", "--nsq-config", str(config))
    try:
        assert running.stdout.readline().startswith("Penstock runs page:app: ")
        port = int(process_file.read(place.store).nsqd.rpartition(":")[2])
        with Connection(port) as client:
            client.publish("orders", b"17")
        lines = iter(running.stderr.readline, "")
        assert any("order 17" in line for line in lines)
    finally:
        running.terminate()
        running.communicate(timeout=60)
