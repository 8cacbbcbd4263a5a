"""From what a function did to its outcome."""

from __future__ import annotations

import random
import traceback

import msgspec
import pytest

from penstock.model import limits
from penstock.model.job import UNKNOWN_TASK, Buried, JobError, Outcomes, Refused, Retried, Snoozed
from penstock.tasks.app import Penstock
from penstock.tasks.retry import Retry, Snooze
from penstock.worker.messages import TaskSheet
from penstock.worker.outcomes import (
    clean,
    failure,
    hopeless,
    job_error,
    never_ran,
    over_time,
    retry_of,
    unfit,
    unknown,
    worker_lost,
)

RANDOM = random.Random(1)


def sheet(*, retries: bool = True, attempts: int = 3) -> TaskSheet:
    return TaskSheet("t", "process", 2.5, retries, attempts, "exponential", 1.0, 2.0, 60.0, False, 5.0)


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class Lying(Exception):
    def __str__(self) -> str:
        return 5  # noqa: PLE0307 - it is wrong on purpose


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_a_failure_that_is_worth_it_is_tried_again() -> None:
    outcome = failure(Retry(base_s=2.0, jitter=False), 1, 1, 0.0, raised(ValueError("v")), RANDOM)
    assert isinstance(outcome, Retried)
    assert (outcome.fence, outcome.delay_s, outcome.error.type, outcome.error.message) == (1, 2.0, "ValueError", "v")
    assert "raise error" in (outcome.error.traceback or "")


def test_the_last_attempt_is_buried() -> None:
    assert isinstance(failure(Retry(max_attempts=2), 1, 2, 0.0, raised(ValueError()), RANDOM), Buried)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), KeyError("k")])
def test_what_the_policy_does_not_name_is_dead_at_once(error: BaseException) -> None:
    assert isinstance(failure(Retry(on=(ValueError,)), 1, 1, 0.0, raised(error), RANDOM), Buried)


def test_a_snooze_is_neither() -> None:
    assert failure(Retry(), 1, 1, 0.0, Snooze(3.0), RANDOM) == Snoozed(1, 3.0)


@pytest.mark.parametrize(
    "error", [Mute(), Lying(), ValueError("\ud800 lone"), ValueError("\0"), RecursionError(), ValueError("x" * 10**6)]
)
def test_no_exception_is_too_weird_to_be_told(error: BaseException) -> None:
    told = job_error(raised(error))
    packed = msgspec.msgpack.encode(Outcomes(b"h" * 16, buried=[Buried(1, told)]))
    assert msgspec.msgpack.decode(packed, type=Outcomes).buried[0].error == told
    assert len(told.message.encode()) <= limits.ERROR_MESSAGE_BYTES_MAX


def test_of_a_long_traceback_the_end_is_kept() -> None:
    def deep(level: int) -> None:
        if level == 0:
            raise ValueError("the end " + "y" * limits.TRACEBACK_BYTES_MAX)
        deep(level - 1)

    try:
        deep(50)
    except ValueError as error:
        trace = job_error(error).traceback or ""
    assert len(trace.encode()) <= limits.TRACEBACK_BYTES_MAX
    assert trace.endswith("y\n")


@pytest.mark.parametrize(("tail", "kept"), [(False, "ää"), (True, "öö")])
def test_text_is_cut_between_characters(tail: bool, kept: str) -> None:
    assert clean("ää" * 3 + "öö" * 3, 5, tail=tail) == kept


def test_a_time_limit_is_an_attempt_by_the_tasks_policy() -> None:
    outcome = over_time(sheet(), 1, 2, 0.0, RANDOM)
    assert isinstance(outcome, Retried)
    assert (outcome.delay_s, outcome.error.type) == (2.0, "TimeLimitExceeded")
    assert "2.5 s" in outcome.error.message
    assert isinstance(over_time(sheet(), 1, 3, 0.0, RANDOM), Buried)
    assert isinstance(over_time(sheet(retries=False), 1, 1, 0.0, RANDOM), Buried)


def test_a_sheet_carries_the_whole_policy() -> None:
    policy = Retry(max_attempts=7, backoff="linear", base_s=1.5, factor=3.0, max_s=9.0, jitter=False)
    task = Penstock().task(name="t", retry=policy, timeout_s=2.5, keep_record_s=5.0)(lambda: None)
    told = TaskSheet.of(task)
    assert retry_of(told) == policy
    assert (told.name, told.lane, told.timeout_s, told.retries_timeout, told.keep_record_s) == (
        ("t", "process", 2.5, True, 5.0)
    )  # fmt: skip
    assert retry_of(sheet()) == Retry(max_attempts=3, base_s=1.0, factor=2.0, max_s=60.0, jitter=False)


@pytest.mark.parametrize(("status", "words"), [(-9, "SIGKILL"), (-63, "signal 63"), (7, "status 7"), (None, "gone")])
def test_a_lost_executor_is_told_with_how_it_ended(status: int | None, words: str) -> None:
    error = worker_lost(12, status, "last words")
    assert error.type == "WorkerLost"
    assert words in error.message
    assert "last words" in error.message
    assert "more" not in error.message
    assert "this job and 20 more." in worker_lost(12, status, "", 20).message


def test_an_outcome_is_of_the_job_and_its_start() -> None:
    once = Retry(max_attempts=1)
    assert failure(once, 7, 1, 1.5, ValueError("m"), random.Random(1)) == Buried(7, JobError("ValueError", "m"), 1.5)
    assert never_ran(8, 2.5, ValueError("m")) == Buried(8, JobError("ValueError", "m"), 2.5)
    assert never_ran(8, 2.5, raised(ValueError("m"))).error.traceback is None


def test_a_policy_that_raises_is_dead_with_what_it_raised() -> None:
    class Broken(Retry):
        def decide(self, *_: object) -> float | None:
            raise KeyError("policy")

    found = failure(Broken(), 7, 1, 1.5, ValueError("m"), random.Random(1))
    assert isinstance(found, Buried)
    assert (found.fence, found.error.type, found.started_at) == (7, "KeyError", 1.5)


def test_a_time_limit_that_is_not_retried_names_the_job_its_start_and_its_limit() -> None:
    found = over_time(sheet(retries=False), 9, 1, 3.5, random.Random(1))
    assert isinstance(found, Buried)
    assert (found.fence, found.started_at, found.error.type) == (9, 3.5, "TimeLimitExceeded")
    last = over_time(sheet(attempts=1), 9, 1, 3.5, random.Random(1))
    assert isinstance(last, Buried)
    assert (last.fence, last.started_at) == (9, 3.5)


def test_the_pause_before_the_next_attempt_is_drawn_from_the_random_numbers_given() -> None:
    drawn = [failure(Retry(), 1, 3, 0.0, ValueError("m"), random.Random(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("status", "others", "message"),
    [
        (None, 0, "Executor 5 is gone while it ran this job."),
        (0, 0, "Executor 5 exited with status 0 while it ran this job."),
        (-9, 2, "Executor 5 was killed by signal 9 (SIGKILL) while it ran this job and 2 more."),
        (-99, 0, "Executor 5 was killed by signal 99 (unknown) while it ran this job."),
    ],
)
def test_the_words_for_a_lost_executor(status: int | None, others: int, message: str) -> None:
    assert worker_lost(5, status, "", others) == JobError("WorkerLost", message)


def test_a_result_that_cannot_be_encoded_is_dead_with_its_traceback() -> None:
    error = raised(TypeError("m"))
    found = hopeless(7, 1.5, error)
    assert found == Buried(7, job_error(error), 1.5)
    assert "raise error" in (found.error.traceback or "")


def test_a_job_that_does_not_fit_this_worker_is_refused_with_the_reason() -> None:
    assert unknown("a.b", 7) == Refused(7, JobError(UNKNOWN_TASK, "No task named 'a.b' is known to this worker."))
    assert unfit(8, raised(TypeError("m"))) == Refused(8, JobError("TypeError", "m"))


def test_an_exception_whose_text_cannot_be_had_says_so() -> None:
    assert job_error(Mute()).message == "<Mute whose text cannot be had>"
    assert job_error(Lying()).message == "<Lying whose text cannot be had>"
    assert job_error(ValueError()).message == ""


@pytest.mark.parametrize("tail", [False, True])
def test_text_is_as_long_as_it_may_be_and_no_longer(tail: bool) -> None:
    assert clean("abc", 3, tail=tail) == "abc"
    assert clean("abcd", 3, tail=tail) == ("bcd" if tail else "abc")
    assert clean("\ud800", 3, tail=tail) == "?"


def test_the_words_of_a_lost_executor_end_with_what_it_printed() -> None:
    message = worker_lost(5, 1, "Killed", 0).message
    assert message == "Executor 5 exited with status 1 while it ran this job. Its last output: Killed"
    long = worker_lost(5, 1, "x" * limits.ERROR_MESSAGE_BYTES_MAX).message
    assert len(long) == limits.ERROR_MESSAGE_BYTES_MAX


def test_text_of_long_characters_is_cut_on_the_side_that_is_asked_for() -> None:
    assert (clean("aäb", 3), clean("aäb", 3, tail=False), clean("aäb", 3, tail=True)) == ("aä", "aä", "äb")


def test_an_exception_whose_traceback_cannot_be_had_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.worker.outcomes.traceback.format_exception", lambda _: [1])
    assert job_error(raised(ValueError("m"))) == JobError("ValueError", "m")


def test_a_traceback_is_written_as_python_writes_it() -> None:
    error = raised(ValueError("m"))
    assert job_error(error).traceback == "".join(traceback.format_exception(error))


def test_the_pause_after_a_time_limit_is_drawn_from_the_random_numbers_given() -> None:
    told = TaskSheet("t", "process", 2.5, True, 9, "exponential", 1.0, 2.0, 60.0, True, 5.0)
    drawn = [over_time(told, 1, 3, 0.0, random.Random(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
