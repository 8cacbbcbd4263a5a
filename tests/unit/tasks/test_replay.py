"""What a function is told at each durable call, given its history: for any function, and wherever its runs end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.durable_steps import Record, RecordKind
from penstock.model.errors import InvalidOption, StepChanged
from penstock.model.job_error import JobError
from penstock.model.step_history import added
from penstock.tasks.replay import Replay

ERROR = JobError("ValueError", "no")


class Died(Exception):
    """The run ends here, by somebody's hand."""


class World:
    """The store's side of one job, and a function that makes the calls of a script.

    A script is a list of calls: ``("step", name, fails)``, ``("sleep",)``, ``("event", name)``. The function catches
    what fails and goes on.
    """

    def __init__(self):
        self.history = {}
        self.now = 0.0
        self.called = []

    def record(self, records):
        for record in records:
            self.history[record.place] = added(self.history.get(record.place), record)

    def suspend(self, replay, waits, until):
        record = waits if waits.until is not None else replace(waits, until=until)
        self.record([*replay.before, record])
        raise Died

    def run(self, script, budget):
        """Run the function until it returns, or until so many calls have been made. Answers what it has seen."""
        replay = Replay(self.history.values(), self.now)
        seen = []
        for kind, *told in script:
            if kind == "step":
                seen.append(self._step(replay, *told, budget))
            elif kind == "sleep":
                todo = replay.sleep()
                if todo.waits is not None:
                    self.suspend(replay, todo.waits, self.now + 5.0)
                seen.append("slept")
            else:
                todo = replay.event(*told)
                if todo.waits is not None:
                    self.suspend(replay, todo.waits, None)
                seen.append(todo.ended.value)
        replay.check_end()
        return seen

    def _step(self, replay, name, fails, budget):
        todo = replay.step(name)
        if todo.ended is None:
            if budget[0] == 0:
                raise Died
            budget[0] -= 1
            self.called.append(name)
            if fails:
                replay.failed(todo, ERROR)
                return ERROR
            record = replay.returned(todo, name.encode())
            self.record([*replay.before, record])
            replay.recorded(len(replay.before))
            return record.value
        return todo.ended.error or todo.ended.value


def names(script):
    """Steps have names of their own."""
    return [
        (kind, f"s{place}", *rest) if kind == "step" else (kind, *rest) for place, (kind, *rest) in enumerate(script)
    ]


scripts = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.booleans()),
        st.tuples(st.just("sleep")),
        st.tuples(st.just("event"), st.sampled_from(["a", "b"])),
    ),
    max_size=12,
).map(names)


@given(script=scripts, budgets=st.lists(st.integers(0, 3), max_size=20), early=st.booleans())
@settings(max_examples=300)
def test_however_often_a_run_is_interrupted_the_last_one_sees_what_an_undisturbed_one_sees(script, budgets, early):
    world, runs = World(), 0
    while True:
        try:
            seen = world.run(script, [budgets.pop() if budgets else 100])
            break
        except Died:
            runs += 1
            assert runs < 60, "each run gets somewhere"
        # What a suspended job waits for comes; or the job is run early, and waits on.
        if early and runs % 2:
            continue
        world.now += 5.0
        for place, record in world.history.items():
            if record.kind is RecordKind.EVENT and record.value is None:
                world.history[place] = replace(record, value=record.name.encode())
    wanted = {
        "step": lambda name, fails: ERROR if fails else name.encode(),
        "sleep": lambda: "slept",
        "event": lambda name: name.encode(),
    }
    assert seen == [wanted[kind](*told) for kind, *told in script]
    succeeded = [one[1] for one in script if one[0] == "step" and not one[2]]
    assert [name for name in world.called if name in succeeded] == succeeded, "no recorded step is called again"
    places = sorted(world.history)
    assert places == list(range(len(places)))


@given(script=scripts, at=st.integers(0, 11), other=st.sampled_from(["rename", "drop", "sleep", "event"]))
@settings(max_examples=300)
def test_a_function_that_has_changed_where_something_is_recorded_is_told(script, at, other):
    script = [
        ("step", name, False) if kind == "step" else (kind, *([name] if name else []))
        for kind, name in ((one[0], one[1] if len(one) > 1 else None) for one in script)
    ]
    world = World()
    while True:
        try:
            world.run(script, [100])
            break
        except Died:
            world.now += 5.0
            for place, record in world.history.items():
                if record.kind is RecordKind.EVENT and record.value is None:
                    world.history[place] = replace(record, value=b"x")
    if at >= len(script):
        assert world.run(script, [0]) is not None
        return
    changed = list(script)
    replaced = {"rename": ("step", "another", False), "sleep": ("sleep",), "event": ("event", "another")}
    if other == "drop":
        del changed[at:]
    else:
        changed[at] = replaced[other]
        if changed[at] == script[at]:
            return
    with pytest.raises(StepChanged, match="its code has changed"):
        world.run(changed, [0])


def test_a_name_is_used_once_in_a_run():
    replay = Replay()
    replay.returned(replay.step("a"), b"")
    with pytest.raises(StepChanged, match=r"'a' is the name of the calls 1 and 2"):
        replay.step("a")
    with pytest.raises(StepChanged, match="'a'"):
        replay.sleep()
    with pytest.raises(StepChanged, match="'a'"):
        replay.check_end()


def test_the_same_event_may_be_waited_for_twice():
    came = [Record(place, "e", RecordKind.EVENT, bytes([place])) for place in range(2)]
    replay = Replay(came)
    assert [replay.event("e").ended, replay.event("e").ended] == came


def test_one_call_at_a_time():
    replay = Replay()
    replay.step("a")
    with pytest.raises(InvalidOption, match="'b' is asked for while 'a' has not ended"):
        replay.step("b")


def test_a_call_that_was_not_awaited_is_told_at_the_end():
    replay = Replay()
    replay.step("a")
    with pytest.raises(InvalidOption, match="await every durable call"):
        replay.check_end()


def test_a_call_that_was_left_is_not_under_way():
    replay = Replay()
    replay.step("a")
    replay.left()
    replay.check_end()
    assert replay.step("b").place == 1


def test_tries_are_counted_and_waited_for():
    replay = Replay()
    record = replay.failed_once(replay.step("a"), ERROR)
    assert record == Record(0, "a", RecordKind.TRIES, error=ERROR, tries=1)
    waiting = replace(record, until=5.0)
    assert Replay([waiting], 4.0).step("a").waits == waiting
    again = Replay([waiting], 5.0)
    todo = again.step("a")
    assert (todo.ended, todo.waits, todo.tries) == (None, None, 1)
    assert again.failed_once(todo, ERROR).tries == 2


def test_what_was_caught_is_recorded_with_what_is_next_and_once():
    replay = Replay()
    replay.failed(replay.step("a"), ERROR)
    assert replay.before == [Record(0, "a", RecordKind.STEP, error=ERROR)]
    replay.recorded(1)
    assert replay.before == []


@pytest.mark.parametrize("name", ["", "x" * (limits.STEP_NAME_BYTES_MAX + 1)])
def test_what_is_no_name_breaks_the_job(name):
    replay = Replay()
    with pytest.raises(InvalidOption):
        replay.step(name)
    with pytest.raises(InvalidOption):
        replay.check_end()


def test_so_many_calls_and_no_more():
    replay = Replay()
    for place in range(limits.RECORDS_OF_JOB_MAX):
        replay.returned(replay.step(str(place)), b"")
    with pytest.raises(InvalidOption, match="RECORDS_OF_JOB_MAX"):
        replay.step("more")
