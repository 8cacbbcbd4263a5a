"""Which jobs run, and which must end."""

from __future__ import annotations

from penstock.model import limits
from penstock.worker.messages import Occupied
from penstock.worker.supervisor.watch import EndReason, Running, Watch

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
    assert (found.kill.fence, found.kill.ending) == (SHORT, EndReason.OVERDUE)


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


def test_each_run_of_a_job_has_the_whole_limit() -> None:
    """A job that was suspended is leased anew: what it did before, and how long it slept, do not count."""
    one = watch()
    for run in range(5):
        began = run * 1_000.0
        assert one.look(at(SHORT + run, began), began + 0.9).kill is None
        assert one.look([], began + 0.95).kill is None
    assert one.look(at(SHORT + 9, 9_000.0), 9_001.0).kill is not None


def test_a_job_without_a_limit_runs_on() -> None:
    found = watch(task="endless").look(at(SHORT), 1e6)
    assert (found.ask, found.kill) == ([], None)


def test_a_cancelled_job_is_asked_and_then_killed() -> None:
    one = watch(task="endless")
    one.look(at(SHORT), 0.0)
    one.cancel(SHORT)
    assert [job.ending for job in one.look(at(SHORT), 5.0).ask] == [EndReason.CANCELLED]
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


def test_what_is_seen_is_kept_as_it_was_seen() -> None:
    tasks = {5: "limited", 6: None}
    one = Watch("async", tasks.get, {"limited": 1.5}.get)
    one.look([Occupied(3, 5, 0.25, 2), Occupied(4, 6, 0.5, 1)], 0.5)
    assert one.running == {
        5: Running(3, 5, "limited", 0.25, 2, 1.5),
        6: Running(4, 6, None, 0.5, 1, None),
    }


def test_a_job_of_which_nothing_is_known_runs_on() -> None:
    def limit_of(task: str) -> float:
        raise AssertionError(task)

    one = Watch("process", {}.get, limit_of)
    assert one.look(at(SHORT), 1e6).kill is None


def test_a_limit_counts_from_the_start_of_the_job() -> None:
    one = watch()
    assert one.look(at(SHORT, started=100.0), 100.9).ask == []
    assert [job.ending for job in one.look(at(SHORT, started=100.0), 101.0).ask] == [EndReason.OVERDUE]


def test_a_cancelled_job_has_its_time_to_end() -> None:
    one = watch("async", task="endless")
    one.cancel(SHORT)
    assert one.look(at(SHORT), 5.0).kill is None
    assert one.look(at(SHORT), 4.99 + limits.END_GRACE_S).kill is None
    assert one.look(at(SHORT), 5.0 + limits.END_GRACE_S).kill is not None
