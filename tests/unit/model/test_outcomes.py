import msgspec
import pytest

from penstock.model import job as m
from penstock.model.durable_steps import Record, RecordKind, Suspended
from penstock.model.job import Outcomes, Succeeded
from penstock.model.losses import Loss
from penstock.model.workflow_plan import Members, WorkflowPlan


def test_empty_outcomes_do_not_share_their_lists():
    first, second = Outcomes(b"h" * 16), Outcomes(b"h" * 16)
    first.forgotten.append(1)
    assert second.forgotten == []


JOB_ERROR = m.JobError("Error", "message")
OUTCOMES = {
    "forgotten": lambda fence: fence,
    "succeeded": lambda fence: Succeeded(fence, 0.5, 1.5),
    "retried": lambda fence: m.Retried(fence, 1.0, JOB_ERROR),
    "snoozed": lambda fence: m.Snoozed(fence, 1.0),
    "buried": lambda fence: m.Buried(fence, JOB_ERROR),
    "cancelled": m.Cancelled,
    "lost": lambda fence: m.Lost(fence, Loss.BLAMED, JOB_ERROR),
    "released": lambda fence: fence,
    "refused": lambda fence: m.Refused(fence, JOB_ERROR),
    "suspended": lambda fence: Suspended(fence, Record(0, "sleep", RecordKind.SLEEP, until=3.0)),
}


PLAN = WorkflowPlan(b"w" * 16, "name", [])
LANDING = {
    "children": lambda fence: (fence, [m.JobGroup("task", [])]),
    "expansions": lambda fence: (fence, PLAN, [Members(0, [])]),
    "workflows": lambda fence: (fence, PLAN, []),
    "members": lambda fence: (fence, [m.JobGroup("task", [])]),
}
"""What lands with an outcome, by the list it stands in."""


def landing_in(outcomes):
    """The fences of what lands, by the list it stands in."""
    return {name: sorted(landing[0] for landing in getattr(outcomes, name)) for name in LANDING}


def one_of_each(first=1):
    """A settlement with two outcomes of every kind, and something of each kind that lands with each."""
    made = {
        name: [make(first + 2 * place), make(first + 2 * place + 1)]
        for place, (name, make) in enumerate(OUTCOMES.items())
    }
    fences = range(first, first + 2 * len(OUTCOMES))
    landing = {name: [make(fence) for fence in fences] for name, make in LANDING.items()}
    return fences, Outcomes(b"h" * 16, **made, **landing)


def test_every_list_of_a_settlement_is_known():
    assert {*OUTCOMES, *LANDING} == set(Outcomes.__struct_fields__) - {"holder"}


def test_the_fences_of_a_settlement_are_those_of_all_its_lists():
    fences, outcomes = one_of_each()
    assert sorted(outcomes.fences()) == list(fences)


@pytest.mark.parametrize("fence", range(1, 2 * len(OUTCOMES) + 1))
def test_a_part_of_a_settlement_keeps_an_outcome_of_any_kind_with_what_lands_with_it(fence):
    _, outcomes = one_of_each()
    part = outcomes.only({fence})
    assert part.fences() == [fence]
    assert landing_in(part) == {key: [fence] for key in LANDING}


def test_halves_keep_every_outcome_and_what_lands_with_it():
    fences, outcomes = one_of_each()
    first, second = outcomes.halves()
    assert sorted(first.fences() + second.fences()) == list(fences)
    assert len(first.fences()) == len(second.fences())
    for half in (first, second):
        assert landing_in(half) == dict.fromkeys(LANDING, sorted(half.fences()))


def test_a_settlement_takes_in_another_whole():
    fences, outcomes = one_of_each()
    more_fences, more = one_of_each(first=101)
    outcomes.extend(more)
    assert sorted(outcomes.fences()) == [*fences, *more_fences]
    assert landing_in(outcomes) == {key: [*fences, *more_fences] for key in LANDING}
    assert sorted(more.fences()) == list(more_fences)


def test_an_outcome_is_added_to_the_list_of_its_kind():
    error = m.JobError("ValueError", "no")
    one_of_each = {
        "succeeded": Succeeded(1, 0.0, 1.0),
        "retried": m.Retried(2, 1.0, error),
        "snoozed": m.Snoozed(3, 1.0),
        "buried": m.Buried(4, error),
        "cancelled": m.Cancelled(5),
        "lost": m.Lost(6, Loss.STRAY, error),
        "refused": m.Refused(7, error),
        "suspended": Suspended(8, Record(0, "sleep", RecordKind.SLEEP, until=3.0)),
    }
    outcomes = Outcomes(b"h" * 16)
    for outcome in one_of_each.values():
        outcomes.add(outcome)
    assert {name: getattr(outcomes, name) for name in one_of_each} == {name: [one] for name, one in one_of_each.items()}
    assert sorted(outcomes.fences()) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_what_lands_is_its_own_wire_form():
    _, outcomes = one_of_each()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(outcomes), type=Outcomes) == outcomes
