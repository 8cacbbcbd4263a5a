"""What `import penstock` gives, and what it does not cost."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import penstock
from penstock.model import errors
from penstock.model.version import installed_version

SOURCE = str(Path(penstock.__file__).parents[1])
HEAVY = ["apsw", "asyncio", "click", "httptools", "multiprocessing", "pydantic", "rich", "sqlite3", "uvloop"]


def test_every_public_name_is_there_once():
    assert len(set(penstock.__all__)) == len(penstock.__all__)
    assert all(hasattr(penstock, name) for name in penstock.__all__)


def test_every_name_that_is_there_is_public():
    for name in penstock.__all__:
        getattr(penstock, name)  # loads what is loaded when asked for
    there = {name for name, thing in vars(penstock).items() if isinstance(thing, type) and not name.startswith("_")}
    assert there | {"chain", "chord", "dag", "group"} == set(penstock.__all__)


@pytest.mark.parametrize("kind", [penstock.Penstock, penstock.Job, penstock.Workflow])
def test_whatever_asks_the_store_is_there_for_coroutines_too(kind):
    """And under the same name, with the same arguments."""
    here = {"add", "check_queues", "consumer", "get", "queue", "redirect", "schedule", "schedule_records", "task"}
    methods = {name: one for name, one in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}
    blocking = {name for name in methods if not name.endswith("_async")} - here
    assert len(blocking) >= 4
    for name in blocking:
        blocks, awaits = inspect.signature(methods[name]), inspect.signature(methods[f"{name}_async"])
        assert blocks.parameters == awaits.parameters, name
        does_await = inspect.iscoroutinefunction(methods[f"{name}_async"])
        assert does_await or inspect.isasyncgenfunction(methods[f"{name}_async"]), name


def test_every_error_is_public_but_the_one_that_is_a_bug():
    there = {kind.__name__ for kind in errors.BY_CODE.values()}
    assert there - set(penstock.__all__) == {"IllegalTransition"}


def test_it_knows_its_version(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda _: "1.2.3")
    assert penstock.__version__ == "1.2.3"


def test_from_sources_that_are_not_installed_its_version_is_unknown(monkeypatch):
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert installed_version() == "0+unknown"


def test_importing_it_imports_nothing_heavy():
    code = f"import json, sys, penstock; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env={"PYTHONPATH": SOURCE})
    assert json.loads(found.stdout) == []
