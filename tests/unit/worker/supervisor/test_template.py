"""The supervisor's handle on the forkserver. What it does with a real one is in the acceptance tests."""

from __future__ import annotations

import importlib

from penstock.worker.supervisor import template


def test_the_program_it_starts_is_there() -> None:
    """It is named and not imported, so nobody else would notice that the module has moved."""
    module = importlib.import_module(template.FORKSERVER)
    assert callable(module.main)
