"""Each check is shown a store in which it does not hold, and must say so."""

from dataclasses import replace

import pytest

from penstock.model.job import QueueStats
from penstock.model.states import State
from penstock.testing.torture.audit import CHECKS, Ledger, audit
from penstock.testing.torture.evidence import Evidence
from penstock.testing.torture.messages import task_of
from penstock.testing.torture.records import Acked, Attempted, CancelAsked, ChildAsked, Execution
from penstock.testing.torture.rows import JobRow, StoreRows
from penstock.testing.torture.tasks import LOST, ExpectedEnd

DOOMED = "torture.doomed"
KEPT, FORGOTTEN, CHILD = "torture.plain", "torture.forgotten", "torture.child"
QUEUES = {KEPT: "light", CHILD: "children", FORGOTTEN: "forgotten", DOOMED: "light"}
ENDINGS = {DOOMED: ExpectedEnd(2, "NeverError")}


class World:
    """A run in which all is well: one job that is kept, one that is forgotten, one that is dead, one that waits."""

    def __init__(self) -> None:
        tokens = {"kept": KEPT, "gone": FORGOTTEN, "dead": DOOMED, "waiting": KEPT}
        self.attempts = [Attempted(token, task) for token, task in tokens.items()]
        self.acks = [Acked(token, f"id-{token}") for token in tokens]
        self.executions = [
            Execution("id-kept", "kept", KEPT, 1, 11, "n-kept", 1),
            Execution("id-gone", "gone", FORGOTTEN, 1, 12, "n-gone", 1),
            Execution("id-dead", "dead", DOOMED, 1, 13, "n-dead", 1),
        ]
        self.rows = [
            JobRow("id-kept", KEPT, "light", (State.SUCCEEDED,), "kept", attempt=1, result="n-kept"),
            JobRow("id-dead", DOOMED, "light", (State.DEAD,), "dead", attempt=2, error="NeverError"),
            JobRow("id-waiting", KEPT, "light", (State.READY,), "waiting"),
        ]
        self.ledgers = {
            "light": QueueStats(ready=1, succeeded=1, dead=1, accepted_total=3, succeeded_total=1, dead_total=1),
            "forgotten": QueueStats(accepted_total=1, succeeded_total=1),
        }
        self.cancels: list[CancelAsked] = []
        self.children: list[ChildAsked] = []
        self.complaints: list[str] = []

    def audit(self):
        store = StoreRows(self.rows, self.ledgers, self.complaints)
        return audit(
            Evidence(
                self.attempts,
                self.acks,
                self.executions,
                store,
                {FORGOTTEN},
                QUEUES,
                ENDINGS,
                self.cancels,
                self.children,
            )
        )

    def failed(self) -> dict[str, tuple[str, ...]]:
        return {finding.check: finding.subjects for finding in self.audit()[1]}


@pytest.fixture
def world():
    return World()


def test_all_is_well(world):
    ledger, findings = world.audit()

    assert findings == []
    assert ledger == Ledger(attempted=4, acked=4, done=2, dead=1, pending=1, executions=3)


def test_an_acked_job_without_a_row_is_lost(world):
    del world.rows[2]
    world.ledgers["light"] = QueueStats(succeeded=1, dead=1, accepted_total=2, succeeded_total=1, dead_total=1)

    assert world.failed() == {"lost": ("id-waiting",)}
    assert world.audit()[0].lost == 1


def test_an_acked_job_of_a_task_that_forgets_is_lost_when_it_never_ran(world):
    del world.executions[1]

    assert world.failed()["lost"] == ("id-gone",)


def test_a_job_that_ran_but_whose_record_should_be_there_is_lost(world):
    del world.rows[0]

    assert world.failed()["lost"] == ("id-kept",)


def test_a_job_that_nobody_asked_for_is_unexpected(world):
    del world.attempts[0]

    assert world.failed()["unexpected"] == ("id-kept",)


def test_two_jobs_for_one_request_are_found(world):
    world.rows.append(replace(world.rows[2], id="id-second"))

    assert world.failed()["accepted twice"] == ("waiting: id-second, id-waiting",)
    assert world.audit()[0].duplicated == 1


def test_a_request_that_was_acked_with_two_ids_is_found(world):
    world.acks.append(Acked("kept", "id-dead"))

    assert "accepted twice" in world.failed()


def test_a_repeat_that_was_applied_again_shows_in_the_counters(world):
    world.ledgers["forgotten"] = QueueStats(accepted_total=2, succeeded_total=2)

    assert world.failed() == {"counted twice": ("forgotten: accepted_total is 2, and there were 1 jobs",)}


def test_a_request_that_was_never_acked_may_be_there_once(world):
    del world.acks[0]

    ledger, findings = world.audit()

    assert findings == []
    assert ledger.recovered == 1


def test_a_request_that_was_never_acked_may_be_absent(world):
    world.attempts.append(Attempted("in doubt", KEPT))

    assert world.failed() == {}


def test_an_attempt_may_run_again_under_a_later_fence(world):
    world.executions.insert(0, replace_run(world.executions[0], fence=3, nonce="n-first"))

    ledger, findings = world.audit()

    assert findings == []
    assert ledger.repeated == 1


def test_two_executions_under_one_fence_are_found(world):
    world.executions.append(replace_run(world.executions[0], nonce="n-again"))

    assert world.failed()["ran without lease"] == ("id-kept: fence 11",)


def test_a_result_of_an_execution_that_was_superseded_is_found(world):
    world.executions.append(replace_run(world.executions[0], fence=20, nonce="n-later"))

    assert world.failed() == {"committed by superseded": ("id-kept",)}


def test_a_result_that_no_execution_made_is_found(world):
    world.rows[0] = replace(world.rows[0], result="n-invented")

    assert world.failed() == {"committed by nobody": ("id-kept",)}


def test_a_record_with_another_attempt_than_its_result_is_found(world):
    world.rows[0] = replace(world.rows[0], attempt=2)

    assert world.failed()["attempts miscounted"] == ("id-kept",)


def test_a_message_that_is_delivered_once_more_at_the_same_attempt_is_found(world):
    task = task_of("mail")
    world.executions += [Execution("id-m", "m", task, attempt, fence, "n", 1) for attempt, fence in ((2, 22), (1, 21))]
    assert "delivery uncounted" not in world.failed()
    world.executions += [Execution("id-m", "m", task, 2, 30, "n", 1)]
    assert world.failed()["delivery uncounted"] == ("id-m: attempts 1, 2, 2",)


def test_a_job_that_died_of_something_else_is_found(world):
    world.rows[1] = replace(world.rows[1], error="Corrupt")

    assert world.failed() == {"ended otherwise": (f"id-dead: {DOOMED} ended at attempt 2 with Corrupt",)}


def test_a_job_that_was_charged_for_the_loss_of_its_executor_is_found(world):
    world.rows[0] = replace(world.rows[0], attempt=2)
    world.executions[0] = replace_run(world.executions[0], attempt=2)

    assert world.failed() == {"ended otherwise": (f"id-kept: {KEPT} ended at attempt 2 with success",)}


def test_a_job_may_die_of_lost_workers(world):
    world.rows[1] = replace(world.rows[1], error=LOST, attempt=1)

    assert world.failed() == {}


def test_a_job_may_be_cancelled_when_its_producer_asks(world):
    world.rows[0] = replace(world.rows[0], states=(State.CANCELLED,), result=None)
    world.ledgers["light"] = QueueStats(ready=1, cancelled=1, dead=1, accepted_total=3, cancelled_total=1, dead_total=1)

    assert world.failed() == {"cancelled by nobody": ("id-kept",)}

    world.cancels.append(CancelAsked("kept"))

    assert world.failed() == {}
    assert world.audit()[0].cancelled == 1


@pytest.mark.parametrize("states", [(), (State.READY, State.RUNNING)])
def test_a_job_in_no_state_or_in_two_is_found(world, states):
    world.rows[2] = replace(world.rows[2], states=states)

    assert world.failed()["state unclear"] == ("id-waiting",)


def test_a_body_that_does_not_match_its_checksum_is_found(world):
    world.rows[2] = replace(world.rows[2], intact=False)

    assert world.failed() == {"corrupt": ("id-waiting",)}


def test_a_counter_that_differs_from_the_rows_is_found(world):
    world.rows[2] = replace(world.rows[2], states=(State.SCHEDULED,))

    assert world.failed() == {
        "miscounted": ("light: ready is 1, and there are 0 rows", "light: scheduled is 0, and there are 1 rows")
    }


def test_a_ledger_that_does_not_add_up_is_found(world):
    world.ledgers["forgotten"] = QueueStats(accepted_total=1, succeeded_total=2)

    assert world.failed() == {"unaccounted": ("forgotten: -1",)}


def test_what_sqlite_complains_about_is_told(world):
    world.complaints.append("row 3 missing from index")

    assert world.failed() == {"file damaged": ("row 3 missing from index",)}


class TestChildren:
    """Jobs that were enqueued with the outcome of another."""

    def landed(self, world, number: int = 1) -> None:
        """The child of this number waits in the store."""
        world.rows.append(JobRow(f"id-child-{number}", CHILD, "children", (State.READY,), f"child-{number}"))
        count = sum(row.queue == "children" for row in world.rows)
        world.ledgers["children"] = QueueStats(ready=count, accepted_total=count)

    def asked(self, world, parent: str, nonce: str, number: int = 1) -> None:
        world.children.append(ChildAsked(f"id-child-{number}", f"child-{number}", CHILD, parent, nonce))

    @pytest.mark.parametrize("parent", ["kept", "gone"])
    def test_all_is_well_when_the_children_of_the_committed_outcome_are_there(self, world, parent):
        for number in (1, 2):
            self.asked(world, f"id-{parent}", f"n-{parent}", number)
            self.landed(world, number)

        ledger, findings = world.audit()

        assert findings == []
        assert ledger == Ledger(attempted=4, acked=4, done=2, dead=1, pending=1, executions=3, children=2)

    @pytest.mark.parametrize("parent", ["kept", "gone"])
    def test_one_that_is_not_there_is_found(self, world, parent):
        for number in (1, 2):
            self.asked(world, f"id-{parent}", f"n-{parent}", number)
        self.landed(world, 2)

        assert world.failed() == {"child lost": (f"id-{parent}",)}

    @pytest.mark.parametrize("parent", ["kept", "gone"])
    def test_those_of_another_execution_need_not_be_there_and_must_not_be_there_too(self, world, parent):
        place = ["kept", "gone"].index(parent)
        world.executions.insert(0, replace_run(world.executions[place], fence=3, nonce="n-first"))
        self.asked(world, f"id-{parent}", "n-first", 1)
        self.asked(world, f"id-{parent}", f"n-{parent}", 2)
        self.landed(world, 2)

        assert world.failed() == {}

        self.landed(world, 1)

        assert world.failed() == {"child of nobody": (f"id-{parent}: id-child-1, id-child-2",)}

    def test_those_of_an_execution_whose_result_was_not_committed_are_found(self, world):
        world.executions.insert(0, replace_run(world.executions[0], fence=3, nonce="n-first"))
        self.asked(world, "id-kept", "n-first")
        self.landed(world)

        assert world.failed()["child of nobody"] == ("id-kept: id-child-1",)

    @pytest.mark.parametrize(("parent", "nonce"), [("id-dead", "n-dead"), ("id-waiting", "n-waiting")])
    def test_those_of_a_job_that_has_not_succeeded_are_found(self, world, parent, nonce):
        self.asked(world, parent, nonce)

        assert world.failed() == {}

        self.landed(world)

        assert world.failed() == {"child of nobody": (f"{parent}: id-child-1",)}

    def test_one_that_left_no_row_was_there_when_it_has_run(self, world):
        self.asked(world, "id-kept", "n-kept")
        world.children[0] = ChildAsked("id-child-1", "child-1", FORGOTTEN, "id-kept", "n-kept")
        world.executions.append(Execution("id-child-1", "child-1", FORGOTTEN, 1, 30, "n-child", 1))
        world.ledgers["forgotten"] = QueueStats(accepted_total=2, succeeded_total=2)

        assert world.failed() == {}


def test_every_check_says_what_it_means():
    assert all(check.__doc__ for check in CHECKS)


def replace_run(run: Execution, **changes) -> Execution:
    fields = {name: getattr(run, name) for name in Execution.__struct_fields__}
    return Execution(**{**fields, **changes})
