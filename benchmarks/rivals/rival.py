"""A rival, one installation of it, and the processes that run its jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.processes import BenchmarkFailed, Child, cpu_ever_s, descendants, pss_mb
from benchmarks.record import BROKER_KILL, POWER_CUT, WORKER_KILL
from benchmarks.rivals import work
from benchmarks.rivals.environment import Environment, interpreter
from benchmarks.rivals.servers import Server
from benchmarks.workspace import ROOT, Workspace

SURVIVES_ALL: Final = (WORKER_KILL, BROKER_KILL, POWER_CUT)
PROCESSES: Final = 2
"""Processes that run bodies, for every subject alike."""
URL_HERE: Final = "{url}"
"""In a command: where the jobs are kept."""

Commands = Callable[[Environment, str], list[list[str]]]
"""The commands that run jobs, for a kind of work: one that starts processes of its own, or one for each process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A system beside Penstock.

    Attributes:
        name: as in the table.
        requirements: the file of its pinned versions; the first is its own.
        app: the module of `benchmarks.rivals.apps`.
        configuration: how it is set up, and why, for people.
        acknowledged: what it means here that a job was accepted, for people.
        survives: what such a job lives through.
        pace: no-op jobs a second, roughly: decides only how many are given to it.
        at_once: jobs that its processes together run at once, roughly; likewise.
        python: the oldest Python it can do with. It need not be this one.
        unfit: why else it cannot run here. None: it can.
        keeps_results: whether it can keep what a job answers.
        rows: the rows to measure. None: all of them.
        composes: which of `benchmarks.rows.COMPOSED` it takes part in.
        notes: what a reader of a row must know, by row.
    """

    name: str
    requirements: str
    app: str
    server: Server
    commands: Commands
    configuration: str
    acknowledged: str
    survives: Sequence[str]
    pace: float
    at_once: int = 200
    python: tuple[int, int] = (3, 11)
    unfit: Callable[[], str | None] = lambda: None
    keeps_results: bool = True
    rows: frozenset[str] | None = None
    composes: frozenset[str] = frozenset()
    notes: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def server_name(self) -> str:
        """What keeps the jobs, with its version and settings."""
        version = "" if self.server.missing() else self.server.version()
        return f"{' '.join(part for part in (self.server.name, version) if part)}, {self.server.durability}"

    def missing_python(self) -> str | None:
        """Why no Python of this machine will do. None: one will."""
        if interpreter(self.python) is not None:
            return None
        wanted, have = (".".join(map(str, pair)) for pair in (self.python, sys.version_info[:2]))
        return f"it needs Python {wanted}, this is {have}, and there is no other"

    def install(self) -> str | None:
        """Make it ready to run. Answers why it cannot be measured here; None: it can."""
        reason = self.missing_python() or self.unfit() or self.server.missing()
        return reason or self.installed().install()

    def installed(self) -> Environment:
        """Where it is installed, or will be."""
        return Environment(self.requirements, python=self.python)

    def version(self) -> str:
        """Its own pinned version."""
        return next(iter(self.installed().pins.values()))

    def packages(self) -> dict[str, str]:
        """What was pinned."""
        return self.installed().pins

    def site(self, workspace: Workspace) -> RivalSite:
        """A fresh installation."""
        return RivalSite(self, workspace)


class RivalSite:
    """One empty installation, until its workspace closes."""

    def __init__(self, rival: Rival, workspace: Workspace) -> None:
        self._rival = rival
        self._workspace = workspace
        self._environment = rival.installed()
        self._keepers: list[Child] = []
        self._told: dict[str, str] = {}

    def start(self, kind: str) -> None:
        """Start what keeps the jobs, for a kind of work, and make its tables."""
        url, self._keepers = self._rival.server.start(self._workspace)
        self._told = {
            **self._rival.environment,
            work.URL: url,
            work.KIND: kind,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{self._environment.binaries}:/usr/local/bin:/usr/bin:/bin",
        }
        self.producer("prepare").finish()

    def producer(self, mode: str, *arguments: str) -> Child:
        """Start a process that puts jobs in: see `benchmarks.rivals.producer`."""
        command = [self._environment.python, "-m", "benchmarks.rivals.producer", self._rival.app, mode, *arguments]
        return self._workspace.start(command, talks=True, environment=self._told)

    def crew(self, kind: str) -> Crew:
        """Start the processes that run jobs."""
        commands = self._rival.commands(self._environment, kind)
        return Crew([partial(self._work, command) for command in commands])

    def keepers(self) -> list[int]:
        """The processes that keep the jobs."""
        return [pid for child in self._keepers for pid in (child.pid, *descendants(child.pid))]

    def waiting(self) -> int:
        """Jobs that it says it holds."""
        return held(self.producer("waiting"))

    def _work(self, command: list[str]) -> Child:
        known = [part.replace(URL_HERE, self._told[work.URL]) for part in command]
        return self._workspace.start(known, environment=self._told)


def held(asked: Child) -> int:
    """What a producer in the mode ``waiting`` answers."""
    answer: dict[str, Any] = asked.finish()
    return int(answer["waiting"])


class Crew:
    """The processes that run jobs, each started again when it is gone, as a process manager would."""

    def __init__(self, starts: Sequence[Callable[[], Child]]) -> None:
        self._starts = starts
        self._children = [start() for start in starts]

    def pids(self) -> list[int]:
        """All of them, and what they started."""
        return [pid for child in self._children for pid in (child.pid, *descendants(child.pid))]

    def check(self) -> None:
        """Raises BenchmarkFailed when one has ended by itself."""
        for child in self._children:
            child.check()

    def revive(self) -> int:
        """Start those again that are gone. Answers how many were."""
        gone = [index for index, child in enumerate(self._children) if not child.running()]
        for index in gone:
            self._children[index].kill()
            self._children[index] = self._starts[index]()
        return len(gone)

    def kill(self) -> None:
        """All of them at once: what they have not said by now is not asked for."""
        for child in self._children:
            child.kill()


def memory_mb(pids: Sequence[int]) -> float:
    """PSS of some processes; those that have ended meanwhile count nothing."""
    total = 0.0
    for pid in pids:
        try:
            total += pss_mb(pid)
        except (OSError, BenchmarkFailed):
            continue
    return total


def processor_s(pids: Sequence[int]) -> float:
    """Processor time of some processes so far, with their ended children."""
    return sum(map(cpu_ever_s, pids))


def program(environment: Environment, name: str, *arguments: str) -> list[str]:
    """A command of an environment."""
    return [str(Path(environment.binaries, name)), *arguments]


def module(environment: Environment, name: str, *arguments: str) -> list[str]:
    """A module of an environment, run."""
    return [environment.python, "-m", name, *arguments]
