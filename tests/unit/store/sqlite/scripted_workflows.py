"""A scripted life of workflows, in which the power goes: each comes to an end all the same."""

from penstock.model.errors import Conflict
from penstock.model.ids import new_id
from penstock.model.job import Buried, Cancelled, JobEntry, JobGroup, LeaseRequest, Outcomes, Succeeded, checksum
from penstock.model.workflow_plan import Block, Callback, GroupPlan, Members, Output, StepPlan, Take, WorkflowPlan
from penstock.testing.conformance.kit import BODY, ERROR, HOLDER
from tests.unit.store.sqlite.scripted_lives import Life


def call(task="app.step", body=BODY):
    return JobGroup(task, [JobEntry(new_id(), body, checksum(body))])


def calls(number, task="app.member"):
    return JobGroup(task, [JobEntry(new_id(), BODY, checksum(BODY)) for _ in range(number)])


class WorkflowLife(Life):
    """Workflows that go on, fail, are retried and forgotten. What is left of them comes to an end."""

    calls = (
        *("chain", "work", "chord", "work", "open_group", "held_group", "work", "saga", "fail", "tick", "add", "work"),
        *("expand", "cancel", "work", "retry", "tick", "fork", "pause", "work", "forget"),
    )
    length = 3 * len(calls)
    every = 3
    happens = ("succeeded_total", "dead_total")

    def prepare(self):
        super().prepare()
        self.workflows = []
        self.open = []

    def seen_in(self, store):
        return super().seen_in(store) | {one: view for one in self.workflows if (view := seen(store, one))}

    def go_on(self, store):
        come_to_an_end(store)

    def check_end(self):
        super().check_end()
        assert set(self.workflows) & set(self.told), "some are still there"

    def start(self, *steps, members=(), out=None, **options):
        plan = WorkflowPlan(new_id(), "w", list(steps), [Output(len(steps) - 1 if out is None else out)], **options)
        self.store.start_workflow(plan, members)
        self.workflows.append(plan.id)
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
            self.workflows.append(new)
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


def come_to_an_end(store):
    """Each workflow, whatever it waits for."""
    story, clock = WorkflowLife(store, store.clock), store.clock
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
