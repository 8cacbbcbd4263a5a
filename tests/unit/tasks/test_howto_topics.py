"""The example of the page on topics does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from penstock.model.job import Filter
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from penstock.testing.running import run_ready

PAGE = Path(__file__).parents[3] / "docs/howto/topics.md"


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore(clock := VirtualClock())
    declared, published = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "shop", "store": store}
    exec(compile(declared.replace("Penstock()", "Penstock(store=store)"), PAGE.name, "exec"), names)
    assert run_ready(names["app"], store, clock) == 0, "a worker that starts makes the channels"
    exec(compile(published, PAGE.name, "exec"), names)
    assert run_ready(names["app"], store, clock) == 3
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(" 3")
    assert second == "kept 7"
    queues = sorted(view.queue for view in store.query(Filter()).jobs)
    assert queues == ["orders:archive", "orders:mail", "orders:ship"]
