"""Owners and clients as real processes: started at once, killed, stopped, handed over."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock.model.errors import StoreUnavailable
from penstock.model.ids import new_id
from penstock.model.job import EnqueueAnswer, JobEntry, JobGroup, LeaseRequest, Outcomes, checksum
from penstock.model.states import State
from penstock.store.directory import StoreDirectory
from penstock.store.wire.client.async_client import AsyncClient
from penstock.store.wire.client.blocking import Client
from penstock.store.wire.client.reach import SERVING
from tests.acceptance.owners import DEADLINE_S, begun, connected, environment, run, told, wait_for_end

CONNECT = """
import sys
from penstock.store.wire.client.blocking import Client
client = Client.connect(sys.argv[1])
statistics = client.owner_statistics()
print(statistics.pid, statistics.epoch)
client.close()
"""

PRODUCE = """
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum
acked = new = 0
for number in range(int(sys.argv[2])):
    body = b"m%d" % number
    answer = client.enqueue([JobGroup("task", [JobEntry(new_id(), body, checksum(body))])])
    acked += 1
    new += answer.accepted
print(acked, new, client.statistics().connections)
client.close()
"""

FORK = """
import os, sys
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.store.wire.client.blocking import Client

def enqueue(client):
    return client.enqueue([JobGroup("task", [JobEntry(new_id(), b"m", checksum(b"m"))])]).accepted

client = Client.connect(sys.argv[1])
assert enqueue(client) == 1
child = os.fork()
for _ in range(50):
    assert enqueue(client) == 1
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), client.statistics().connections)
client.close()
"""


def start_owner(directory, *options):
    """An owner process and what it said when it was ready."""
    ready, fd = os.pipe()
    command = [sys.executable, "-m", "penstock.store.embedded", *options, "--ready-fd", str(fd), str(directory)]
    process = subprocess.Popen(command, pass_fds=(fd,), env=environment(), stderr=subprocess.DEVNULL)
    os.close(fd)
    word = b""
    while chunk := os.read(ready, 4096):
        word += chunk
    os.close(ready)
    return process, word


def one(number=0):
    body = b"m%d" % number
    return [JobGroup("task", [JobEntry(new_id(), body, checksum(body))])]


def owner_pid(directory):
    return StoreDirectory(directory).owner().pid


def test_clients_that_start_at_once_get_one_owner(directory):
    processes = [run(CONNECT, directory) for _ in range(6)]
    answers = [told(process) for process in processes]
    assert answers == [[owner_pid(directory), 1]] * 6


def test_an_owner_killed_under_load_loses_nothing_and_doubles_nothing(directory):
    with connected(directory) as client:
        processes = begun(4, PRODUCE, directory, 200)
        for kill in range(1, 4):
            while client.totals().counts.accepted_total < 175 * kill:
                client.capabilities()
            os.kill(client.owner_statistics().pid, signal.SIGKILL)
        answers = [told(process) for process in processes]
        assert [answer[:2] for answer in answers] == [[200, 200]] * 4
        assert all(connections > 1 for _, _, connections in answers)
        stats = client.stats().queues["default"]
        assert (stats.accepted_total, stats.ready) == (800, 800)
        assert client.owner_statistics().epoch == 4


@pytest.mark.parametrize(("name", "reason"), [("penstock.db", "is gone"), ("penstock.db-wal", "is gone")])
def test_a_store_whose_files_are_gone_after_a_kill_is_not_started_as_an_empty_one(directory, name, reason):
    with connected(directory) as client:
        client.enqueue(one())
        pid = client.owner_statistics().pid
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    (Path(directory) / name).rename(Path(directory) / "kept")
    with pytest.raises(StoreUnavailable, match=rf"{name} {reason}"), connected(directory) as client:
        client.totals()
    (Path(directory) / "kept").rename(Path(directory) / name)
    with connected(directory) as client:
        assert client.stats().queues["default"].accepted_total == 1


def test_an_owner_without_a_redo_log(directory, monkeypatch):
    monkeypatch.setenv("PENSTOCK_REDO", "off")
    with connected(directory) as client:
        for _ in range(5):
            client.enqueue(one())
        assert client.owner_statistics().deferred == 0
        assert client.health().redo == "off"


def test_a_take_over_keeps_live_leases_and_gives_higher_fences(directory):
    with connected(directory) as client:
        client.enqueue(one())
        client.enqueue(one())
        held = client.lease(LeaseRequest(b"h" * 16, 1))
        os.kill(owner_pid(directory), signal.SIGKILL)
        later = client.lease(LeaseRequest(b"h" * 16, 1))
        assert later.first_fence > held.first_fence
        assert client.settle(Outcomes(b"h" * 16, forgotten=[held.first_fence, later.first_fence])).stale == []


def test_a_detached_owner_leaves_when_it_is_alone(directory):
    process, word = start_owner(directory, "--detached", "--idle-s", "0.2")
    assert (process.wait(), word) == (0, SERVING)
    pid = owner_pid(directory)
    with connected(directory, start_owner=False) as client:
        assert client.owner_statistics().pid == pid
    wait_for_end(pid)
    with pytest.raises(StoreUnavailable, match="Nobody serves"):
        Client.connect(directory, start_owner=False, reach_s=0.1)


def test_an_owner_under_up_takes_over_from_a_detached_one_and_keeps_what_it_has(directory):
    with connected(directory) as client:
        client.enqueue(one())
        detached = owner_pid(directory)
        process, word = start_owner(directory, "--handover")
        try:
            assert word == SERVING
            assert client.enqueue(one()) == EnqueueAnswer(1, [])
            assert client.owner_statistics().pid == process.pid != detached
            wait_for_end(detached)
            second, word = start_owner(directory, "--handover")
            assert second.wait() == 3
            assert b"stop it first" in word
        finally:
            process.terminate()
            assert process.wait() == 0


def test_sigterm_ends_an_owner_in_order(directory):
    process, _ = start_owner(directory)
    with connected(directory, start_owner=False) as client:
        client.enqueue(one())
        process.terminate()
        assert process.wait() == 0
    directory_now = StoreDirectory(directory)
    assert not (directory / "penstock.db-wal").exists()
    assert not os.path.exists(directory_now.socket_path)
    lock = directory_now.open_lock()
    assert lock.take()
    lock.release()


def test_an_owner_ends_with_the_parent_it_was_given(directory):
    script = """
import subprocess, sys, os
ready, fd = os.pipe()
command = [sys.executable, "-m", "penstock.store.embedded", "--parent", str(os.getpid()), "--ready-fd", str(fd)]
owner = subprocess.Popen([*command, sys.argv[1]], pass_fds=(fd,))
os.close(fd)
os.read(ready, 100)
print(owner.pid, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script, str(directory)]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
    with parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    wait_for_end(pid)


def test_a_stopped_owner_is_unavailable_in_bounded_time_and_back_when_it_goes_on(directory):
    with connected(directory) as starter:
        starter.capabilities()  # an owner takes as long to start as the machine lets it
    with connected(directory, reach_s=0.5) as client:
        pid = owner_pid(directory)
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            client.enqueue(one())
        with pytest.raises(StoreUnavailable):
            client.lease(LeaseRequest(b"h" * 16, 1), wait_s=0.1)
        with pytest.raises(StoreUnavailable):
            Client.connect(directory, reach_s=0.5)
        assert time.monotonic() - began < DEADLINE_S
        os.kill(pid, signal.SIGCONT)
        with connected(directory) as patient:
            patient.capabilities()
        assert client.enqueue(one()) == EnqueueAnswer(1, [])


def test_a_socket_works_however_long_its_directory_is(tmp_path):
    directory = tmp_path / ("x" * 120) / ("y" * 120)
    with connected(directory) as client:
        assert client.enqueue(one()) == EnqueueAnswer(1, [])
        os.kill(client.owner_statistics().pid, signal.SIGTERM)


def test_a_refusal_of_the_owner_reaches_the_caller_at_once(directory):
    directory.mkdir()
    (directory / "format").write_text("99\n")
    with pytest.raises(StoreUnavailable, match="upgrade Penstock"):
        Client.connect(directory)
    with pytest.raises(StoreUnavailable, match="upgrade Penstock"):
        asyncio.run(AsyncClient.connect(directory))


def test_a_forked_child_is_a_client_of_its_own(directory):
    assert told(run(FORK, directory)) == [0, 1]
    with connected(directory) as client:
        assert client.stats().queues["default"].accepted_total == 101


def test_an_async_client_survives_its_owner_and_gives_back_only_what_it_does_not_hold(directory):
    async def story():
        held = []
        client = await AsyncClient.connect(directory, held=lambda: held)
        await asyncio.gather(*(client.enqueue(one(number)) for number in range(20)))
        batch = await client.lease(LeaseRequest(b"h" * 16, 5))
        held += [batch.first_fence + index for index in range(len(batch.jobs))]
        parked = asyncio.create_task(client.wait([batch.jobs[0].id], DEADLINE_S))
        os.kill(owner_pid(directory), signal.SIGKILL)
        answers = await asyncio.gather(*(client.enqueue(one(number)) for number in range(20)))
        assert {answer.accepted for answer in answers} == {1}
        assert (await client.settle(Outcomes(b"h" * 16, forgotten=held))).stale == []
        assert await parked == [None]
        stats = (await client.stats()).queues["default"]
        assert (stats.accepted_total, stats.succeeded_total, stats.running) == (40, 5, 0)
        assert client.statistics().connections == 2
        await client.close()

    asyncio.run(story())


def test_a_wait_sees_the_end_that_another_process_brings(directory):
    with connected(directory) as client, connected(directory) as worker:
        group = one()
        client.enqueue(group)
        batch = worker.lease(LeaseRequest(b"h" * 16, 1))
        assert client.cancel([batch.jobs[0].id]) == [State.RUNNING]
        worker.settle(Outcomes(b"h" * 16, forgotten=[batch.first_fence]))
        assert client.wait([group[0].jobs[0].id], DEADLINE_S) == [None]
