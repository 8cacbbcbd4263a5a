"""Lives of workflows in the engine: plans that were drawn, and jobs that come to their fates in any order."""

import re
from copy import copy
from itertools import count

import msgspec
import pytest
from msgspec.structs import replace

from penstock.model.errors import Conflict
from penstock.model.ids import new_id
from penstock.model.job import JobExtra, Lost, Outcomes, Retried, Succeeded
from penstock.model.losses import Loss
from penstock.store.sqlite.workflow_rows import find_workflow
from penstock.testing.conformance.kit import HOLDER, Buried, Cancelled, LeaseRequest
from penstock.workflow.values import value
from tests.unit.workflow import paper
from tests.unit.workflow.random_plans import CANCELLED, FAILED, FAILS, SUCCEEDED, Drawing, Drawn, Evaluation, result_of

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


def ids_of_producers():
    """Ids of jobs as producers make them, for plans that are drawn."""
    return (int.from_bytes(new_id(), "big") for _ in count())


@pytest.fixture
def ids(monkeypatch):
    monkeypatch.setattr(paper, "_numbers", ids_of_producers())


def plain(name):
    """The name of a step before it was appended."""
    return re.sub(r"( \(\d+\))+$", "", name)


def renewed(plan, members):
    """The same call, returned once more: all its jobs have other ids."""

    def group(one):
        return replace(one, jobs=[replace(entry, id=new_id()) for entry in one.jobs])

    def calls(some):
        return [replace(one, call=group(one.call)) for one in some]

    steps = [
        replace(
            step,
            call=None if step.call is None else group(step.call),
            compensation=None if step.compensation is None else calls([step.compensation])[0],
            on_success=calls(step.on_success),
            on_error=calls(step.on_error),
        )
        for step in plan.steps
    ]
    new = replace(plan, id=new_id(), steps=steps, on_success=calls(plan.on_success), on_error=calls(plan.on_error))
    return new, [replace(more, groups=[group(one) for one in more.groups]) for more in members]


class Life:
    """A workflow that was drawn, in a store.

    Args:
        open: opens the store again.
    """

    def __init__(self, store, clock, random, failing=0.15, *, undo=False, depth=3, after=lambda: None):
        self.store = store
        self.clock = clock
        self.random = random
        self.after = after
        self.drawn = Drawing(random, "", random.randint(0, depth), failing, undo=undo).draw(random.randint(1, 5))
        self.all_well = False
        self.runs = []
        members = list(self.drawn.members)
        cut = random.choice([0, len(members), random.randint(0, len(members))])
        self.later = members[cut:]
        self.id = self.drawn.plan.id
        started = self.call("start_workflow", self.drawn.plan, members[:cut])
        assert (started.id, started.duplicate) == (self.id, False)
        self.close = [n for n, step in enumerate(self.drawn.plan.steps) if step.group and step.group.total is None]

    def forked(self, step):
        """The life of a fork of it."""
        fork = copy(self)
        fork.id = new_id()
        started = self.call("fork_workflow", self.id, step, fork.id)
        assert (started.id, started.duplicate) == (fork.id, False)
        fork.later, fork.close, fork.runs = [], [], []
        return fork

    def call(self, name, *args, **kwargs):
        answer = getattr(self.store, name)(*args, **kwargs)
        self.after()
        return answer

    def view(self):
        return self.store.workflow(self.id)

    def steps(self):
        found, cursor = [], None
        while True:
            page = self.store.steps(self.id, cursor=cursor)
            found += page.steps
            cursor = page.cursor
            if cursor is None:
                return found

    # --- what its jobs come to ---------------------------------------------------------------------------------------
    def lease(self):
        batch = self.call("lease", LeaseRequest(HOLDER, self.random.choice([1, 2, 50])))
        return [(batch.first_fence + place, job) for place, job in enumerate(batch.jobs)]

    def settle(self, held):
        outcomes = Outcomes(HOLDER)
        for fence, job in held:
            self._end(outcomes, fence, job)
        self.call("settle", outcomes)

    def _end(self, outcomes, fence, job):
        now, random = self.clock.time(), self.random
        extra = JobExtra() if job.extra is None else unpack(job.extra, type=JobExtra)
        lease = self.store.books.by_fence.get(fence)
        if extra.workflow is None or lease is None:
            outcomes.succeeded.append(Succeeded(fence, now, now, b"m\xc0"))
            return
        chance = random.random()
        if lease.cancel and chance < 0.7:
            outcomes.cancelled.append(Cancelled(fence))
        elif chance > 0.95:
            outcomes.retried.append(Retried(fence, 0.0, FAILED))
        elif chance > 0.9:
            outcomes.lost.append(Lost(fence, Loss.STRAY, FAILED))
        elif lease.place == -1:
            outcomes.succeeded.append(Succeeded(fence, now, now, b"m\xc0"))
        else:
            self._come_to(outcomes, fence, job, extra)

    def _come_to(self, outcomes, fence, job, extra):
        now = self.clock.time()
        name = plain(self.names[extra.step])
        fate = self.drawn.fates[name, extra.place]
        self.runs.append((name, extra.place))
        if isinstance(fate, Drawn):
            outcomes.succeeded.append(Succeeded(fence, now, now, None))
            outcomes.expansions.append((fence, *renewed(fate.plan, fate.members)))
        elif fate is None or self.all_well:
            args = unpack(job.body[1:])[0]
            result = b"m" + pack(result_of(name, extra.place, args))
            outcomes.succeeded.append(Succeeded(fence, now, now, result))
        else:
            outcomes.buried.append(Buried(fence, FAILED))

    @property
    def names(self):
        return {step.number: step.name for step in self.steps()}

    # --- from start to end -------------------------------------------------------------------------------------------
    def add_some(self):
        for more in self.later:
            self._try("add_members", self.id, [more])
        for number in self.close:
            self._try("add_members", self.id, [], close=[number])
        self.later, self.close = [], []

    def _try(self, name, *args, **kwargs):
        """A group may have ended meanwhile."""
        try:
            self.call(name, *args, **kwargs)
        except Conflict:
            self.after()

    def close_returned(self):
        """Calls that are returned have no producer any more: their groups are closed at once."""
        for step in self.steps()[len(self.drawn.plan.steps) :]:
            if step.kind == "group" and step.total is None and step.state in ("waiting", "running"):
                self._try("add_members", self.id, [], close=[step.number])

    def go(self):
        """Until it is over."""
        held, idle = [], 0
        while self.view().finished_at is None:
            random = self.random
            if (self.later or self.close) and (idle > 1 or random.random() < 0.1):
                self.add_some()
            held += self.lease()
            if random.random() < 0.3 or not held:
                self.call("tick")
            if random.random() < 0.05:
                self.call("pause_workflow", self.id)
                self.call("resume_workflow", self.id)
            some = random.randint(1, len(held)) if held else 0
            random.shuffle(held)
            if some:
                self.settle(held[:some])
            idle = 0 if held else idle + 1
            if idle > 3:
                # A chore that failed is tried again after a while.
                self.clock.advance(1.0)
            del held[:some]
            self.close_returned()
            assert idle < 50, [self.view(), *self.steps()]
        while self.call("tick").next_s == 0:
            pass
        return self

    def check_end(self):
        """What it came to is what the slow evaluation says."""
        drawn, view, steps = self.drawn, self.view(), self.steps()
        expected = Evaluation(drawn, all_well=self.all_well)
        top = [n for n, step in enumerate(drawn.plan.steps) if step.block is None]
        fates = {number: expected.fate(number) for number in top}
        fails = FAILS in fates.values()
        assert view.state == ("failed" if fails else "succeeded")
        stops = drawn.plan.on_failure == "stop" and fails
        for number in top:
            allowed = {fates[number], CANCELLED} if stops else {fates[number]}
            assert steps[number].state in allowed
            if steps[number].state == SUCCEEDED:
                assert self.value(number) == expected.value(number)

    def value(self, number):
        """The value of a step, as it is handed over."""
        return unpack(value(find_workflow(self.store.database, self.id), number))
