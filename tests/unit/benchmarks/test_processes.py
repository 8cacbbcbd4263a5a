from __future__ import annotations

import os
import sys

import pytest

from benchmarks.processes import Child, descendants, peak_mb, rss_mb, until
from benchmarks.workspace import Workspace

PARENT = "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True).wait()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"


@pytest.fixture
def start(tmp_path):
    with Workspace(tmp_path) as workspace:
        yield lambda code, **options: workspace.start([sys.executable, "-c", code], **options)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


class TestStopping:
    def test_takes_what_it_started_along(self, start):
        child = start(PARENT)
        until(lambda: len(descendants(child.pid)) == 1, "it has a child", 10.0)
        [grandchild] = descendants(child.pid)
        child.stop()
        assert not child.running()
        until(lambda: not alive(grandchild), "its child is gone", 10.0)

    def test_kills_what_does_not_end_by_itself(self, start, monkeypatch):
        monkeypatch.setattr("benchmarks.processes.STOP_S", 0.1)
        child = start(STUBBORN, talks=True)
        child.line()
        child.stop()
        assert not child.running()

    def test_leaves_the_number_of_one_that_has_ended_to_others(self, start, monkeypatch):
        child: Child = start("")
        until(lambda: not child.running(), "it ends", 10.0)
        monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("somebody was killed"))
        monkeypatch.setattr("benchmarks.processes.descendants", lambda _: pytest.fail("somebody was asked"))
        child.stop()


def test_the_most_memory_of_a_process_is_remembered(start):
    child = start("block = b'x' * 50_000_000; del block; print('freed', flush=True); input()", talks=True)
    child.line()
    assert peak_mb(child.pid) > rss_mb(child.pid) + 40
