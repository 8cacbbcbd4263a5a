"""What the tests of a worker's parts have in common."""

from __future__ import annotations

from contextlib import suppress

import pytest

from penstock.worker.executor import process_lane, thread_lane


@pytest.fixture(autouse=True)
def lanes_end_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane's thread that finds its socket closed ends the process it is in, with status 0. Here that would be the
    whole test run, and nobody would notice."""
    for lane in (process_lane, thread_lane):
        monkeypatch.setattr(lane, "fatal", lambda: suppress(OSError))
