"""A bulk action in one line: what was done, and why not to all."""

import pytest
from msgspec.structs import replace

from penstock.cli.acting import told
from penstock.cli.output import when
from penstock.model.actions import Action, ActionState, Verb
from penstock.model.ids import new_id
from penstock.model.job import Filter


def action(verb, state, matched, changed, *, to=None, dry_run=False, error=None):
    one = Action(new_id(), verb, Filter(tag="t"), to, dry_run, None, None, "ann", 0.0)
    return type(one)(*[getattr(one, name) for name in one.__struct_fields__[:9]], state, matched, changed, 1.0, error)


@pytest.mark.parametrize(
    ("one", "line"),
    [
        (action(Verb.MOVE, ActionState.DONE, 3, 3, to="q"), "3 of 3 jobs moved."),
        (action(Verb.RETRY, ActionState.DONE, 1, 1), "1 of 1 job retried."),
        (
            action(Verb.CANCEL, ActionState.DONE, 1_200, 1_199),
            "1,199 of 1,200 jobs cancelled. The others were in another state by then.",
        ),
        (action(Verb.CANCEL, ActionState.DONE, 0, 0), "0 of 0 jobs cancelled."),
        (action(Verb.DELETE, ActionState.STOPPED, 9, 2), "2 of 9 jobs deleted. Stopped."),
        (action(Verb.DELETE, ActionState.FAILED, 9, 2, error="Why."), "2 of 9 jobs deleted. Failed: Why."),
        (action(Verb.MOVE, ActionState.DONE, 2, 0, to="q", dry_run=True), "2 jobs would be moved."),
    ],
)
def test_it_is_told_in_a_line(one, line):
    assert told(one) == line


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("to", "kind"), [("q", "is a queue"), ("orders:mail", "is a channel")])
def test_a_move_of_nothing_says_what_its_target_takes(to, kind, dry_run):
    line = told(action(Verb.MOVE, ActionState.DONE, 0, 0, to=to, dry_run=dry_run))
    assert line.startswith(f"No job that matches can be moved. {to} {kind}: it takes ")


def test_a_replay_says_since_when_there_are_records():
    one = replace(action(Verb.REPLAY, ActionState.DONE, 2, 0, dry_run=True), oldest_at=1_800_000_000.0)
    words = f" The oldest of which there is a record is of {when(1_800_000_000.0)}."
    assert told(one) == f"2 messages would be delivered once more.{words}"
    assert told(replace(one, dry_run=False, changed=2)) == f"2 of 2 messages delivered once more.{words}"
    assert words in told(replace(one, dry_run=False, state=ActionState.RUNNING))


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_replay_of_nothing_says_that_no_record_is_kept(dry_run):
    line = told(action(Verb.REPLAY, ActionState.DONE, 0, 0, dry_run=dry_run))
    assert line.startswith("Of no message of that time there is a record")


def test_a_move_that_was_stopped_before_it_found_any_says_so():
    assert told(action(Verb.MOVE, ActionState.STOPPED, 0, 0, to="q")) == "0 of 0 jobs moved. Stopped."
