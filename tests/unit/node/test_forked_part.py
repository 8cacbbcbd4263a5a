"""How what a part's entry returns or raises becomes an exit status and a reason."""

from __future__ import annotations

import json
import os
import sys

import pytest

from penstock.model.errors import AddressUnavailable, Conflict, InvalidOption, StoreUnavailable
from penstock.node.forked_part import PartSpec
from penstock.node.system import System


def life_of(entry) -> tuple[int, str | None, str]:
    """A part's exit status, the reason it reported, and what it printed to standard error."""

    def run(fd: int) -> int | None:
        # pytest has a stream of its own there.
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 - it stays open to the end
        return entry(fd)

    system = System()
    reading, writing = os.pipe()
    printed, prints = os.pipe()
    kept = os.dup(2)
    os.dup2(prints, 2)
    try:
        pid = system.fork(PartSpec("gate", run), (), writing, -1, [reading, printed])
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(prints)
        os.close(writing)
    with os.fdopen(reading) as pipe, os.fdopen(printed) as errors:
        said, shown = pipe.read(), errors.read()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), json.loads(said).get("failure") if said else None, shown


def raising(error: BaseException):
    def entry(_fd: int) -> int:
        raise error

    return entry


@pytest.mark.parametrize(("answer", "status"), [(None, 0), (0, 0), (4, 4)])
def test_what_an_entry_answers_is_the_status(answer, status) -> None:
    assert life_of(lambda _: answer) == (status, None, "")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (KeyboardInterrupt(), 130, None),
        (SystemExit(), 0, None),
        (SystemExit(4), 4, None),
        (SystemExit("words"), 1, None),
        (InvalidOption("The host is unknown.", field="gate"), 2, "The host is unknown."),
        (StoreUnavailable("There is no store."), 3, "There is no store."),
        (AddressUnavailable("The address is taken."), 3, "The address is taken."),
        (Conflict("Somebody was first."), 1, "Somebody was first."),
        (OSError(28, "No space left on device"), 1, "[Errno 28] No space left on device"),
    ],
)
def test_an_error_that_is_foreseen_is_a_status_and_a_reason(error, status, reason) -> None:
    assert life_of(raising(error)) == (status, reason, "")


def test_an_error_that_nobody_foresaw_has_its_traceback_too() -> None:
    status, reason, shown = life_of(raising(ValueError("out of order")))
    assert (status, reason) == (1, "ValueError: out of order")
    assert "Traceback" in shown
    assert "in entry" in shown


def test_a_reason_is_told_though_the_entry_has_closed_its_pipe() -> None:
    def entry(fd: int) -> int:
        os.close(fd)
        raise StoreUnavailable("gone")

    assert life_of(entry) == (3, "gone", "")


def test_a_part_leads_a_session_and_reads_nothing() -> None:
    def entry(_fd: int) -> int:
        assert os.getsid(0) == os.getpid()
        assert os.read(0, 1) == b""
        return 0

    assert life_of(entry) == (0, None, "")
