"""Real owners and nodes whose directory goes, is open to others, or that run out of descriptors."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys

import pytest

from penstock.model.errors import StoreUnavailable
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.store.directory import StoreDirectory
from penstock.store.wire.client.blocking import Client
from tests.acceptance.conftest import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def one():
    return [JobGroup("task", [JobEntry(new_id(), b"m", checksum(b"m"))])]


def start(directory, *options, **settings):
    """An owner that serves."""
    ready, told = os.pipe()
    command = [sys.executable, "-m", "penstock.store.embedded", *options, "--ready-fd", str(told), str(directory)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    process = subprocess.Popen(
        command, pass_fds=(told,), env=environment, stderr=subprocess.PIPE, text=True, **settings
    )
    os.close(told)
    with open(ready, "rb") as word:
        assert word.read() == b"serving"
    return process


def test_everything_a_node_makes_is_for_its_user_alone(node, place):
    place.store.mkdir(mode=0o755)
    running = node("--executors", "1", PYTHONDONTWRITEBYTECODE="1")
    running.wait_ready()
    place.run("enqueue", "shop:app", "shop.add", "1", "2", "--wait")
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in place.store.iterdir()}
    assert {"penstock.db", "penstock.db-wal", "reserve", "owner.lock", "owner.sock", "format"} <= modes.keys()
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
    assert stat.S_IMODE(place.store.stat().st_mode) == 0o700


@pytest.mark.parametrize("how", ["deleted", "renamed", "replaced"])
def test_an_owner_whose_directory_goes_stops_with_the_reason(tmp_path, how):
    directory = tmp_path / "store"
    process = start(directory)
    client = Client.connect(directory)
    client.enqueue(one())
    if how == "deleted":
        shutil.rmtree(directory)
    else:
        directory.rename(tmp_path / "moved")
        if how == "replaced":
            directory.mkdir(mode=0o700)
            (directory / "penstock.db-wal").write_bytes(b"another's")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert str(directory) in errors
    if how != "replaced":
        with pytest.raises(StoreUnavailable, match="is gone"):
            client.enqueue(one())
        assert not directory.exists()
    else:
        assert (directory / "penstock.db-wal").read_bytes() == b"another's"
    if how == "renamed":
        # What was accepted is there, wherever it is now.
        with_moved = Client.connect(tmp_path / "moved")
        assert with_moved.stats().queues["default"].accepted_total == 1
        os.kill(StoreDirectory(tmp_path / "moved").owner().pid, signal.SIGTERM)
        with_moved.close()
    client.close()


def test_a_socket_or_a_log_that_goes_costs_a_new_start_and_no_job(tmp_path):
    directory = tmp_path / "store"
    for name in ("owner.sock", "penstock.db-wal"):
        process = start(directory)
        client = Client.connect(directory)
        client.enqueue(one())
        (directory / name).unlink()
        process.communicate(timeout=60)
        assert process.returncode == 1
        client.close()
    process = start(directory)
    client = Client.connect(directory)
    assert client.stats().queues["default"].accepted_total == 2
    client.close()
    process.terminate()
    process.communicate(timeout=60)


def test_a_node_whose_directory_goes_stops_with_the_reason_and_makes_no_new_store(node, place):
    running = node("--executors", "1")
    running.wait_ready()
    below = running.below()
    shutil.rmtree(place.store)
    status, errors = running.end()
    assert status == 3
    assert str(place.store) in errors
    assert "deleted" in errors
    assert not place.store.exists()
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in below))


def test_an_owner_out_of_descriptors_serves_who_is_there(tmp_path):
    directory = tmp_path / "store"

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    process = start(directory, preexec_fn=few)
    client = Client.connect(directory)
    client.enqueue(one())
    silent = []
    for _ in range(100):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(StoreDirectory(directory).socket_path)
        silent.append(sock)
    second = Client.connect(directory)
    assert second.enqueue(one()).accepted == 1
    assert client.owner_statistics().silent > 0

    for sock in silent:
        sock.close()
    client.close()
    second.close()
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
