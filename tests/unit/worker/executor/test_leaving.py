"""What ends an executor."""

from __future__ import annotations

import os
import sys

import pytest

from penstock.worker.executor import leaving


class Left(BaseException):
    """Instead of the end of the process."""


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ValueError("v"), 1, True),
        (SystemExit(0), 1, True),
        (BrokenPipeError(), 0, False),
        (ConnectionResetError(), 0, False),
    ],
)
def test_whatever_is_raised_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, told: bool
) -> None:
    statuses, shown = [], []

    def leave(status: int) -> None:
        statuses.append(status)
        raise Left

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(sys, "excepthook", lambda *about: shown.append(about[1]))
    with pytest.raises(Left), leaving.fatal():
        raise error
    assert (statuses, shown) == ([status], [error] if told else [])


def test_nothing_happens_when_nothing_is_raised() -> None:
    with leaving.fatal():
        pass
