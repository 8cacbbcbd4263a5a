"""What a store checks before it accepts anything, to the very limit, and the words of each refusal."""

from __future__ import annotations

import math
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.acceptance import (
    CHECKSUM_MAX,
    check_children,
    check_edit,
    check_extension,
    check_groups,
    check_lease,
    check_new_queues,
    check_outcomes,
    check_priority,
    check_queue,
    check_records,
    check_run_at,
    check_stats,
    check_task,
    check_wait,
)
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.job import (
    Buried,
    Cancelled,
    Extension,
    JobEntry,
    JobError,
    JobGroup,
    LeaseRequest,
    Lost,
    Outcomes,
    Progress,
    Retried,
    Snoozed,
    Succeeded,
    TaskRecord,
)
from penstock.model.losses import Loss

NOW = 1_800_000_000.0
NAN, INFINITY = math.nan, math.inf
FAR = limits.TIME_S_MAX
HEADERS, BODY = limits.JOB_HEADERS_BYTES_MAX, limits.JOB_BODY_BYTES_MAX
VALUE, NAME = limits.JOB_VALUE_BYTES_MAX, limits.JOB_VALUE_NAME_BYTES_MAX
ERROR = JobError("E", "m", None)
HOLDER = b"a holder of jobs"


def entry(**parts: Any) -> JobEntry:
    return JobEntry(**{"id": bytes(16), "body": b"m", "checksum": 0} | parts)


def group(count: int = 1, *, task: str = "app.work", jobs: list[JobEntry] | None = None, **options: Any) -> JobGroup:
    return JobGroup(task, [entry()] * count if jobs is None else jobs, **options)


def refusal(check: Any, *arguments: Any, **options: Any) -> tuple[str, str | None]:
    """What is said, and of which field."""
    with pytest.raises((InvalidOption, BodyTooLarge)) as refused:
        check(*arguments, **options)
    return refused.value.message, getattr(refused.value, "field", None)


class TestGroups:
    def test_the_jobs_of_all_groups_are_counted(self) -> None:
        assert check_groups([], NOW) == (0, True)
        assert check_groups([group(2), group(0), group(3)], NOW) == (5, True)

    @pytest.mark.parametrize("own", [{"idempotency_key": "k"}, {"values": {"n": "1"}}, {"searchable": {"n": "1"}}])
    def test_one_job_that_is_not_plain_is_told(self, own: dict[str, Any]) -> None:
        assert check_groups([group(2), group(jobs=[entry(), entry(**own), entry()])], NOW) == (5, False)

    @pytest.mark.parametrize(
        "options",
        [
            {"priority": limits.PRIORITY_MIN},
            {"priority": limits.PRIORITY_MAX},
            {"delay_s": limits.DELAY_S_MAX},
            {"delay_s": -1.0},
            {"run_at": NOW + limits.DELAY_S_MAX},
            {"run_at": -1e15},
            {"expires_s": 1e-9},
            {"expires_s": FAR},
            {"tags": ["t"] * limits.JOB_TAGS_MAX},
            {"headers": {"h": "é" * ((limits.JOB_HEADERS_BYTES_MAX - 1) // 2)}},
            {"queue": "A-z_0.9" * 9},
            {"task": "_" * 200},
            {"jobs": [entry(body=b"m" * limits.JOB_BODY_BYTES_MAX)]},
            {"jobs": [entry(checksum=CHECKSUM_MAX)]},
            {"jobs": [entry(idempotency_key="é" * (limits.IDEMPOTENCY_KEY_BYTES_MAX // 2))]},
            {"jobs": [entry(idempotency_key="k", identity=(0, CHECKSUM_MAX))]},
            {"jobs": [entry(values={f"n{at}": "é" * (VALUE // 2) for at in range(limits.JOB_VALUES_MAX)})]},
            {"jobs": [entry(values={"é" * (NAME // 2): ""})]},
            {"count": limits.BATCH_JOBS_MAX},
        ],
        ids=lambda options: next(iter(options)),
    )
    def test_what_is_just_within_its_limit_is_accepted(self, options: dict[str, Any]) -> None:
        jobs = options.get("jobs")
        assert check_groups([group(**options)], NOW).jobs == options.get("count", 1 if jobs is None else len(jobs))

    @pytest.mark.parametrize(
        ("options", "field", "message"),
        [
            ({"priority": -101}, "priority", "A priority is between -100 and 100, not -101."),
            ({"priority": 101}, "priority", "A priority is between -100 and 100, not 101."),
            ({"delay_s": 1.0, "run_at": NOW}, "run_at", "app.work: either delay_s or run_at, not both."),
            ({"delay_s": limits.DELAY_S_MAX + 1}, "delay_s", "delay_s is at most 3153600000 seconds from now."),
            ({"delay_s": NAN}, "delay_s", "delay_s is at most 3153600000 seconds from now."),
            ({"run_at": NOW + limits.DELAY_S_MAX + 1}, "run_at", "run_at is at most 3153600000 seconds from now."),
            ({"run_at": -INFINITY}, "run_at", "run_at is at most 3153600000 seconds from now."),
            ({"expires_s": 0.0}, "expires_s", "app.work: expires_s is a number of seconds, more than 0."),
            ({"expires_s": 2 * FAR}, "expires_s", "app.work: expires_s is a number of seconds, more than 0."),
            ({"expires_s": NAN}, "expires_s", "app.work: expires_s is a number of seconds, more than 0."),
            ({"tags": ["t"] * (limits.JOB_TAGS_MAX + 1)}, "tags", f"app.work: at most {limits.JOB_TAGS_MAX} tags."),
            (
                {"headers": {"h": "é" * (limits.JOB_HEADERS_BYTES_MAX // 2)}},
                "headers",
                f"app.work: {HEADERS + 1} bytes of headers; the limit is {HEADERS}.",
            ),
            ({"queue": "a b"}, "queue", "'a b' is no name for a queue: 1 to 64 of A-Z a-z 0-9 _ . -"),
            (
                {"task": "1"},
                "task",
                "'1' is no name for a task: a letter or _, then up to 199 of A-Z a-z 0-9 _ . : -",
            ),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
    )
    def test_an_option_outside_its_limit_is_refused_by_name(
        self, options: dict[str, Any], field: str, message: str
    ) -> None:
        assert refusal(check_groups, [group(), group(**options)], NOW) == (message, field)

    @pytest.mark.parametrize(
        ("parts", "field", "message"),
        [
            ({"id": bytes(15)}, "id", "app.work: a job id has 16 bytes."),
            ({"id": bytes(17)}, "id", "app.work: a job id has 16 bytes."),
            ({"checksum": -1}, "checksum", "app.work: a body's checksum is a CRC-32, not -1."),
            ({"checksum": 1 << 32}, "checksum", "app.work: a body's checksum is a CRC-32, not 4294967296."),
            (
                {"idempotency_key": "k", "identity": (0, CHECKSUM_MAX + 1)},
                "identity",
                "app.work: what a key is compared by is a CRC-32 and a length.",
            ),
            (
                {"idempotency_key": "k", "identity": (-1, 0)},
                "identity",
                "app.work: what a key is compared by is a CRC-32 and a length.",
            ),
            (
                {"idempotency_key": "é" * (limits.IDEMPOTENCY_KEY_BYTES_MAX // 2) + "k"},
                "idempotency_key",
                f"app.work: an idempotency key has at most {limits.IDEMPOTENCY_KEY_BYTES_MAX} bytes.",
            ),
            (
                {"values": {f"n{at}": "" for at in range(limits.JOB_VALUES_MAX + 1)}},
                "values",
                f"app.work: a job has at most {limits.JOB_VALUES_MAX} values.",
            ),
            (
                {"values": {"tenant": "é" * (VALUE // 2) + "x"}},
                "values",
                f"app.work: the value of 'tenant' has at most {VALUE} bytes; send the SHA-256 of a longer one.",
            ),
            (
                {"values": {"a\nb": ""}},
                "values",
                f"app.work: 'a\\nb' is no name for a value: one line of at most {NAME} bytes.",
            ),
            (
                {"body": b"m" * (limits.JOB_BODY_BYTES_MAX + 1)},
                None,
                f"app.work: {BODY + 1} bytes of arguments; the limit for one job is {BODY}.",
            ),
        ],
    )
    def test_a_job_that_is_none_is_refused_by_the_part_that_is_wrong(
        self, parts: dict[str, Any], field: str | None, message: str
    ) -> None:
        assert refusal(check_groups, [group(jobs=[entry(), entry(**parts)])], NOW) == (message, field)

    def test_a_request_over_its_limit_is_too_large(self) -> None:
        most = limits.BATCH_JOBS_MAX
        said, _ = refusal(check_groups, [group(most), group()], NOW)
        assert said == f"{most + 1} jobs in one request; the limit is {most}."


class TestOutcomes:
    def test_times_within_reach_are_accepted(self) -> None:
        done = Succeeded(1, NOW, NOW)
        check_outcomes(Outcomes(HOLDER, succeeded=[done], retried=[Retried(2, 1.0, ERROR)]), NOW)
        check_outcomes(Outcomes(HOLDER, lost=[Lost(1, Loss.STRAY, ERROR, None)], forgotten=[2]), NOW)

    @pytest.mark.parametrize("time", [NAN, INFINITY, -INFINITY, 2 * FAR, -2 * FAR])
    @pytest.mark.parametrize(
        "make",
        [
            lambda time: Outcomes(HOLDER, retried=[Retried(1, time, ERROR)]),
            lambda time: Outcomes(HOLDER, snoozed=[Snoozed(1, time)]),
            lambda time: Outcomes(HOLDER, buried=[Buried(1, ERROR, keep_s=time)]),
            lambda time: Outcomes(HOLDER, cancelled=[Cancelled(1, keep_record_s=time)]),
            lambda time: Outcomes(HOLDER, lost=[Lost(1, Loss.STRAY, ERROR, time)]),
            lambda time: Outcomes(HOLDER, succeeded=[Succeeded(1, time, 0.0)]),
            lambda time: Outcomes(HOLDER, succeeded=[Succeeded(1, 0.0, time)]),
            lambda time: Outcomes(HOLDER, succeeded=[Succeeded(1, 0.0, 0.0, keep_result_s=time)]),
            lambda time: Outcomes(HOLDER, succeeded=[Succeeded(1, 0.0, 0.0, keep_record_s=time)]),
        ],
    )
    def test_a_time_out_of_reach_is_refused_wherever_it_stands(self, make: Any, time: float) -> None:
        expected = ("A time in a settlement is not a number, or out of reach.", "outcomes")
        assert refusal(check_outcomes, make(time), NOW) == expected

    def test_a_fence_stands_in_it_once(self) -> None:
        check_outcomes(Outcomes(HOLDER, forgotten=[1], released=[2]), NOW)
        expected = ("A settlement says of one fence only once what became of it.", "outcomes")
        assert refusal(check_outcomes, Outcomes(HOLDER, forgotten=[1], released=[1]), NOW) == expected

    def test_only_so_many_are_settled_at_a_time(self) -> None:
        most = limits.SETTLE_JOBS_MAX
        check_outcomes(Outcomes(HOLDER, forgotten=list(range(most))), NOW)
        said, _ = refusal(check_outcomes, Outcomes(HOLDER, forgotten=list(range(most + 1))), NOW)
        assert said == f"{most + 1} outcomes in one settlement; the limit is {most}."

    def test_children_are_jobs_like_others(self) -> None:
        outcomes = Outcomes(HOLDER, forgotten=[1], children=[(1, [group(priority=101)])])
        assert refusal(check_outcomes, outcomes, NOW) == ("A priority is between -100 and 100, not 101.", "priority")
        outcomes = Outcomes(HOLDER, forgotten=[1], children=[(1, [group(delay_s=limits.DELAY_S_MAX)])])
        check_outcomes(outcomes, NOW)

    def test_children_of_one_settlement_are_counted_together(self) -> None:
        most = limits.BATCH_JOBS_MAX
        check_children([group(most - 1), group()])
        said, _ = refusal(check_children, [group(most), group()])
        assert said == f"{most + 1} jobs land with one settlement; the limit is {most}."


class TestLeases:
    @pytest.mark.parametrize("lease_s", [0.0, limits.LEASE_S_MAX])
    def test_leases_within_their_limits_are_given(self, lease_s: float) -> None:
        check_lease(LeaseRequest(HOLDER, 0, lease_s=lease_s))
        check_extension(Extension(HOLDER, [1], lease_s, started=[(1, NOW)], progress=[(1, Progress(1.0, None, None))]))

    @pytest.mark.parametrize(("lease_s", "said"), [(-1.0, "-1.0"), (limits.LEASE_S_MAX + 1, "3601"), (NAN, "nan")])
    def test_a_lease_is_at_most_an_hour(self, lease_s: float, said: str) -> None:
        for check, request in (
            (check_lease, LeaseRequest(HOLDER, 1, lease_s=lease_s)),
            (check_extension, Extension(HOLDER, [1], lease_s)),
        ):
            message, field = refusal(check, request)
            assert message.startswith(f"A lease lasts for 0 to 3600 seconds, not {said}")
            assert field == "lease_s"

    def test_less_than_none_are_not_leased(self) -> None:
        assert refusal(check_lease, LeaseRequest(HOLDER, -1)) == ("At least 0 jobs are leased, not -1.", "limit")

    @pytest.mark.parametrize("at", [NAN, INFINITY, FAR, -FAR])
    def test_a_job_starts_at_a_time(self, at: float) -> None:
        expected = ("A time at which a job started is out of reach.", "started")
        assert refusal(check_extension, Extension(HOLDER, [1], 1.0, started=[(1, at)])) == expected

    @pytest.mark.parametrize(("done", "total"), [(NAN, None), (INFINITY, 1.0), (1.0, NAN), (1.0, -INFINITY)])
    def test_progress_is_a_number(self, done: float, total: float | None) -> None:
        extension = Extension(HOLDER, [1], 1.0, progress=[(1, Progress(done, total, None))])
        assert refusal(check_extension, extension) == ("Progress is a number.", "progress")


class TestRecords:
    def test_the_usual_task_is_recorded(self) -> None:
        check_records([TaskRecord("t"), TaskRecord("u", max_attempts=0), TaskRecord("v", max_attempts=(1 << 63) - 1)])

    @pytest.mark.parametrize("time", [NAN, INFINITY, FAR, -FAR])
    @pytest.mark.parametrize("name", ["keep_result_s", "keep_record_s", "expires_s"])
    def test_times_are_within_reach(self, name: str, time: float) -> None:
        expected = ("t: a time is not a number, or out of reach.", "tasks")
        assert refusal(check_records, [TaskRecord("s"), TaskRecord("t", **{name: time})]) == expected

    @pytest.mark.parametrize("attempts", [-1, 1 << 63])
    def test_attempts_are_within_reach(self, attempts: int) -> None:
        expected = ("t: max_attempts is out of reach.", "tasks")
        assert refusal(check_records, [TaskRecord("t", max_attempts=attempts)]) == expected

    @pytest.mark.parametrize(("name", "wrong"), [("name", "a b"), ("queue", "a b"), ("priority", 101)])
    def test_names_and_priorities_are_those_of_jobs(self, name: str, wrong: Any) -> None:
        _, field = refusal(check_records, [TaskRecord(**{"name": "t", name: wrong})])
        assert field == {"name": "task"}.get(name, name)


class TestNames:
    @pytest.mark.parametrize("name", ["a", "A.b-c_9", "x" * 64, "-", "."])
    def test_names_of_queues(self, name: str) -> None:
        check_queue(name)

    @pytest.mark.parametrize("name", ["", "a b", "x" * 65, "é", "a\n", "a/b"])
    def test_what_is_no_name_of_a_queue(self, name: str) -> None:
        said = f"{name!r} is no name for a tag: 1 to 64 of A-Z a-z 0-9 _ . -"
        assert refusal(check_queue, name, "tag") == (said, "tag")

    @pytest.mark.parametrize("name", ["a", "_", "a.b:c-9", "x" * 200])
    def test_names_of_tasks(self, name: str) -> None:
        check_task(name)

    @pytest.mark.parametrize("name", ["", "9", "a b", "x" * 201, "é", "a\n", ".a"])
    def test_what_is_no_name_of_a_task(self, name: str) -> None:
        assert refusal(check_task, name)[1] == "task"


class TestTheRest:
    def test_queues_are_limited(self) -> None:
        most = limits.QUEUES_MAX
        check_new_queues(most - 1, 1)
        check_new_queues(most + 5, 0)
        assert refusal(check_new_queues, most, 1) == (f"There are {most} queues already (QUEUES_MAX).", "queue")

    def test_the_busiest_queues_are_one_page(self) -> None:
        check_stats(None, busiest=True)
        check_stats("c", busiest=False)
        expected = ("The busiest queues are one page; leave the cursor out.", "cursor")
        assert refusal(check_stats, "c", busiest=True) == expected

    @pytest.mark.parametrize("wait_s", [-1.0, 0.0, 1e300, INFINITY])
    def test_a_wait_is_any_number(self, wait_s: float) -> None:
        check_wait(wait_s)

    def test_a_wait_is_a_number(self) -> None:
        assert refusal(check_wait, NAN) == ("wait_s is a number of seconds, not nan.", "wait_s")

    @pytest.mark.parametrize("priority", [limits.PRIORITY_MIN - 1, limits.PRIORITY_MAX + 1])
    def test_a_priority_outside_its_range_is_refused(self, priority: int) -> None:
        assert refusal(check_priority, priority)[1] == "priority"

    def test_an_edit_may_leave_either_out(self) -> None:
        check_edit(None, None, NOW)
        check_edit(5, NOW, NOW)
        assert refusal(check_edit, limits.PRIORITY_MAX + 1, None, NOW)[1] == "priority"
        assert refusal(check_edit, None, NOW + 2 * limits.DELAY_S_MAX, NOW)[1] == "run_at"

    def test_the_past_is_a_fine_time(self) -> None:
        check_run_at(0.0, NOW)
        check_run_at(NOW + limits.DELAY_S_MAX, NOW)
