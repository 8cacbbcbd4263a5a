"""A relay reads a source and is killed again and again, and so is the owner: each offset becomes one job, in order."""

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress

from penstock.model.job import Filter
from penstock.store.directory import StoreDirectory
from penstock.store.opening import open_store
from penstock.store.paging import full_page
from tests.acceptance.conftest import SOURCES, until

OFFSETS = 3_000

RELAY = """
import random, sys
from penstock.model.errors import StaleCursor
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.model.source_cursors import SourceCursor
from penstock.store.opening import open_store

url, fence, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = open_store(url)
# From now on the reader before this one is refused.
client.enqueue([], cursor=SourceCursor("numbers", "0", 0, fence))
position = client.cursors("numbers")[0].offset
print("reads", position, flush=True)
while position < last:
    end = min(last, position + random.randint(1, 9))
    bodies = [b"m%d" % offset for offset in range(position + 1, end + 1)]
    jobs = [JobEntry(new_id(), body, checksum(body)) for body in bodies]
    client.enqueue([JobGroup("app.read", jobs)], cursor=SourceCursor("numbers", "0", end, fence))
    position = end
client.close()
"""


def start_relay(url, fence):
    return subprocess.Popen(
        [sys.executable, "-c", RELAY, str(url), str(fence), str(OFFSETS)],
        env=os.environ | {"PYTHONPATH": str(SOURCES)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def position_of(client):
    return client.cursors("numbers")[0].offset


def test_each_offset_becomes_one_job_whoever_is_killed(tmp_path):
    url, chance = tmp_path / "jobs", random.Random(7)
    client = open_store(url)
    position, fence = 0, 0
    while position < OFFSETS:
        fence += 1
        relay = start_relay(url, fence)
        assert relay.stdout.readline().startswith("reads"), relay.stderr.read()
        goal = min(OFFSETS, position + chance.randint(100, 700))
        until(lambda goal=goal: position_of(client) >= goal)
        if chance.random() < 0.5:
            with suppress(ProcessLookupError):
                os.kill(StoreDirectory(url).owner().pid, signal.SIGKILL)
        if position and chance.random() < 0.3:
            # The next one begins while this one is alive, which is refused from then on.
            successor = start_relay(url, fence + 1)
            assert successor.stdout.readline().startswith("reads"), successor.stderr.read()
            _, errors = relay.communicate(timeout=60)
            assert relay.returncode == 0 or "StaleCursor" in errors
            fence, relay = fence + 1, successor
        relay.kill()
        relay.communicate()
        position = position_of(client)
    assert fence > 3
    found, cursor = [], None
    while True:
        page = full_page(client, Filter(), cursor=cursor, limit=1_000)
        views = client.get([view.id for view in page.jobs], body=True)
        found += [int(view.body[1:]) for view in views]
        cursor = page.cursor
        if cursor is None:
            break
    client.close()
    assert sorted(found) == list(range(1, OFFSETS + 1))
