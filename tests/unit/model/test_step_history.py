import math

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.durable_steps import JobRecords, Record, RecordKind, Suspended
from penstock.model.errors import InvalidOption, ResultTooLarge
from penstock.model.job import JobView
from penstock.model.job_error import JobError
from penstock.model.states import State
from penstock.model.step_history import (
    NEVER,
    added,
    check_jobs,
    check_published,
    check_suspended,
    due,
    is_end,
    reason_of,
    shown,
    timed,
    waits,
)

STEP = Record(0, "charge", RecordKind.STEP, b"m\x01")
FAILED = Record(0, "charge", RecordKind.STEP, error=JobError("ValueError", "no"))
TRIES = Record(0, "charge", RecordKind.TRIES, until=50.0, tries=1)
SLEEP = Record(0, "sleep", RecordKind.SLEEP, until=50.0)
EVENT = Record(0, "approved", RecordKind.EVENT)
CAME = replace(EVENT, value=b"m\xc0")
LATE = replace(EVENT, until=50.0, timed_out=True)
ENDS = [STEP, FAILED, CAME, LATE]
WAITS = [TRIES, SLEEP, EVENT, replace(EVENT, until=50.0)]


def test_an_end_stands_and_what_is_waited_for_gives_way():
    for new in (*ENDS, *WAITS):
        assert added(None, new) is new
        assert all(added(end, new) is end for end in ENDS)
        assert all(added(wait, new) is new for wait in WAITS)
    assert all(map(is_end, ENDS))
    assert not any(map(is_end, WAITS))


def test_a_time_begins_when_it_is_not_known_yet():
    asleep = Record(3, "sleep", RecordKind.SLEEP)
    assert timed(Suspended(1, asleep, delay_s=5.0), 100.0).until == 105.0
    assert timed(Suspended(1, asleep, delay_s=-5.0), 100.0).until == 100.0
    assert timed(Suspended(1, asleep, delay_s=1e12), 0.0).until == limits.DELAY_S_MAX
    assert timed(Suspended(1, SLEEP, delay_s=500.0), 100.0) is SLEEP
    assert timed(Suspended(1, EVENT), 100.0) is EVENT


def test_who_waits_without_a_limit_is_never_due_and_nobody_is_shown_when():
    assert (due(EVENT), due(SLEEP)) == (NEVER, 50.0)
    view = JobView(b"", "t", "q", State.SCHEDULED, 0, 0, 5, 0.0, run_at=NEVER)
    assert shown(view) == replace(view, run_at=None)
    for run_at in (None, 50.0):
        same = replace(view, run_at=run_at)
        assert shown(same) is same


@pytest.mark.parametrize(
    "last, run_at, is_suspended",
    [(None, 50.0, False), (SLEEP, 50.0, True), (SLEEP, 51.0, False), (EVENT, NEVER, True), (CAME, NEVER, False)],
)
def test_a_scheduled_job_is_suspended_when_it_is_due_at_the_end_of_its_last_wait(last, run_at, is_suspended):
    assert waits(last, run_at) is is_suspended


def test_what_is_waited_for_is_said():
    said = [reason_of(record) for record in (EVENT, SLEEP, TRIES)]
    assert said == ["waits for event 'approved'", "sleeps", "tries step 'charge' again"]


def one(*records, **told):
    return [JobRecords(1, bytes(16), list(records), **told)]


@pytest.mark.parametrize(
    "jobs, field",
    [
        (one(replace(STEP, place=limits.RECORDS_OF_JOB_MAX)), "records"),
        (one(replace(STEP, place=-1)), "records"),
        (one(replace(STEP, name="")), "name"),
        (one(replace(STEP, name="ü" * limits.STEP_NAME_BYTES_MAX)), "name"),
        (one(published={"": b""}), "name"),
        (one(replace(SLEEP, until=math.inf)), "until"),
        (one(replace(SLEEP, until=math.nan)), "until"),
    ],
)
def test_what_may_not_be_recorded(jobs, field):
    with pytest.raises(InvalidOption) as refused:
        check_jobs(jobs)
    assert refused.value.field == field


def test_a_value_has_its_limit():
    most = b"m" + bytes(limits.RECORD_BYTES_MAX - 1)
    for told in ({"checkpoint": most}, {"published": {"p": most}}):
        check_jobs(one(**told))
    for jobs in (one(checkpoint=most + b"m"), one(published={"p": most + b"m"}), one(replace(STEP, value=most + b"m"))):
        with pytest.raises(ResultTooLarge, match="RECORD_BYTES_MAX"):
            check_jobs(jobs)


def test_so_many_places_and_names():
    check_jobs(one(replace(STEP, place=limits.RECORDS_OF_JOB_MAX - 1, name="x" * limits.STEP_NAME_BYTES_MAX)))
    check_published(limits.PUBLISHED_VALUES_MAX)
    with pytest.raises(InvalidOption, match="PUBLISHED_VALUES_MAX"):
        check_published(limits.PUBLISHED_VALUES_MAX + 1)


@pytest.mark.parametrize(
    "outcome",
    [Suspended(1, STEP), Suspended(1, SLEEP, delay_s=math.nan), Suspended(1, SLEEP, [replace(STEP, name="")])],
)
def test_how_nobody_is_suspended(outcome):
    with pytest.raises(InvalidOption):
        check_suspended([outcome])
    check_suspended([Suspended(1, SLEEP, [STEP], 5.0), Suspended(1, EVENT)])
