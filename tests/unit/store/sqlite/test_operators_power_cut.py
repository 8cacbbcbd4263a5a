"""The power goes while operators hold queues, act on many jobs and retry dead ones with other arguments: a hold is
there with its closing and its entry, and what an action says it has done is done."""

import itertools
import random

import pytest

from penstock.model.actions import ActionRequest, ActionState, Verb
from penstock.model.holds import HoldKind
from penstock.model.job import Filter, JobEntry, checksum
from penstock.model.lines import Closed
from penstock.model.states import State
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import put
from tests.unit.store.sqlite.test_power_cut import Story, copied, recovered, short_log

__all__ = ["short_log"]


class OperatorStory(Story):
    """Operators among jobs."""

    def __init__(self, store, clock):
        super().__init__(store, clock)
        self.actions = 0

    def step(self):
        kinds = (
            self.put,
            self.delay,
            self.pause,
            self.act,
            self.tick,
            self.lease,
            self.drain,
            self.fail,
            self.resume,
            self.edit,
            self.put,
            self.act,
            self.tick,
            self.stop,
            self.succeed,
        )
        kinds[self.steps % len(kinds)]()
        self.steps += 1

    def pause(self):
        put(self.store, queue="held")
        self.store.pause(queue="held", by="ann", note="why")
        self.after()

    def drain(self):
        self.store.drain(queue="held", by="bob")
        self.after()

    def resume(self):
        self.store.resume(queue="held", by="ann")
        self.after()

    def act(self):
        """Actions of each verb in turn, a few jobs a second."""
        verb, where, to = [
            (Verb.CANCEL, Filter(state=State.SCHEDULED), None),
            (Verb.RETRY, Filter(state=State.DEAD), None),
            (Verb.MOVE, Filter(queue="default"), "elsewhere"),
            (Verb.DELETE, Filter(state=State.CANCELLED), None),
        ][self.actions % 4]
        self.actions += 1
        self.store.start_action(ActionRequest(self.actions.to_bytes(16, "big"), verb, where, to, per_s=4.0), by="ann")
        self.after()

    def stop(self):
        self.store.stop_action(self.actions.to_bytes(16, "big"), by="bob")
        self.after()

    def edit(self):
        """The first dead job has other arguments."""
        dead = [job for job, state in self.known.items() if state is State.DEAD]
        body = b"m" + bytes([self.steps])
        for job in dead[:1]:
            self.store.revive_edited(JobEntry(job, body, checksum(body)), by="ann")
        self.note(list(self.known))


def check_operators(store):
    """Holds, closings, actions and entries agree."""
    paused = {hold.queue for hold in store.holds() if hold.kind is HoldKind.PAUSED}
    assert paused == {one.queue for one in store.closed_lines() if one.reason is Closed.PAUSED}
    entries = {entry.number: entry for entry in store.audit(limit=1_000).entries}
    assert sorted(entries) == list(range(1, len(entries) + 1)), "no entry is missing"
    counts = store.totals().counts
    for action in store.actions():
        assert (entries[action.entry].action, entries[action.entry].count) == (action.id, action.changed)
        assert action.is_under_way or action.finished_at is not None
        assert action.state is not ActionState.FAILED
    done = {verb: sum(one.changed for one in store.actions() if one.verb is verb) for verb in Verb}
    edited = sum(entry.verb == "edit and retry" for entry in entries.values())
    assert (counts.cancelled_total, counts.moved_out_total) == (done[Verb.CANCEL], done[Verb.MOVE])
    assert counts.revived_total == done[Verb.RETRY] + edited


@pytest.fixture
def audit_operators(audit):
    def check(store):
        audit(store)
        check_operators(store)

    return check


@pytest.mark.usefixtures("short_log")
def test_a_copy_at_every_commit_has_what_operators_did(path, clock, tmp_path, audit_operators):
    store = SqliteStore(path, clock=clock)
    story = OperatorStory(store, clock)
    numbers = itertools.count()
    story.after = lambda: recovered(copied(path, tmp_path / str(next(numbers))), clock, audit_operators, story.told())
    for _ in range(45):
        story.step()
    check_operators(store)
    assert sum(one.changed for one in store.actions()) >= 8
    store.close()
    assert next(numbers) > 40


@pytest.mark.usefixtures("short_log")
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_at_a_power_cut_what_operators_did_is_whole(disk, path, clock, tmp_path, audit_operators, seed):
    """At every operation of the disk, its unsynced sectors are lost, or kept by chance."""
    store = SqliteStore(path, clock=clock)
    story = OperatorStory(store, clock)
    chance = random.Random(0 if seed is None else seed)
    cuts = itertools.count()
    moments, settled = [], []

    def cut():
        if chance.random() < 0.15:
            into = tmp_path / f"cut-{next(cuts)}"
            into.mkdir()
            disk.cut_power(into, None if seed is None else chance)
            moments.append((into, story.told()))

    def after():
        settled.extend((into, known, story.told()) for into, known in moments)
        moments.clear()

    disk.before, story.after = cut, after
    for _ in range(45):
        story.step()
    disk.heal()
    store.close()
    assert len(settled) > 30
    for into, known, then in settled:
        recovered(into, clock, audit_operators, known, or_known=then)
