"""Which jobs run, and which must end."""

from __future__ import annotations

from penstock.model import limits
from penstock.worker.messages import Occupied
from penstock.worker.supervisor.watch import Ending, Watch

SHORT = 7
LIMITS = {"limited": 1.0}


def watch(kind: str = "process", task: str = "limited") -> Watch:
    return Watch(kind, lambda fence: task, LIMITS.get)


def at(fence: int, started: float = 0.0) -> list[Occupied]:
    return [Occupied(0, fence, started, 1)]


def test_a_job_seen_twice_is_reported_as_started_once() -> None:
    one = watch()
    assert one.look(at(SHORT), 0.02).started == []
    assert [job.fence for job in one.look(at(SHORT), 0.04).started] == [SHORT]
    assert one.look(at(SHORT), 0.06).started == []


def test_short_jobs_are_never_reported() -> None:
    one = watch()
    assert not any(one.look(at(fence), fence * 0.02).started for fence in range(1, 50))


def test_a_plain_function_over_its_limit_is_killed_at_once() -> None:
    one = watch()
    assert one.look(at(SHORT), 0.99).kill is None
    found = one.look(at(SHORT), 1.0)
    assert found.kill is not None
    assert (found.kill.fence, found.kill.ending) == (SHORT, Ending.OVERDUE)


def test_a_coroutine_over_its_limit_is_asked_first() -> None:
    one = watch("async")
    found = one.look(at(SHORT), 1.0)
    assert ([job.fence for job in found.ask], found.kill) == ([SHORT], None)
    assert one.look(at(SHORT), 1.1).ask == []
    assert one.look(at(SHORT), 1.0 + limits.END_GRACE_S).kill is not None


def test_a_coroutine_that_ends_when_asked_is_not_killed() -> None:
    one = watch("async")
    one.look(at(SHORT), 1.0)
    assert one.look([], 1.5).kill is None
    assert one.look(at(SHORT + 1, 1.5), 2.2).kill is None


def test_a_job_without_a_limit_runs_on() -> None:
    found = watch(task="endless").look(at(SHORT), 1e6)
    assert (found.ask, found.kill) == ([], None)


def test_a_cancelled_job_is_asked_and_then_killed() -> None:
    one = watch(task="endless")
    one.look(at(SHORT), 0.0)
    one.cancel(SHORT)
    assert [job.ending for job in one.look(at(SHORT), 5.0).ask] == [Ending.CANCELLED]
    assert one.look(at(SHORT), 5.0 + limits.END_GRACE_S).kill is not None


def test_a_job_cancelled_before_it_starts_is_asked_as_soon_as_it_does() -> None:
    one = watch(task="endless")
    one.cancel(SHORT)
    assert [job.fence for job in one.look(at(SHORT), 1.0).ask] == [SHORT]


def test_a_cancellation_of_a_job_that_ended_is_forgotten() -> None:
    one = watch(task="endless")
    one.cancel(SHORT)
    one.forget([SHORT])
    assert one.look(at(SHORT), 1.0).ask == []
