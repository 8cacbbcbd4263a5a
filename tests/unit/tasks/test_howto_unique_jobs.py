"""The how-to page on unique jobs says what is so: its examples run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import penstock
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore

PAGE = Path(__file__).parents[3] / "docs/howto/unique-jobs.md"


def test_the_examples_of_the_page_run(monkeypatch: Any) -> None:
    clock = VirtualClock()
    store = MemoryStore(clock)
    make = penstock.Penstock
    monkeypatch.setattr(penstock, "Penstock", lambda url: make(store=store))
    names: dict[str, Any] = {"__name__": "shop"}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    asked = 0
    for block in blocks:
        if ">>>" not in block:
            exec(block, names)
            continue
        test = doctest.DocTestParser().get_doctest(block, names, PAGE.name, str(PAGE), 0)
        failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, clear_globs=False)
        names.update(test.globs)
        asked += tried
        assert failed == 0
    assert len(blocks) == 6
    assert asked > 8


def test_the_rows_of_its_tables_are_rules() -> None:
    rules = re.findall(r"`(Unique\(.*?\))` \|", PAGE.read_text(encoding="utf-8"))
    assert len(rules) == 3
    for rule in rules:
        eval(rule, {"Unique": penstock.Unique, "State": penstock.State})
