"""Each check is shown a chord of which it does not hold, and must say so."""

from dataclasses import replace

import pytest

from penstock.model.states import State
from penstock.testing.torture.audit import audit
from penstock.testing.torture.chord_checks import CHORD_CHECKS
from penstock.testing.torture.chord_shapes import CALLBACK, DOOMED, ON_ERROR, chord_of
from penstock.testing.torture.evidence import Evidence
from penstock.testing.torture.records import Attempted, ChordAcked
from penstock.testing.torture.rows import JobRow, StoreRows

NAMES = {check.__name__.strip("_").replace("_", " ") for check in CHORD_CHECKS}


def chord_with(*, head, doomed, fails, members=3):
    """The first chord that is like this."""
    for number in range(10_000):
        chord = chord_of(f"chord-{number}")
        found = sum(member.task == DOOMED for member in chord.members)
        kind = (chord.head is not None), found > 0, found > chord.failures_max
        if kind == (head, doomed, fails) and members <= len(chord.members) < 20:
            return chord
    raise AssertionError("there is none")


class Life:
    """What became of a chord, all of it right."""

    def __init__(self, chord):
        self.chord = chord
        self.rows = {}
        self.acks = [ChordAcked(chord.token, "w1")]
        for part in chord.first() if chord.head is None else [chord.head, *chord.members]:
            self.end(part, fails=part.task == DOOMED)
        failed = sum(member.task == DOOMED for member in chord.members) > chord.failures_max
        self.workflows = {"w1": "failed" if failed else "succeeded"}
        if failed:
            self.end(chord.on_error)
        else:
            self.release()

    def end(self, part, *, fails=False, error="NeverError"):
        state = State.DEAD if fails else State.SUCCEEDED
        result = None if fails else f"n-{part.token} more"
        row = JobRow(f"id-{part.token}", part.task, "light", (state,), part.token, attempt=1, result=result)
        self.rows[part.token] = replace(row, error=error if fails else None)

    def release(self):
        self.end(self.chord.callback)
        given = [self.rows[part.token].result for part in self.chord.members]
        names = ["-" if one is None else one.split()[0] for one in given]
        self.change(self.chord.callback, result=" ".join(["n-callback", *names]))

    def change(self, part, **what):
        self.rows[part.token] = replace(self.rows[part.token], **what)

    def evidence(self):
        attempts = [Attempted(part.token, part.task) for part in self.chord.parts()]
        store = StoreRows(list(self.rows.values()), {}, [], self.workflows)
        return Evidence(attempts, [], [], store, set(), {}, {}, chord_acks=self.acks)

    def failed(self):
        found = {finding.check: finding.subjects for finding in audit(self.evidence())[1]}
        return {name: subjects for name, subjects in found.items() if name in NAMES}


SOUND = chord_with(head=False, doomed=False, fails=False)
HEADED = chord_with(head=True, doomed=False, fails=False)
ALLOWED = chord_with(head=False, doomed=True, fails=False)
FAILING = chord_with(head=True, doomed=True, fails=True)


@pytest.mark.parametrize("chord", [SOUND, HEADED, ALLOWED, FAILING])
def test_all_is_well(chord):
    life = Life(chord)
    assert life.failed() == {}
    ledger = audit(life.evidence())[0]
    assert (ledger.chords, ledger.parts) == (1, len(life.rows))
    assert (ledger.attempted, ledger.recovered, ledger.children, ledger.unexpected) == (0, 0, 0, 0)


def test_one_that_was_never_acked_may_be_absent():
    life = Life(SOUND)
    life.rows, life.acks, life.workflows = {}, [], {}
    assert life.failed() == {}


def test_one_that_was_acked_is_lost_when_it_is_absent():
    life = Life(SOUND)
    life.rows = {}
    assert life.failed() == {"chord lost": (f"{SOUND.token}: 0 of {len(SOUND.members)} jobs",)}
    life = Life(SOUND)
    life.workflows = {}
    assert life.failed() == {"chord lost": (f"{SOUND.token}: no workflow w1",)}


@pytest.mark.parametrize("acked", [True, False])
def test_half_a_chord_is_found(acked):
    life = Life(SOUND)
    del life.rows[SOUND.members[0].token], life.rows[SOUND.callback.token]
    if not acked:
        life.acks = []
    count = len(SOUND.members)
    assert life.failed()["chord lost"] == (f"{SOUND.token}: {count - 1} of {count} jobs",)


@pytest.mark.parametrize("chord", [SOUND, ALLOWED])
def test_a_callback_that_was_never_released_is_found(chord):
    life = Life(chord)
    del life.rows[chord.callback.token]
    life.workflows["w1"] = "running"
    assert life.failed() == {
        "chord stuck": (chord.callback.token,),
        "chord ended otherwise": (f"{chord.token}: running, and not failed",),
    }


def test_members_that_do_not_start_when_their_head_has_ended_are_found():
    life = Life(HEADED)
    for part in [*HEADED.members, HEADED.callback]:
        del life.rows[part.token]
    life.workflows["w1"] = "running"
    assert life.failed() == {"chord stuck": tuple(sorted(part.token for part in HEADED.members))}


def test_a_failure_that_nobody_is_told_of_is_found():
    life = Life(FAILING)
    del life.rows[FAILING.on_error.token]
    assert life.failed() == {"chord stuck": (FAILING.on_error.token,)}


def test_a_callback_that_runs_although_too_many_have_failed_is_found():
    life = Life(FAILING)
    life.release()
    assert life.failed()["callback unfounded"] == (FAILING.callback.token,)


def test_a_callback_that_runs_before_all_have_ended_is_found():
    life = Life(SOUND)
    life.change(SOUND.members[1], states=(State.RUNNING,))
    assert life.failed()["callback unfounded"] == (SOUND.callback.token,)


def test_a_failure_that_is_none_is_found():
    life = Life(ALLOWED)
    life.end(ALLOWED.on_error)
    assert life.failed() == {"callback unfounded": (ALLOWED.on_error.token,)}


@pytest.mark.parametrize("chord", [SOUND, ALLOWED])
def test_a_callback_that_was_given_something_else_is_found(chord):
    life = Life(chord)
    life.change(chord.members[0], result="n-other", states=(State.SUCCEEDED,))
    (told,) = life.failed()["callback given others"]
    assert told.startswith(f"id-{chord.callback.token}: ")


def test_a_callback_that_was_given_them_in_another_order_is_found():
    life = Life(SOUND)
    words = life.rows[SOUND.callback.token].result.split()
    life.change(SOUND.callback, result=" ".join([words[0], *reversed(words[1:])]))
    assert life.failed().keys() == {"callback given others"}


def test_two_callbacks_are_found():
    life = Life(SOUND)
    again = replace(life.rows[SOUND.callback.token], id="id-again")
    life.rows["again"] = again
    assert "accepted twice" in {finding.check for finding in audit(life.evidence())[1]}


def test_members_may_die_of_lost_executors():
    life = Life(SOUND)
    life.end(SOUND.members[0], fails=True, error="WorkerLost")
    del life.rows[SOUND.callback.token]
    life.end(SOUND.on_error)
    life.workflows["w1"] = "failed"
    assert life.failed() == {}


def test_a_callback_may_die_of_lost_executors_and_then_the_chord_has_failed():
    life = Life(SOUND)
    life.end(SOUND.callback, fails=True, error="WorkerLost")
    life.workflows["w1"] = "failed"
    assert life.failed() == {"chord stuck": (SOUND.on_error.token,)}
    life.end(SOUND.on_error)
    assert life.failed() == {}


def test_a_head_may_die_of_lost_executors_and_then_nothing_follows():
    life = Life(HEADED)
    life.rows = {}
    life.end(HEADED.head, fails=True, error="WorkerLost")
    life.end(HEADED.on_error)
    life.workflows["w1"] = "failed"
    assert life.failed() == {}


def test_what_is_not_over_is_not_judged():
    life = Life(SOUND)
    life.change(SOUND.members[0], states=(State.READY,), result=None)
    del life.rows[SOUND.callback.token]
    life.workflows["w1"] = "running"
    assert life.failed() == {}


def test_the_tasks_of_callbacks_are_those_of_the_load():
    assert (SOUND.callback.task, SOUND.on_error.task) == (CALLBACK, ON_ERROR)
