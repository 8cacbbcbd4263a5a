"""The power goes while workflows go on: what was acknowledged is there, nothing half, and each comes to an end."""

import itertools
import random
from copy import copy

import pytest

from penstock.model.errors import Conflict
from penstock.model.ids import new_id
from penstock.model.job import Buried, Cancelled, JobEntry, JobGroup, LeaseRequest, Outcomes, Succeeded, checksum
from penstock.model.workflow_plan import Block, Callback, GroupPlan, Members, Output, StepPlan, Take, WorkflowPlan
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import BODY, ERROR, HOLDER
from tests.unit.store.sqlite.test_power_cut import copied, short_log

__all__ = ["short_log"]

TABLES = ("workflow", "step", "step_facts", "held_members", "member_block", "workflow_work")


def call(task="app.step", body=BODY):
    return JobGroup(task, [JobEntry(new_id(), body, checksum(body))])


def calls(number, task="app.member"):
    return JobGroup(task, [JobEntry(new_id(), BODY, checksum(BODY)) for _ in range(number)])


class Story:
    """A store with workflows at work. ``known``: of each its state, and the states of its steps, as a client saw them
    last; None: it is gone."""

    def __init__(self, store, clock):
        self.store = store
        self.clock = clock
        self.known = {}
        self.open = []
        self.steps = 0
        self.after = lambda: None

    def told(self):
        return dict(self.known)

    def step(self):
        kinds = (
            self.chain,
            self.work,
            self.chord,
            self.work,
            self.open_group,
            self.held_group,
            self.work,
            self.saga,
            self.fail,
            self.tick,
            self.add,
            self.work,
            self.expand,
            self.cancel,
            self.work,
            self.retry,
            self.tick,
            self.fork,
            self.pause,
            self.work,
            self.forget,
        )
        kinds[self.steps % len(kinds)]()
        self.steps += 1

    def note(self):
        self.known = {one: seen(self.store, one) for one in self.known}
        self.after()

    def start(self, *steps, members=(), out=None, **options):
        plan = WorkflowPlan(new_id(), "w", list(steps), [Output(len(steps) - 1 if out is None else out)], **options)
        self.store.start_workflow(plan, members)
        self.known[plan.id] = None
        self.note()
        return plan.id

    def chain(self):
        self.start(
            StepPlan("a", call()),
            StepPlan("b", call(), takes=[Take(0)]),
            StepPlan("c", call(), takes=[Take(1)]),
            on_success=[Callback(call("app.told"))],
        )

    def chord(self):
        group = StepPlan("g", group=GroupPlan(total=3, failures_max=1), on_error=[Callback(call("app.told"))])
        self.start(group, StepPlan("c", call(), takes=[Take(0)]), members=[Members(0, [calls(3)])])

    def open_group(self):
        group = StepPlan("g", group=GroupPlan(open_s=5.0, closes=True))
        self.open.append(self.start(group, StepPlan("c", call(), takes=[Take(0)]), members=[Members(0, [calls(2)])]))

    def held_group(self):
        block = Block(1, 2, 2, 0)
        self.start(
            StepPlan("a", call()),
            StepPlan("g", group=GroupPlan(total=4), takes=[Take(0)]),
            StepPlan("b", call(), block=block, into=True),
            members=[Members(1, [calls(3)], first=1)],
            out=1,
        )

    def saga(self):
        undo = [Callback(call("app.undo")) for _ in range(2)]
        self.start(
            StepPlan("a", call(), compensation=undo[0]),
            StepPlan("b", call(), takes=[Take(0)], compensation=undo[1]),
            StepPlan("bad", call("app.bad"), takes=[Take(1)]),
        )

    def add(self):
        if self.open:
            try:
                self.store.add_members(self.open[0], [Members(0, [calls(2)])], close=[0])
            except Conflict:
                pass
            self.open.pop(0)
            self.note()

    def lease(self, limit=6):
        batch = self.store.lease(LeaseRequest(HOLDER, limit))
        self.note()
        return [
            (batch.first_fence + place, batch.tasks[batch.task_of[place]], job) for place, job in enumerate(batch.jobs)
        ]

    def work(self):
        self.end(self.lease())

    def end(self, held, *, expansions=()):
        now, outcomes = self.clock.time(), Outcomes(HOLDER, expansions=list(expansions))
        for fence, task, _ in held:
            lease = self.store.books.by_fence.get(fence)
            if lease is not None and lease.cancel:
                outcomes.cancelled.append(Cancelled(fence))
            elif task == "app.bad":
                outcomes.buried.append(Buried(fence, ERROR))
            else:
                outcomes.succeeded.append(Succeeded(fence, now, now, b"m\x07"))
        self.store.settle(outcomes)
        self.note()

    def fail(self):
        now = self.clock.time()
        for fence, _, _ in self.lease(2):
            self.store.settle(Outcomes(HOLDER, buried=[Buried(fence, ERROR, now)]))
            self.note()

    def expand(self):
        """Jobs return calls."""
        held = self.lease(2)
        expansions = []
        for fence, *_ in held:
            steps = [StepPlan("g", group=GroupPlan(total=2)), StepPlan("c", call(), takes=[Take(0)])]
            plan = WorkflowPlan(new_id(), "returned", steps, [Output(1)])
            expansions.append((fence, plan, [Members(0, [calls(2)])]))
        self.end(held, expansions=expansions)

    def tick(self):
        self.clock.advance(2.0)
        self.store.tick()
        self.note()

    def _last(self, state):
        page = self.store.workflows(state=state)
        return page.workflows[0].id if page.workflows else None

    def cancel(self):
        found = self._last("running")
        if found:
            self.store.cancel_workflow(found)
            self.note()

    def retry(self):
        found = self._last("failed")
        if found:
            self.store.retry_workflow(found)
            self.note()

    def fork(self):
        found = self._last("succeeded") or self._last("failed")
        if found:
            new = new_id()
            self.store.fork_workflow(found, 0, new)
            self.known[new] = None
            self.note()

    def pause(self):
        found = self._last("running")
        if found:
            self.store.pause_workflow(found)
            self.note()
            self.store.resume_workflow(found)
            self.note()

    def forget(self):
        for state in ("cancelled", "succeeded"):
            found = self._last(state)
            if found:
                try:
                    self.store.delete_workflow(found)
                except Conflict:
                    continue
                self.note()


def seen(store, workflow):
    """What a client sees of a workflow."""
    view = store.workflow(workflow)
    if view is None:
        return None
    steps = store.steps(workflow, limit=1_000).steps
    return view.state, view.members, view.paused, tuple((step.state, step.members) for step in steps)


def recovered(directory, clock, audit, known, or_known=None):
    """Open what is left: each workflow is as it was acknowledged, or as the call in flight would have made it; and all
    of them come to an end."""
    store = SqliteStore(directory / "penstock.db", clock=clock)
    found = {one: seen(store, one) for one in known}
    wrong = {
        one.hex(): (found[one], state)
        for one, state in known.items()
        if found[one] not in (state, (or_known or known).get(one, state))
    }
    assert wrong == {}
    audit(store)
    come_to_an_end(store, clock)
    audit(store)
    store.close()


def come_to_an_end(store, clock):
    story = Story(store, clock)
    store.reconcile(HOLDER, [])
    for one in store.workflows(state="running").workflows:
        store.resume_workflow(one.id)
    for _ in range(200):
        clock.advance(1.0)
        while store.tick().next_s == 0:
            pass
        held = story.lease(50)
        if held:
            story.end(held)
        elif not store.books.by_fence and not any(
            store.workflows(state=state).workflows for state in ("running", "stopping", "compensating")
        ):
            break
    else:
        raise AssertionError(f"some go on for ever: {store.workflows(state='running').workflows}")


@pytest.mark.usefixtures("short_log")
def test_a_copy_at_every_commit_has_what_was_acknowledged(path, clock, tmp_path, audit):
    store = SqliteStore(path, clock=clock)
    story = Story(store, clock)
    numbers = itertools.count()

    def after():
        # Now and then a new clock, so that the life of the copy does not move that of the story.
        number = next(numbers)
        if number % 3 == 0:
            recovered(copied(path, tmp_path / str(number)), copy(clock), audit, story.told())

    story.after = after
    for _ in range(63):
        story.step()
    store.close()
    assert next(numbers) > 63
    assert {state for state in story.known.values() if state}, "some are still there"


@pytest.mark.usefixtures("short_log")
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_at_a_power_cut_nothing_half_is_left(disk, path, clock, tmp_path, audit, seed):
    """At every operation of the disk, its unsynced sectors are lost, or kept by chance."""
    store = SqliteStore(path, clock=clock)
    story = Story(store, clock)
    chance = random.Random(0 if seed is None else seed)
    cuts = itertools.count()
    moments, settled = [], []

    def cut():
        if chance.random() < 0.07:
            into = tmp_path / f"cut-{next(cuts)}"
            into.mkdir()
            disk.cut_power(into, None if seed is None else chance)
            moments.append((into, story.told()))

    def after():
        settled.extend((into, known, story.told()) for into, known in moments)
        moments.clear()

    disk.before, story.after = cut, after
    for _ in range(63):
        story.step()
    disk.heal()
    store.close()
    assert len(settled) > 30
    for into, known, then in settled:
        recovered(into, copy(clock), audit, known, or_known=then)
