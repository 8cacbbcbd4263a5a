"""What a running job knows and may say."""

from __future__ import annotations

import logging

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.ids import id_text, new_id
from penstock.model.job import Progress
from penstock.tasks.context import Context


def _context(**more):
    return Context(job_id=new_id(), task="shop.pay", queue="money", attempt=2, max_attempts=5, **more)


def test_it_knows_its_job():
    job_id = new_id()
    context = Context(
        job_id=job_id, task="shop.pay", queue="money", attempt=2, max_attempts=5, deadline=9.5, headers={"a": "b"}
    )
    assert context.job_id == id_text(job_id)
    known = (context.task, context.queue, context.attempt, context.max_attempts, context.deadline, context.headers)
    assert known == ("shop.pay", "money", 2, 5, 9.5, {"a": "b"})


def test_progress_goes_to_whoever_listens():
    heard = []
    context = _context(report_progress=heard.append)
    context.progress(1)
    context.progress(2, 4, "half")
    assert heard == [Progress(1.0), Progress(2.0, 4.0, "half")]


def test_cancellation_is_asked_for_each_time():
    answers = iter([False, True])
    context = _context(is_cancelled=lambda: next(answers))
    assert [context.cancelled(), context.cancelled()] == [False, True]


def test_log_records_carry_the_job(caplog):
    context = _context()
    with caplog.at_level(logging.INFO, logger="penstock.task"):
        context.logger.info("paid %s", 3, extra={"amount": 3})
    [record] = caplog.records
    assert record.getMessage() == f"shop.pay {context.job_id}: paid 3"
    assert (record.job_id, record.task, record.attempt, record.amount) == (context.job_id, "shop.pay", 2, 3)


def test_a_local_context_is_of_no_job_and_harmless():
    context = Context.local(headers={"a": "b"})
    context.progress(1)
    assert not context.cancelled()
    assert context.headers == {"a": "b"}
    assert context.attempt == context.max_attempts == 1


@pytest.mark.parametrize(
    "said", [("1",), (None,), (float("nan"),), (float("inf"),), (10**400,), (1, "2"), (1, float("inf")), (1, 2, 7)]
)
def test_progress_that_cannot_be_told_is_refused(said):
    heard = []
    with pytest.raises(InvalidOption):
        _context(report_progress=heard.append).progress(*said)
    assert heard == []


@pytest.mark.parametrize(
    ("note", "kept"),
    [
        ("\ud800 lone", "? lone"),
        ("x" * 10**6, "x" * limits.PROGRESS_NOTE_BYTES_MAX),
        ("€" * 10**6, "€" * (limits.PROGRESS_NOTE_BYTES_MAX // 3)),
    ],
)
def test_any_text_is_a_note(note, kept):
    heard = []
    _context(report_progress=heard.append).progress(1, note=note)
    assert heard == [Progress(1.0, None, kept)]
