"""The how-to page on durable steps says what is so: its examples run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import penstock
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import elapse, leap
from penstock.testing.memory import MemoryStore
from penstock.testing.running import run_ready

PAGE = Path(__file__).parents[3] / "docs/howto/durable-steps.md"


def test_the_examples_of_the_page_run(monkeypatch: Any) -> None:
    clock = VirtualClock()
    store = MemoryStore(clock)
    make = penstock.Penstock
    monkeypatch.setattr(penstock, "Penstock", lambda url: make(store=store))
    names: dict[str, Any] = {"__name__": "shop"}

    def work() -> None:
        while run_ready(names["app"], store, clock):
            elapse(store, clock, 0.0)

    names |= {"work": work, "hours": lambda count: leap(store, clock, count * 3_600.0)}
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
    assert len(blocks) == 9
    assert asked > 20


def test_the_numbers_of_the_page_are_the_limits() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for most in (penstock.model.limits.SIGNALS_KEPT_MAX, penstock.model.limits.RECORDS_OF_JOB_MAX):
        assert f"{most:,}" in text
