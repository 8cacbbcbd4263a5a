"""The policy of a node's tree, moment by moment."""

from __future__ import annotations

import signal

import pytest

from penstock.model import limits
from penstock.node.policy import Action, Kill, Phase, Start, Tree

ROLES = ["owner", "supervisor", "gate"]


class Story:
    """A tree and the moment it is at."""

    def __init__(self, tree: Tree | None = None) -> None:
        self.tree = tree or Tree.of(ROLES)
        self.now = 1_000.0
        self.pid = 0

    def step(self) -> list[Action]:
        actions = self.tree.step(self.now)
        for action in actions:
            if isinstance(action, Start):
                self.pid += 1
                self.tree.started(action.name, self.pid, self.now)
        return actions

    def ready(self, *roles: str) -> None:
        for role in roles:
            self.tree.ready(role, self.now)

    def settle(self) -> None:
        """Bring everything up, and let it be up for long."""
        self.step()
        self.ready("owner")
        self.step()
        self.ready("supervisor", "gate")
        self.now += limits.SETTLED_S + 1

    def sleep_until_due(self) -> None:
        wake_at = self.tree.wake_at()
        assert wake_at is not None
        self.now = max(self.now, wake_at)

    def exit(self, role: str, status: int = -signal.SIGKILL) -> None:
        self.tree.exited(role, status, self.now)


@pytest.fixture
def story() -> Story:
    return Story()


def test_the_foundation_starts_first_and_alone(story):
    assert story.step() == [Start("owner")]
    assert story.step() == []
    story.ready("owner")
    assert story.step() == [Start("supervisor"), Start("gate")]
    assert not story.tree.all_ready
    story.ready("supervisor", "gate")
    assert story.tree.all_ready
    assert story.tree.wake_at() is None


@pytest.mark.parametrize("role", ROLES)
def test_a_settled_part_that_dies_is_started_again_at_once_and_the_others_are_left_alone(story, role):
    story.settle()
    story.exit(role)
    assert story.step() == [Start(role)]
    assert story.step() == []


def test_a_part_that_dies_again_soon_after_it_was_ready_waits_longer_each_time(story):
    story.settle()
    waits = []
    for _ in range(10):
        story.exit("gate")
        died_at = story.now
        story.sleep_until_due()
        waits.append(story.now - died_at)
        assert story.step() == [Start("gate")]
        story.ready("gate")
    assert waits[0] == 0.0
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(limits.RESTART_S_MAX)
    assert not story.tree.stopping, "it became ready each time"


def test_a_part_that_never_becomes_ready_stops_the_whole_with_the_reason(story):
    story.step()
    story.ready("owner")
    story.step()
    starts = 1
    while not story.tree.stopping:
        story.tree.failed("gate", "Address already in use.")
        story.exit("gate", 1)
        if story.tree.stopping:
            break
        story.sleep_until_due()
        assert story.step() == [Start("gate")]
        starts += 1
    assert starts == limits.STARTS_WITHOUT_READY_MAX
    assert story.tree.status == 1
    assert "gate" in story.tree.reason
    assert "Address already in use" in story.tree.reason


def test_becoming_ready_clears_the_count_of_starts(story):
    story.settle()
    for _ in range(limits.STARTS_WITHOUT_READY_MAX * 3):
        for _ in range(limits.STARTS_WITHOUT_READY_MAX - 1):
            story.exit("supervisor", 1)
            story.sleep_until_due()
            story.step()
        story.ready("supervisor")
    assert not story.tree.stopping


@pytest.mark.parametrize("status", [2, 3])
def test_wrong_usage_on_the_first_start_stops_the_whole_with_that_status(story, status):
    story.step()
    story.ready("owner")
    story.step()
    story.tree.failed("supervisor", "There is no module 'nowhere'.")
    story.exit("supervisor", status)
    assert story.tree.stopping
    assert story.tree.status == status
    assert "nowhere" in story.tree.reason


def test_the_same_status_from_a_part_that_was_ready_before_is_tried_again(story):
    story.settle()
    story.exit("supervisor", 2)
    assert story.step() == [Start("supervisor")]


def test_a_part_that_hangs_at_its_start_is_killed(story):
    story.step()
    story.now += limits.START_S_MAX
    assert story.step() == [Kill("owner", signal.SIGKILL)]
    assert story.step() == []


def test_stopping_goes_from_the_last_part_to_the_foundation(story):
    story.settle()
    story.tree.stop()
    for role in reversed(ROLES):
        assert story.step() == [Kill(role, signal.SIGTERM)]
        assert story.step() == []
        story.exit(role, 0)
    assert story.step() == []
    assert story.tree.finished
    assert story.tree.status == 0


def test_a_part_that_takes_too_long_to_stop_is_killed(story):
    story.settle()
    story.tree.stop()
    story.step()
    story.sleep_until_due()
    assert story.step() == [Kill("gate", signal.SIGKILL)]
    assert story.step() == []


def test_the_foundation_is_started_again_while_others_still_drain_on_it(story):
    story.settle()
    story.tree.stop()
    story.step()
    story.exit("gate", 0)
    assert story.step() == [Kill("supervisor", signal.SIGTERM)]
    story.exit("owner")
    assert story.step() == [Start("owner")]
    story.ready("owner")
    story.exit("supervisor", 0)
    assert story.step() == [Kill("owner", signal.SIGTERM)]
    story.exit("owner", 0)
    story.step()
    assert story.tree.finished


def test_a_part_that_dies_while_the_whole_stops_stays_down(story):
    story.settle()
    story.tree.stop()
    story.step()
    story.exit("supervisor")
    story.exit("gate", 0)
    assert story.step() == [Kill("owner", signal.SIGTERM)]


def test_asked_twice_it_stops_now_and_only_the_foundation_may_tidy_up(story):
    story.settle()
    story.tree.stop()
    story.step()
    story.tree.stop()
    actions = story.step()
    assert sorted(actions, key=lambda action: action.name) == [
        Kill("gate", signal.SIGKILL),
        Kill("owner", signal.SIGTERM),
        Kill("supervisor", signal.SIGKILL),
    ]
    assert story.step() == []
    story.exit("gate")
    story.exit("supervisor")
    story.sleep_until_due()
    assert story.step() == [Kill("owner", signal.SIGKILL)]
    story.exit("owner")
    story.step()
    assert story.tree.finished


def test_stopping_before_anything_was_ready_stops(story):
    story.step()
    story.tree.stop()
    assert story.step() == [Kill("owner", signal.SIGTERM)]
    story.exit("owner", 0)
    story.step()
    assert story.tree.finished
    assert all(part.phase is Phase.ENDED for part in story.tree.parts.values())


def two_gates() -> Story:
    names = ["owner", "supervisor", "gate 1", "gate 2"]
    story = Story(Tree.of(names, stages={"gate 1": "gate", "gate 2": "gate"}))
    story.step()
    story.ready("owner")
    story.step()
    story.ready(*names[1:])
    story.now += limits.SETTLED_S + 1
    return story


def test_parts_of_a_stage_stop_together_and_the_stage_before_waits_for_all():
    story = two_gates()
    story.tree.stop()
    assert story.step() == [Kill("gate 2", signal.SIGTERM), Kill("gate 1", signal.SIGTERM)]
    story.exit("gate 1", 0)
    assert story.step() == []
    story.exit("gate 2", 0)
    assert story.step() == [Kill("supervisor", signal.SIGTERM)]


def test_each_part_of_a_stage_that_takes_too_long_is_killed():
    story = two_gates()
    story.tree.stop()
    story.step()
    story.exit("gate 2", 0)
    story.sleep_until_due()
    assert story.step() == [Kill("gate 1", signal.SIGKILL)]


def test_one_part_of_a_stage_is_started_again_while_the_other_runs():
    story = two_gates()
    story.exit("gate 1")
    assert story.step() == [Start("gate 1")]
    assert story.tree.parts["gate 2"].phase is Phase.READY


def test_a_foundation_of_several_starts_and_stops_together():
    story = Story(Tree.of(["gate 1", "gate 2"], stages={"gate 1": "gate", "gate 2": "gate"}))
    assert story.step() == [Start("gate 1"), Start("gate 2")]
    story.ready("gate 1")
    assert not story.tree.founded
    story.ready("gate 2")
    assert story.tree.founded
    story.tree.stop()
    assert story.step() == [Kill("gate 2", signal.SIGTERM), Kill("gate 1", signal.SIGTERM)]
    story.exit("gate 1", 0)
    story.exit("gate 2", 0)
    story.step()
    assert story.tree.finished


def test_a_foundation_that_has_lost_what_it_served_is_not_started_again_and_all_stop_at_once() -> None:
    story = Story()
    story.settle()
    story.tree.failed("owner", "/jobs is not there any more.", lost=True)
    story.tree.exited("owner", 3, story.now)
    assert story.tree.status == 3
    assert story.tree.reason is not None
    assert "/jobs is not there any more" in story.tree.reason
    actions = story.step()
    assert not any(isinstance(action, Start) for action in actions)
    assert {action.name for action in actions if isinstance(action, Kill)} == {"supervisor", "gate"}
    for name in ("supervisor", "gate"):
        story.tree.exited(name, -9, story.now)
    assert story.step() == []
    assert story.tree.finished


def test_an_owner_that_ends_with_the_same_status_for_another_reason_is_started_again() -> None:
    story = Story()
    story.settle()
    story.tree.exited("owner", 3, story.now)
    assert not story.tree.stopping
    assert Start("owner") in story.step()
