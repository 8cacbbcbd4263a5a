import pytest

from penstock.model import limits
from penstock.model.acceptance import check_groups, check_priority, check_run_at
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.job import JobEntry, JobGroup

NOW = 1_800_000_000.0


def group(count=1, body=b"m", key=None, **options):
    return JobGroup("app.work", [JobEntry(bytes(16), body, 0, key)] * count, **options)


def test_the_jobs_of_all_groups_are_counted():
    assert check_groups([], NOW) == 0
    assert check_groups([group(2), group(0), group(3)], NOW) == 5


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ({"priority": 101}, "priority"),
        ({"delay_s": 1.0, "run_at": NOW}, "run_at"),
        ({"delay_s": limits.DELAY_S_MAX * 2}, "delay_s"),
        ({"delay_s": float("nan")}, "delay_s"),
        ({"run_at": NOW + limits.DELAY_S_MAX * 2}, "run_at"),
        ({"expires_s": 0.0}, "expires_s"),
        ({"expires_s": float("nan")}, "expires_s"),
        ({"tags": ["t"] * (limits.JOB_TAGS_MAX + 1)}, "tags"),
        ({"headers": {"h": "é" * (limits.JOB_HEADERS_BYTES_MAX // 2)}}, "headers"),
        ({"key": "é" * (limits.IDEMPOTENCY_KEY_BYTES_MAX // 2 + 1)}, "idempotency_key"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_option_outside_its_limit_is_refused_by_name(option, field):
    with pytest.raises(InvalidOption) as refused:
        check_groups([group(), group(**option)], NOW)
    assert refused.value.field == field
    assert refused.value.message


def test_a_body_or_batch_over_its_limit_is_too_large():
    check_groups([group(body=b"m" * limits.JOB_BODY_BYTES_MAX)], NOW)
    with pytest.raises(BodyTooLarge, match="the limit for one job"):
        check_groups([group(body=b"m" * (limits.JOB_BODY_BYTES_MAX + 1))], NOW)
    check_groups([group(limits.BATCH_JOBS_MAX)], NOW)
    with pytest.raises(BodyTooLarge, match=str(limits.BATCH_JOBS_MAX)):
        check_groups([group(limits.BATCH_JOBS_MAX), group()], NOW)


def test_the_past_is_a_fine_time():
    check_run_at(0.0, NOW)
    check_run_at(-1e15, NOW)
    check_groups([group(delay_s=-1.0)], NOW)


@pytest.mark.parametrize("priority", [-101, 101])
def test_a_priority_outside_its_range_is_refused(priority):
    with pytest.raises(InvalidOption):
        check_priority(priority)
    check_priority(priority - priority // abs(priority))
