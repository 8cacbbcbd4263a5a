from __future__ import annotations

from penstock.model.errors import Conflict
from penstock.model.job_error import JobError
from penstock.model.states import State
from penstock.workflow.job_ends import COMPENSATION_CANCELLED, EXPIRED, Ends, error_of

ERROR = JobError("E", "m")


class Heard:
    """A machine that only listens."""

    def __init__(self) -> None:
        self.told = []

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.told.append((name, *args, kwargs) if kwargs else (name, *args))


def told(*ends) -> list[tuple]:
    machine, collected = Heard(), Ends()
    for end in ends:
        (collected.compensation if len(end) == 2 else collected.job)(*end)
    collected.tell(machine)
    return machine.told


def test_what_became_of_steps_is_told_successes_first():
    assert told(
        (1, None, State.CANCELLED, None, 0),
        (2, None, State.DEAD, ERROR, 0),
        (3, None, State.EXPIRED, None, 0),
        (4, None, State.SUCCEEDED, None, 7),
    ) == [("job_succeeded", 4, 7), ("job_failed", 2, ERROR), ("job_failed", 3, EXPIRED), ("job_cancelled", 1)]


def test_members_are_counted_and_told_once_for_each_group():
    ends = [(5, 0, State.SUCCEEDED, None, 3), (5, 1, State.SUCCEEDED, None, 4), (5, 2, State.EXPIRED, None, 0)]
    ends += [(5, 3, State.DEAD, ERROR, 0), (5, 4, State.CANCELLED, None, 0), (6, 0, State.DEAD, ERROR, 0)]
    counts = {"succeeded": 2, "result_bytes": 7, "failed": 2, "cancelled": 1, "error": EXPIRED}
    others = {"succeeded": 0, "result_bytes": 0, "failed": 1, "cancelled": 0, "error": ERROR}
    assert told(*ends) == [("members_ended", 5, counts), ("members_ended", 6, others)]


def test_a_compensation_has_succeeded_or_there_is_a_reason():
    reasons = [(State.SUCCEEDED, None), (State.CANCELLED, None), (State.DEAD, ERROR), (State.EXPIRED, None)]
    expected = [None, COMPENSATION_CANCELLED, ERROR, EXPIRED]
    assert [told(one) for one in reasons] == [[("compensation_ended", error)] for error in expected]


def test_an_error_of_ours_is_that_of_a_job_by_its_class():
    assert error_of(Conflict("no")) == JobError("Conflict", "no")
