"""Any plan, any order of ends, small steps of chores, everything read from its packed form each time: the same end."""

from __future__ import annotations

import re
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.model.workflow_plan import Members, WorkflowPlan
from penstock.model.workflow_views import StepState
from penstock.workflow.rows import ChoreKind
from tests.unit.workflow.paper import FAILED, Job, Paper, unpack
from tests.unit.workflow.random_plans import CANCELLED, FAILS, SUCCEEDED, Drawing, Drawn, Evaluation, result_of

randoms = st.integers(0, 1 << 32).map(Random)
often = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def plain(name: str) -> str:
    """The name of a step before it was appended."""
    return re.sub(r"( \(\d+\))+$", "", name)


class Run:
    """A workflow that was drawn, and is driven at random."""

    def __init__(self, random: Random, failing: float = 0.15, *, undo: bool = False) -> None:
        self.random = random
        self.drawn = Drawing(random, "", random.randint(0, 3), failing, undo=undo).draw(random.randint(1, 5))
        self.paper = Paper(steps_max=random.choice([1, 2, 500]))
        self.all_well = False
        members = list(self.drawn.members)
        now, later = members, []
        if random.random() < 0.5:
            cut = random.randint(0, len(members))
            now, later = members[:cut], members[cut:]
        self.later = later
        self.refused: list[Members] = []
        self.paper.start(self.drawn.plan, *now)
        self.close = [n for n, step in enumerate(self.drawn.plan.steps) if step.group and step.group.total is None]

    def add_some(self) -> None:
        """The producer adds what is missing, and closes."""
        paper = self.paper
        for more in self.later:
            if takes_members(paper, more.step):
                paper.add(more)
            else:
                self.refused.append(more)
        for number in self.close:
            if all(more.step != number for more in self.refused):
                paper.add(close=[number])
        self.later, self.close = [], []

    def add_again(self) -> None:
        """The workflow is retried, and so its producer comes back with what was refused."""
        steps = [self.paper.step(number) for number in range(len(self.drawn.plan.steps))]
        self.later, self.refused = self.later + self.refused, []
        self.close = [n for n, (_, row) in enumerate(steps) if row.group is not None and row.group.total is None]

    def end_one(self, paper: Paper) -> None:
        one = self.random.choice(paper.live())
        self.end(paper, one)

    def end(self, paper: Paper, one: Job) -> None:
        if one.kind == "compensation":
            paper.end(one)
            return
        name = plain(paper.step(one.step)[0].plan.name)
        fate = self.drawn.fates[name, one.place]
        if one.state == "asked" and self.random.random() < 0.7:
            paper.end(one, "cancelled")
        elif isinstance(fate, Drawn):
            paper.end(one, fate.plan, *fate.members)
            self.close_returned(paper)
        elif fate is None or self.all_well:
            args = unpack(one.body[1:])[0]
            paper.end(one, result_of(name, one.place, args))
        else:
            paper.end(one, FAILED)

    def close_returned(self, paper: Paper) -> None:
        """Calls that are returned have no producer any more: their groups are closed at once."""
        count = len(self.drawn.plan.steps)
        for number in range(count, len(paper.facts)):
            row = paper.step(number)[1]
            if row.group is not None and row.group.total is None and not row.has_ended:
                paper.add(close=[number])

    def go(self, paper: Paper | None = None) -> Paper:
        """Until it is over."""
        paper = paper or self.paper
        while not paper.workflow().is_over:
            if (self.later or self.close) and (not paper.live() or self.random.random() < 0.1):
                self.add_some()
            if not paper.live() or self.random.random() < 0.3:
                paper.settle()
            if self.random.random() < 0.2:
                check_nothing_is_stuck(paper.settle())
            if self.random.random() < 0.1:
                paper.tell(("pause", ()))
                self.random.random() < 0.5 and paper.settle()
                paper.tell(("resume", ()))
            elif paper.live():
                self.end_one(paper)
            else:
                assert self.later or self.close or paper.workflow().is_over, "it goes on as long as it is not over"
        paper.settle()
        return paper


def takes_members(paper: Paper, number: int) -> bool:
    row = paper.step(number)[1]
    return not row.has_ended and not row.asked and row.stands_in is None and paper.workflow().ending is None


def check_nothing_is_stuck(paper: Paper) -> None:
    """By looking at all steps: none waits that could start."""
    if paper.workflow().ending is not None or paper.workflow().paused:
        return
    for number in range(len(paper.facts)):
        facts, row = paper.step(number)
        if row.state is not StepState.WAITING:
            continue
        met = all(paper.step(need)[1].state is StepState.SUCCEEDED for need in facts.plan.needs())
        assert not (met and is_open(paper, number)), f"{facts.plan.name} waits for nothing"


def is_open(paper: Paper, number: int) -> bool:
    block = paper.step(number)[0].plan.block
    while block is not None:
        owner_facts, owner = paper.step(block.owner)
        row = paper.step(block.first)[1].block
        if owner.state is not StepState.RUNNING or owner.asked or row is None or row.failed:
            return False
        if owner.stands_in not in {None, block.first} or (owner.stands_in is None and owner.group is None):
            return False
        if owner.stands_in is None and block == owner_facts.plan.alternative:
            return False
        block = owner_facts.plan.block
    return True


def check_end(run: Run, paper: Paper, *, all_well: bool = False) -> None:
    """What it came to is what the slow evaluation says."""
    expected = Evaluation(run.drawn, all_well=all_well)
    top = [n for n, step in enumerate(run.drawn.plan.steps) if step.block is None]
    fates = {number: expected.fate(number) for number in top}
    fails = FAILS in fates.values()
    assert paper.state == ("failed" if fails else "succeeded")
    stops = run.drawn.plan.on_failure == "stop" and fails
    for number in top:
        state = paper.step(number)[1].state
        allowed = {fates[number], CANCELLED} if stops else {fates[number]}
        if stops and not expected.fares_well(number):
            allowed.add(FAILS)
        assert state in allowed
        if state == SUCCEEDED and not run.refused:
            assert paper.value_of(paper.step(number)[0].plan.name) == expected.value(number)
    if not fails:
        assert paper.value() == expected._together([(one.name, one.step) for one in run.drawn.plan.outputs])
    check_callbacks(run.drawn.plan, paper)


def check_callbacks(plan: WorkflowPlan, paper: Paper) -> None:
    """Each is called once, if what it is about has happened. (That none is called twice, `Paper` checks.)"""
    if paper.workflow().retries or paper.workflow().forked_from:
        return
    called = {job_id for job_id, _ in paper.called}
    for number in range(len(paper.facts)):
        facts, row = paper.step(number)
        for callbacks, state in ((facts.plan.on_success, SUCCEEDED), (facts.plan.on_error, FAILS)):
            assert (callbacks[0].call.jobs[0].id in called) is (row.state == state)
    assert (plan.on_success[0].call.jobs[0].id in called) is (paper.state == "succeeded")
    assert (plan.on_error[0].call.jobs[0].id in called) is (paper.state == "failed")


@given(randoms)
@often
def test_any_order_leads_to_the_end_that_the_whole_graph_says(random):
    run = Run(random)
    check_end(run, run.go())


@given(randoms)
@often
def test_what_had_succeeded_is_undone_once_and_nothing_else(random):
    run = Run(random, undo=True)
    paper = run.go()
    check_end(run, paper)
    undone = [one.step for one in paper.jobs.values() if one.kind == "compensation"]
    steps = {number: paper.step(number) for number in range(len(paper.facts))}
    owed = [n for n, (facts, row) in steps.items() if row.state == SUCCEEDED and facts.plan.compensation is not None]
    assert sorted(undone) == (owed if paper.state == "failed" else [])


@given(randoms, st.integers(0, 40))
@often
def test_cancelled_at_any_moment_it_ends(random, after):
    run = Run(random, undo=True)
    paper = run.paper
    for _ in range(after):
        if paper.live() and not paper.workflow().is_over:
            run.end_one(paper)
    was_over, was = paper.workflow().is_over, paper.workflow().ending
    paper.tell(("cancel", ()))
    run.later, run.close = [], []
    run.go()
    if not was_over and was is None:
        assert paper.state == "cancelled"


@given(randoms)
@often
def test_a_retry_runs_what_has_not_succeeded_and_ends_well(random):
    run = Run(random, failing=0.3, undo=random.random() < 0.5)
    paper = run.go()
    if paper.state != "failed":
        return
    before = {one.id: one.runs for one in paper.jobs.values() if one.kind == "step" and one.state == "succeeded"}
    undone = any(one.kind == "compensation" for one in paper.jobs.values())
    run.all_well = True
    paper.tell(("retry", ()))
    while any(chore.kind is ChoreKind.RESET for chore in paper.workflow().chores):
        paper.tick()
    run.add_again()
    run.go()
    assert paper.state == "succeeded"
    if not undone:
        assert {job_id: paper.jobs[job_id].runs for job_id in before} == before
    for number, step in enumerate(run.drawn.plan.steps):
        if step.block is None:
            assert paper.step(number)[1].state == SUCCEEDED
            paper.value_of(step.name)


@given(randoms)
@often
def test_a_fork_stands_on_what_had_succeeded(random):
    run = Run(random)
    paper = run.go()
    if run.refused or run.later:
        return
    steps = list(enumerate(run.drawn.plan.steps))
    states = {number: paper.step(number)[1].state for number, _ in steps}
    top = {number: step for number, step in steps if step.block is None}
    can = [number for number, step in top.items() if all(states[need] == SUCCEEDED for need in step.needs())]
    chosen = random.choice(can)
    run.all_well = True
    forked = run.go(paper.fork(chosen))
    assert forked.state == "succeeded"
    assert not forked.jobs.keys() & paper.jobs.keys()
    anew = {chosen} | {number for number in top if states[number] != SUCCEEDED}
    for number, step in top.items():
        inside = range(number, paper.step(number)[0].end + 1)
        if anew & {owner_at_top(run.drawn.plan, need) for one in inside for need in run.drawn.plan.steps[one].needs()}:
            anew.add(number)
        assert forked.step(number)[1].inherited is (number not in anew)
        if number not in anew:
            assert forked.value_of(step.name) == paper.value_of(step.name)
        else:
            forked.value_of(step.name)


def owner_at_top(plan: WorkflowPlan, number: int) -> int:
    while (block := plan.steps[number].block) is not None:
        number = block.owner
    return number
