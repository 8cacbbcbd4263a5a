"""People pause, cancel, retry and fork workflows at any moment, and jobs add members: all counts agree, and in the end
everything has run."""

from contextlib import suppress
from random import Random

import pytest

from penstock.model.errors import Conflict
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.testing.conformance.kit import HOLDER
from tests.unit.store.sqlite.workflow_lives import Life, ids, plain

__all__ = ["ids"]

pytestmark = pytest.mark.usefixtures("ids")


class Acted(Life):
    """A workflow that somebody does something to now and then. ``acts``: how often still."""

    acts = 12
    adds = 4

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.forks = []
        # A group that its producer has not filled would be abandoned.
        self.add_some()

    def lease(self):
        if self.acts and self.random.random() < 0.5:
            self.act()
        return super().lease()

    def act(self):
        self.acts -= 1
        # Nobody comes to resume it after the last time.
        verbs = ["pause", "resume", "cancel", "cancel", "retry", "retry", "fork"] if self.acts else ["resume"]
        verb = self.random.choice(verbs)
        if verb == "fork":
            self.fork()
        else:
            self.call(f"{verb}_workflow", self.id)

    def fork(self):
        top = [number for number, step in enumerate(self.drawn.plan.steps) if step.block is None]
        with suppress(Conflict):
            self.forks.append(self.forked(self.random.choice(top)))

    def _come_to(self, outcomes, fence, job, extra):
        # It may be a job of a fork.
        own, self.id = self.id, extra.workflow
        name = plain(self.names[extra.step])
        fate = self.drawn.fates.setdefault((name, extra.place), None)
        super()._come_to(outcomes, fence, job, extra)
        self.id = own
        if fate is None and extra.place is not None and self.adds and self.random.random() < 0.2:
            self.adds -= 1
            body = b"m\x92\x90\x80"
            added = [JobEntry(new_id(), body, checksum(body)) for _ in range(self.random.randint(1, 2))]
            outcomes.members.append((fence, [JobGroup("t", added)]))

    def go(self):
        super().go()
        self.call("reconcile", HOLDER, [])
        return self


def check_counts(life):
    """All members of groups that have ended are counted once."""
    view, steps = life.view(), life.steps()
    groups = [(step, step.members) for step in steps if step.members is not None]
    for step, members in groups:
        there, *ended = members
        assert min(members) >= 0, step
        assert sum(ended) <= there, step
        # Of one that stood by, and was not needed in the end, some may have begun, and others are skipped.
        assert sum(ended) == there or step.state in ("skipped", "cancelled"), step
    assert view.members == tuple(map(sum, zip(*(members for _, members in groups), strict=True))) or not groups


@pytest.mark.parametrize("seed", range(40))
def test_whatever_people_do_to_it_the_counts_agree_and_it_can_be_brought_to_its_end(store, clock, audit, seed):
    random = Random(seed)
    life = Acted(store, clock, random, 0.2, undo=seed % 3 == 0)
    life.go()
    audit(store)
    for one in [life, *life.forks]:
        one.acts = 0
        one.call("resume_workflow", one.id)
        one.go()
        check_counts(one)
        audit(store)
        if one.view().state != "succeeded":
            one.all_well = True
            one.call("retry_workflow", one.id)
            one.go()
        assert one.view().state == "succeeded"
        check_counts(one)
        audit(store)
    assert store.database.connection.execute("SELECT count(*) FROM workflow_work").get == 0
