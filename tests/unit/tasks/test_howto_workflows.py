"""The how-to page on workflows says what is so: its examples run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import penstock
from penstock.cli.workflows import _ACTIONS
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
    text, _, others = PAGE.read_text(encoding="utf-8").partition("## Coming from Celery or Machinery")
    handle = text.partition("## The handle")[2].partition("## From the command line")[0]
    for name in re.findall(r"`\.(\w+)", handle):
        assert hasattr(penstock.Workflow, name), name
    ours = "".join(line.split("|")[2] for line in others.splitlines() if line.startswith("|"))
    for name in re.findall(r"`task\.(\w+)\(", text + ours):
        assert hasattr(penstock.Task, name), name
    for name in re.findall(r"`\.(\w+)", ours):
        assert hasattr(penstock.Workflow, name) or hasattr(penstock.Signature, name), name
    for name in re.findall(r"`ctx\.(\w+)", text + ours):
        assert hasattr(penstock.Context, name), name


def test_its_commands_are_commands() -> None:
    """Each action of the command line that the page shows is one."""
    said = re.findall(r"^penstock workflows ID (\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(said) == set(_ACTIONS) - {"delete"}
