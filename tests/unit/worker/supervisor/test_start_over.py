"""What staffing does when no process can be started, for want of processes or descriptors."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from penstock.model import limits
from penstock.worker.messages import Loaded
from penstock.worker.options import WorkerOptions
from penstock.worker.supervisor import staffing
from penstock.worker.supervisor.catalogue import Catalogue
from penstock.worker.supervisor.staffing import Staffing, WorkerFailed

TROUBLE = OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class Templates:
    """Stands for `Template`: the first ones cannot be started."""

    def __init__(self, in_vain: int) -> None:
        self._in_vain = in_vain
        self.made = 0

    def __call__(self, *_: object) -> Any:
        self.made += 1
        return SimpleNamespace(start=self._start, gone=False, pid=1)

    async def _start(self) -> Loaded:
        if self.made <= self._in_vain:
            raise TROUBLE
        return Loaded([], [])


@pytest.fixture
def staff(monkeypatch: pytest.MonkeyPatch) -> tuple[Staffing, list[float]]:
    """Staffing without executors, and the pauses it makes."""

    async def loaded(_: Loaded) -> Catalogue:
        return Catalogue()

    made = Staffing(cast(Any, SimpleNamespace(loaded=loaded)), WorkerOptions("some_app:app", executors=0))
    made._output = cast(Any, SimpleNamespace())
    pauses: list[float] = []

    async def pause(pause_s: float) -> None:
        pauses.append(pause_s)

    monkeypatch.setattr(made, "_pause", pause)
    return made, pauses


def test_the_template_is_tried_again_after_longer_and_longer_pauses(staff, monkeypatch, caplog) -> None:
    made, pauses = staff
    templates = Templates(in_vain=3)
    monkeypatch.setattr(staffing, "Template", templates)
    with caplog.at_level(logging.WARNING):
        asyncio.run(made._start_over())
    assert templates.made == 4
    assert pauses == [0.0, 0.0, limits.RESTART_BASE_S, 2 * limits.RESTART_BASE_S]
    assert [record.message for record in caplog.records] == [
        f"cannot start a process that imports the application: {TROUBLE}"
    ]


def test_a_worker_that_can_never_start_one_fails_with_the_reason(staff, monkeypatch) -> None:
    made, _ = staff
    templates = Templates(in_vain=1_000)
    monkeypatch.setattr(staffing, "Template", templates)
    with pytest.raises(WorkerFailed, match=r"cannot start a process that imports some_app:app: .*Too many open files"):
        asyncio.run(made._start_over())
    assert templates.made == limits.STARTS_WITHOUT_READY_MAX
