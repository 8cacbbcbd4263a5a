"""Each check is shown a job with steps of which it does not hold, and must say so."""

import pytest

from penstock.model.states import State
from penstock.testing.torture.audit import audit
from penstock.testing.torture.evidence import Evidence
from penstock.testing.torture.records import StepBegun, StepKept
from penstock.testing.torture.rows import JobRow, StoreRows
from penstock.testing.torture.step_checks import STEP_CHECKS
from penstock.testing.torture.steps import NAMES

NAMES_OF_CHECKS = {check.__name__.strip("_").replace("_", " ") for check in STEP_CHECKS}
TASK = "torture.steps"
FIRST, REFUSED, LAST = NAMES


class Life:
    """A job that slept after its second step, and whose last step was tried twice."""

    def __init__(self):
        self.begun = [
            StepBegun("job", FIRST, 5, "v1"),
            StepBegun("job", REFUSED, 5, "v2"),
            StepBegun("job", LAST, 8, "v3"),
            StepBegun("job", LAST, 9, "v4"),
        ]
        self.kept = [
            StepKept("job", FIRST, 5, "v1"),
            StepKept("job", FIRST, 8, "v1"),
            StepKept("job", REFUSED, 8, "v2"),
            StepKept("job", FIRST, 9, "v1"),
            StepKept("job", REFUSED, 9, "v2"),
            StepKept("job", LAST, 9, "v4"),
        ]
        self.result = "nonce v1 v2 v4"

    def audit(self):
        row = JobRow("job", TASK, "steps", (State.SUCCEEDED,), "token", attempt=1, result=self.result)
        steps = {"steps_begun": self.begun, "steps_kept": self.kept}
        return audit(Evidence([], [], [], StoreRows([row], {}), set(), {}, {}, stepped={TASK}, **steps))

    def failed(self):
        found = {finding.check: finding.subjects for finding in self.audit()[1]}
        return {name: subjects for name, subjects in found.items() if name in NAMES_OF_CHECKS}


@pytest.fixture
def life():
    return Life()


def test_all_is_well(life):
    assert life.failed() == {}
    assert life.audit()[0].steps == 3


def test_a_step_that_was_not_known_to_be_recorded_may_be_done_again(life):
    life.begun.insert(0, StepBegun("job", FIRST, 3, "v0"))
    assert life.failed() == {}


def test_a_run_whose_lease_is_over_may_do_what_others_have_recorded(life):
    life.begun.append(StepBegun("job", LAST, 6, "v9"))
    assert life.failed() == {}


def test_a_step_that_is_done_under_a_later_lease_although_it_was_recorded_is_found(life):
    life.begun.append(StepBegun("job", FIRST, 8, "v9"))
    assert life.failed() == {"step done again": ("job: first under fence 8",)}


def test_a_step_that_is_done_twice_under_one_lease_is_found(life):
    life.begun.append(StepBegun("job", LAST, 8, "v9"))
    assert life.failed() == {"step done again": ("job: last under fence 8",)}


def test_a_run_that_is_given_what_another_call_has_made_is_found(life):
    life.begun.insert(0, StepBegun("job", FIRST, 3, "v0"))
    life.kept[3] = StepKept("job", FIRST, 9, "v0")
    assert life.failed()["step changed"] == ("job: first came to v0, v1",)


def test_an_outcome_that_no_call_has_made_is_found(life):
    life.begun = life.begun[1:]
    assert life.failed() == {"step changed": ("job: first",)}


@pytest.mark.parametrize("result", ["nonce v1 v2 v3", "nonce v1 v2", "nonce v2 v1 v4", "nonce"])
def test_a_job_that_returns_something_else_is_found(life, result):
    life.result = result
    assert life.failed() == {"steps returned otherwise": (f"job: {result.removeprefix('nonce').strip()}",)}
