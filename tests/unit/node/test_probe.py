"""Looking at an application from a process that must not import it."""

from __future__ import annotations

import sys
import time

import pytest

from penstock.model.errors import InvalidOption
from penstock.node.probe import probe

NAME = "probed_application"
APP = """
from penstock import Penstock
app = Penstock("jobs")
@app.task
def work(): ...
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def put(source: str) -> str:
        (tmp_path / f"{NAME}.py").write_text(source)
        return f"{NAME}:app"

    return put


def test_it_answers_where_the_jobs_are_and_imports_nothing_here(write, tmp_path) -> None:
    assert probe(write(APP)) == str(tmp_path / "jobs")
    assert NAME not in sys.modules


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", f"{NAME}' has no 'app'"),
        ("app = 3", "is an int, not a Penstock application"),
        ("from penstock import Penstock\napp = Penstock('jobs')", "has no task"),
        ("raise ValueError('out of order')", "ValueError: out of order"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise ValueError('x' * 100_000)", "ValueError: xxx"),
        (APP + "\n@app.task\ndef odd(x: 'Missing'): ...\n", "Missing"),
        ("import os; os._exit(7)", "ended its process (status 7)"),
        ("import os; os.kill(os.getpid(), 9)", "ended its process (SIGKILL)"),
    ],
)
def test_an_application_that_cannot_be_used_is_refused_with_the_reason(write, source, reason) -> None:
    with pytest.raises(InvalidOption) as refused:
        probe(write(source))
    assert reason in refused.value.message
    assert NAME not in sys.modules


def test_what_the_import_leaves_running_is_not_waited_for(write) -> None:
    before = time.monotonic()
    source = APP + "\nimport os, signal\nif os.fork() == 0:\n    signal.alarm(20)\n    signal.pause()\n"
    assert probe(write(source)).endswith("jobs")
    assert time.monotonic() - before < 15
