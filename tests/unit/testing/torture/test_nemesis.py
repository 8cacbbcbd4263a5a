import signal

import pytest

from penstock.testing.torture.nemesis import Nemesis
from penstock.testing.torture.schedule import Strike

KILL, STOP, CONT = signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT


class Victims:
    """Processes that only note what they are sent."""

    def __init__(self, **kinds: list[int]) -> None:
        self.kinds = kinds
        self.sent: list[tuple[int, signal.Signals]] = []

    def find(self, kind: str) -> list[int]:
        return self.kinds.get(kind, [])

    def send(self, pid: int, number: signal.Signals) -> bool:
        self.sent.append((pid, number))
        return True

    def nemesis(self, *plan: Strike) -> Nemesis:
        return Nemesis(plan, self.find, self.send)


@pytest.fixture
def victims():
    return Victims(owner=[10], executor=[20, 21])


def test_nothing_is_struck_before_its_time(victims):
    nemesis = victims.nemesis(Strike(2.0, "owner", 0.0))

    nemesis.act(1.9)

    assert victims.sent == []
    assert nemesis.next_s() == 2.0


def test_a_strike_without_a_stop_kills_the_process_it_picks(victims):
    nemesis = victims.nemesis(Strike(1.0, "executor", 0.9))

    nemesis.act(1.0)

    assert victims.sent == [(21, KILL)]
    assert nemesis.struck["executor", "kill"] == 1
    assert nemesis.finished


def test_a_stopped_process_goes_on_when_its_time_is_up(victims):
    nemesis = victims.nemesis(Strike(1.0, "owner", 0.0, stop_s=3.0))

    nemesis.act(1.0)
    assert victims.sent == [(10, STOP)]
    assert nemesis.next_s() == 4.0
    assert not nemesis.finished

    nemesis.act(4.0)
    assert victims.sent[-1] == (10, CONT)
    assert nemesis.finished


def test_others_are_struck_while_one_is_stopped(victims):
    nemesis = victims.nemesis(Strike(1.0, "owner", 0.0, stop_s=3.0), Strike(2.0, "executor", 0.0))

    nemesis.act(1.0)
    nemesis.act(2.0)

    assert victims.sent == [(10, STOP), (20, KILL)]


def test_relenting_lets_everything_go_on_and_strikes_no_more(victims):
    nemesis = victims.nemesis(Strike(1.0, "owner", 0.0, stop_s=30.0), Strike(2.0, "executor", 0.0))
    nemesis.act(1.0)

    nemesis.relent()
    nemesis.act(5.0)

    assert victims.sent == [(10, STOP), (10, CONT)]
    assert nemesis.finished


def test_a_kind_without_a_process_is_passed_over_and_not_counted(victims):
    nemesis = victims.nemesis(Strike(1.0, "gate", 0.0))

    nemesis.act(1.0)

    assert not victims.sent
    assert not nemesis.struck
