"""Fault 23: kill -9 at every edge of a sample of workflows. The end is that of an undisturbed run, whoever is killed.

A run starts all samples at once and holds each of them at one of its edges: before the body of a job, after it and
before its outcome, within a durable step and behind it, before somebody retries, forks, cancels or signals. When all
are held, an executor, the supervisor, the owner or all of them are killed, and everything is let go. `Strike` says who
and when. A spread of the strikes is made each time; ``make kills`` makes all of them.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from penstock import JobCancelled, JobFailed, WorkflowState
from penstock.model.ids import parse_id
from penstock.model.job import Filter
from penstock.process.process_tree import descendants
from penstock.store.paging import full_page

from .conftest import until
from .test_children import turns
from .test_worker import HERE, Site, Worker
from .workflow_kill_samples import CALLED_BACK, ENDS, SAMPLES, Calls

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"), pytest.mark.slow]
HOLDER = bytes(range(16))
WAIT_S = 90.0
OVER = (WorkflowState.SUCCEEDED, WorkflowState.FAILED, WorkflowState.CANCELLED)
VICTIMS = ("executor", "supervisor", "owner", "node")


class Strike(NamedTuple):
    """A kill.

    Attributes:
        moment: ``held``: all stand at their edges. ``sent``: their outcomes, and records of steps, are on the way to
            the owner, which does not answer. ``committed``: the first of them has just been committed.
        number: which of its edges each sample stands at.
    """

    victim: str
    moment: str
    number: int


ROUNDS = {"held": 18, "sent": 8, "committed": 8}
"""How many edges a sample has at most at which this can happen."""
WHOLE = [
    Strike(victim, moment, number) for moment, most in ROUNDS.items() for number in range(most) for victim in VICTIMS
]
SPREAD = [
    Strike("executor", "held", 1),
    Strike("supervisor", "held", 3),
    Strike("owner", "held", 5),
    Strike("node", "held", 0),
    Strike("executor", "sent", 2),
    Strike("supervisor", "held", 10),
    Strike("owner", "sent", 3),
    Strike("node", "sent", 5),
    Strike("executor", "held", 8),
    Strike("supervisor", "committed", 1),
    Strike("owner", "committed", 6),
    Strike("node", "held", 15),
]
IS_WHOLE = os.environ.get("KILLS") == "all"


class Line(NamedTuple):
    """What somebody has noted, see `workflow_kills_app.note`."""

    what: str
    name: str
    job: str
    pid: int
    value: Any

    @property
    def edge(self) -> str:
        return f"{self.name} {self.what}"


class Life:
    """One sample in one run: its workflow, and what somebody outside does to it."""

    def __init__(self, node: Node, run: str, sample: str) -> None:
        self.node = node
        self.run = run
        self.sample = sample
        self.edge: str | None = None
        self.held = self.over = False
        self.fork: Any = None
        self.signalled = self.was_cancelled = False

    def begin(self, edge: str | None) -> None:
        """Start it. ``edge``: where it is held; None: nowhere."""
        self.edge = edge
        if edge is not None:
            self.node.tasks.hold_of(self.run, edge).touch()
        self.workflow = SAMPLES[self.sample](Calls(self.node.tasks, self.run, self.sample)).enqueue()
        if self.sample == "steps":
            self.workflow.signal("early", "it came early")

    def lines(self) -> list[Line]:
        path = self.node.site.marks / f"{self.run}.{self.sample}"
        return [Line(*json.loads(line)) for line in path.read_bytes().splitlines()] if path.exists() else []

    def let_go(self) -> None:
        if self.edge is not None:
            self.node.tasks.hold_of(self.run, self.edge).unlink(missing_ok=True)

    def is_free(self, act: str) -> bool:
        """Whether somebody outside may do this now: that is an edge, too."""
        if self.edge == f"{self.sample} {act}" and self.node.tasks.hold_of(self.run, self.edge).exists():
            self.held = True
            return False
        self.node.tasks.note(self.run, self.sample, act)
        return True

    def go_on(self) -> None:
        """Do what is due from outside."""
        state = self.workflow.state
        again = self.node.tasks.phase_of(self.run, self.sample)
        if self.sample == "steps" and not self.signalled and self._waits() and self.is_free("signal"):
            self.workflow.signal("late", "it came late")
            self.signalled = True
        stays = any(line.edge == "cancelled.stay begin" for line in self.lines())
        if stays and not self.was_cancelled and self.is_free("cancel"):
            self.workflow.cancel()
            self.was_cancelled = True
        if self.sample == "retried" and state is WorkflowState.FAILED and self.is_free("retry"):
            again.touch()
            self.workflow.retry()
        if self.sample == "forked" and state in OVER and self.fork is None and self.is_free("fork"):
            again.touch()
            self.fork = self.workflow.fork(1)

    def _waits(self) -> bool:
        job = self.workflow.steps()[0].job
        views = self.node.site.client.get([parse_id(job)]) if job is not None else [None]
        return views[0] is not None and views[0].reason == "waits for event 'late'"

    def is_at_rest(self) -> bool:
        """Whether it is held, or over with all that came of it."""
        self.held = self.held or any(line.what == "held" for line in self.lines())
        return self.held or self.is_over()

    def is_over(self) -> bool:
        self.over = self.over or self._is_over()
        return self.over

    def _is_over(self) -> bool:
        self.go_on()
        if self.sample in ("retried", "forked") and not self.node.tasks.phase_of(self.run, self.sample).exists():
            return False
        if (self.fork or self.workflow).state not in OVER:
            return False
        counts = self.counts()
        return counts.scheduled + counts.blocked + counts.ready + counts.running == 0

    def counts(self) -> Any:
        return self.node.site.client.queues(names=[f"{self.run}.{self.sample}"]).queues[0].counts

    # --- what has become of it ----------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """How it ended: the same in each run."""
        views = full_page(self.node.site.client, Filter(queue=f"{self.run}.{self.sample}"), limit=1_000).jobs
        counts = self.counts()
        told = [self._told(one) for one in (self.workflow, self.fork) if one is not None]
        begun = [line for line in self.lines() if line.what.startswith("begin") and ".stay" not in line.name]
        return {
            "told": told,
            "given": sorted({(line.name, _unmarked(line.value)) for line in begun}),
            "jobs": sorted(
                (view.task, view.state.value, view.step if view.step is not None else -1, _charged(view))
                for view in views
            ),
            "accepted": counts.accepted_total,
            "ended": (counts.succeeded_total, counts.dead_total, counts.cancelled_total),
            "unaccounted": counts.unaccounted(),
        }

    def _told(self, workflow: Any) -> dict[str, Any]:
        steps = [
            (step.name, step.state.value, step.members, None if step.error is None else step.error.message)
            for step in workflow.steps()
        ]
        return {"result": _unmarked(self.result(workflow)), "steps": steps}

    def result(self, workflow: Any) -> Any:
        try:
            return workflow.result(WAIT_S)
        except JobFailed as error:
            return f"{error.type}: {error.message}"
        except JobCancelled:
            return "cancelled"

    def check_once(self) -> None:
        """Whatever was recorded, an outcome or a step, is the only one of its call, and that is not executed again."""
        recorded: dict[str, tuple[str, int]] = {}
        lines = self.lines()
        last = Line("end", "the workflow", "", 0, self.result(self.fork or self.workflow))
        for place, line in enumerate([*lines, last]):
            for name, token in re.findall(r"([\w.-]+)#([0-9a-f]{8})", str(line.value)):
                known, _ = recorded.setdefault(name, (token, place))
                assert known == token, f"{name} has two outcomes: {lines}"
            if line.what == "recorded":
                recorded.setdefault(line.name, ("", place))
            if line.what.startswith(("begin", "called")):
                assert line.name not in recorded, f"{line.name} was executed after it had been recorded: {lines}"


def _charged(view: Any) -> int:
    """Attempts. A job that was cancelled may have begun or not."""
    return -1 if view.state.value == "cancelled" else view.attempt


def _unmarked(value: Any) -> Any:
    """Without the tokens. Members that were added come in the order in which those that added them ended."""
    text = re.sub(r"#[0-9a-f]{8}", "", str(value))
    return re.sub(r"\[growing_group[^\]]*\]", lambda found: str(sorted(found[0][1:-1].split(","))), text)


class Node:
    """A store, a worker, and all that is known of the samples."""

    def __init__(self, site: Site, tasks: ModuleType) -> None:
        self.site = site
        self.tasks = tasks
        self.worker = self.start()
        self.undisturbed = self.run("undisturbed")
        self.facts = {sample: life.facts() for sample, life in self.undisturbed.items()}
        self.covered: set[tuple[str, str, str]] = set()

    def start(self) -> Worker:
        """A worker. It takes over at once from one that was killed."""
        return self.site.work("workflow_kills_app:app", executors=1, concurrency=100, holder=HOLDER).wait_ready()

    def edges(self, sample: str, moment: str) -> list[str]:
        """Where a sample can be held, in an order that does not hang on how it happens to run."""
        edges = {line.edge for line in self.undisturbed[sample].lines() if line.what not in ("held", "let go")}
        if moment != "held":
            edges = {edge for edge in edges if re.search(r" (end|done)\b", edge)}
        return sorted(edges)

    def run(self, run: str, strike: Strike | None = None) -> dict[str, Life]:
        """All samples, to their ends."""
        lives = {sample: Life(self, run, sample) for sample in SAMPLES}
        for life in lives.values():
            edges = [] if strike is None else self.edges(life.sample, strike.moment)
            life.begin(edges[strike.number % len(edges)] if strike is not None and edges else None)
        if strike is not None:
            until(lambda: not [life for life in lives.values() if not life.is_at_rest()], WAIT_S)
            held = [life for life in lives.values() if life.held]
            self.covered |= {(strike.victim, strike.moment, life.edge) for life in held if life.edge is not None}
            self.strike(strike, held)
            for life in held:
                life.let_go()
            if self.worker.process.poll() is not None:
                self.worker = self.start()
        until(lambda: not [life for life in lives.values() if not life.is_over()], WAIT_S)
        return lives

    # --- kills --------------------------------------------------------------------------------------------------------

    def strike(self, strike: Strike, held: list[Life]) -> None:
        inside = [line for life in held for line in life.lines() if line.what == "held"]
        owner = self.site.client.owner_statistics().pid
        if strike.moment == "sent":
            os.kill(owner, signal.SIGSTOP)
        try:
            if strike.moment != "held":
                self.let_end(strike, held, inside)
            self.kill(strike.victim, owner, {line.pid for line in inside})
        finally:
            with suppress(ProcessLookupError):
                os.kill(owner, signal.SIGCONT)

    def let_end(self, strike: Strike, held: list[Life], inside: list[Line]) -> None:
        """Let all bodies end that are held, until their outcomes are on the way, or one of these is committed."""
        for life in held:
            life.let_go()
        names = {line.name for line in inside}
        until(lambda: names <= {line.name for life in held for line in life.lines() if line.what == "let go"}, WAIT_S)
        if strike.moment == "committed":
            jobs = [parse_id(line.job) for line in inside]
            until(lambda: any(view is None or view.finished_at for view in self.site.client.get(jobs)), WAIT_S)
            return
        before = turns(self.worker.process.pid)
        # It may have taken all of them by now, and sleep.
        with suppress(AssertionError):
            until(lambda: turns(self.worker.process.pid) >= before + 2, 1.0)

    def kill(self, victim: str, owner: int, executors: set[int]) -> None:
        if victim == "executor":
            pids = [*executors]
        elif victim == "owner":
            pids = [owner]
        elif victim == "supervisor":
            pids = [self.worker.process.pid]
        else:
            pids = [owner, self.worker.process.pid, *descendants(self.worker.process.pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if victim in ("supervisor", "node"):
            self.worker.process.communicate()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    site = Site(tmp_path_factory.mktemp("node"))
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.syspath_prepend(str(HERE))
            module = importlib.import_module("workflow_kills_app")
        module.MARKS = site.marks
        module.app.redirect(str(site.store))
        node = Node(site, module)
        yield node
        edges = {edge for *_, edge in node.covered}
        print(f"{len(node.covered)} kills, {len(edges)} edges, {len(SAMPLES)} workflows")
        module.app.close()
        del sys.modules["workflow_kills_app"]
    finally:
        site.close()


def test_an_undisturbed_run_ends_as_the_samples_say(node: Node) -> None:
    def brief(sample: str, text: str) -> str:
        return re.sub(r"(\w+Error): .*: ", r"\1: ", text.replace(f"{sample}.", ""))

    ends = {sample: (facts["told"][-1]["result"], facts["accepted"]) for sample, facts in node.facts.items()}
    assert {sample: (brief(sample, text), jobs) for sample, (text, jobs) in ends.items()} == ENDS
    for sample, expected in CALLED_BACK.items():
        given = [tuple(brief(sample, text) for text in pair) for pair in node.facts[sample]["given"]]
        assert [pair for pair in given if pair[0].startswith(("of", "undo", "no", "neither"))] == expected
    assert {facts["unaccounted"] for facts in node.facts.values()} == {0}
    for life in node.undisturbed.values():
        life.check_once()
    edges = [(len(node.edges(sample, moment)), moment) for sample in SAMPLES for moment in ROUNDS]
    assert {moment: max(count for count, of in edges if of == moment) for moment in ROUNDS} == ROUNDS


@pytest.mark.timeout(3 * WAIT_S)
@pytest.mark.parametrize("strike", WHOLE if IS_WHOLE else SPREAD, ids=lambda strike: "-".join(map(str, strike)))
def test_fault_23_killed_at_an_edge_workflows_end_as_undisturbed(node: Node, strike: Strike) -> None:
    lives = node.run("-".join(map(str, strike)), strike)
    assert {sample: life.facts() for sample, life in lives.items()} == node.facts
    for life in lives.values():
        life.check_once()
        check_struck(life, node.undisturbed[life.sample], strike)


def check_struck(life: Life, undisturbed: Life, strike: Strike) -> None:
    """Whoever was interrupted at an edge has come to it again, and nobody else has."""
    if life.edge is None or ".stay" in life.edge:
        return
    assert life.held, f"{life.edge} was not reached"
    times, before = (sum(line.edge == life.edge for line in one.lines()) for one in (life, undisturbed))
    if strike.moment == "held" and not re.search(r"row\d recorded", life.edge):
        again = strike.victim != "owner" and "." in life.edge
        assert times == before + again, life.lines()
