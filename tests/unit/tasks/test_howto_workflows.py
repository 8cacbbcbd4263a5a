"""The how-to page on workflows says what is so: its examples run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import penstock
from penstock.tasks.store_connection import StoreConnection
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from penstock.testing.running import run_ready

PAGE = Path(__file__).parents[3] / "docs/howto/workflows.md"


def test_the_examples_of_the_page_run(monkeypatch: Any) -> None:
    clock = VirtualClock()
    store = MemoryStore(clock)
    make, wait = penstock.Penstock, StoreConnection.wait_workflow
    apps = []

    def penstock_of(_url: str) -> penstock.Penstock:
        apps.append(make(store=store))
        return apps[-1]

    def wait_workflow(connection: StoreConnection, workflow: bytes, wait_s: float) -> Any:
        # A worker's work, in between.
        while run_ready(apps[0], store, clock, limit=2_000):
            store.tick()
        return wait(connection, workflow, wait_s)

    monkeypatch.setattr(penstock, "Penstock", penstock_of)
    monkeypatch.setattr(StoreConnection, "wait_workflow", wait_workflow)
    names: dict[str, Any] = {"__name__": "shop"}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        if ">>>" not in block:
            exec(block, names)
    asked = 0
    for block in blocks:
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, names, PAGE.name, str(PAGE), 0)
            failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, clear_globs=False)
            names.update(test.globs)
            asked += tried
            assert failed == 0
    assert asked == 34


def test_its_tables_name_what_there_is() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"`\.(\w+)", text.partition("## The handle")[2]):
        assert hasattr(penstock.Workflow, name), name
    for name in re.findall(r"`task\.(\w+)\(", text):
        assert hasattr(penstock.Task, name), name
