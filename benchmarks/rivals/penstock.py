"""Penstock among its rivals: its own environment is this one."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from benchmarks.processes import Child
from benchmarks.rivals import work
from benchmarks.rivals.rival import PROCESSES, SURVIVES_ALL, Crew, held
from benchmarks.rows import CHAIN, CHORD, COMPOSED, STEPS
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import Workspace

APP = "benchmarks.rivals.apps.penstock"


class PenstockContender:
    """See `benchmarks.rivals.rival.Rival`."""

    name = "penstock"
    configuration = (
        "penstock worker --executors 2, 100 coroutines each; the owner is a process of its own; group commit"
    )
    acknowledged = "the commit is synced to disk (SQLite WAL, synchronous=FULL)"
    survives = SURVIVES_ALL
    server_name = "SQLite, a directory"
    pace = 60_000.0
    at_once = 200
    keeps_results = True
    rows = None
    composes = COMPOSED
    notes: Mapping[str, str] = {
        STEPS: "ctx.step in coroutine functions; each is synced before it returns, many in one commit",
        CHORD: "every member's outcome, its count and the release of the callback are synced",
        CHAIN: "every step's outcome and the release of the next are one synced commit",
    }

    def install(self) -> str | None:
        return None

    def version(self) -> str:
        from penstock import __version__

        return __version__

    def packages(self) -> dict[str, str]:
        import apsw

        return {"penstock": self.version(), "apsw": apsw.apsw_version()}

    def site(self, workspace: Workspace) -> PenstockContenderSite:
        return PenstockContenderSite(workspace)


class PenstockContenderSite:
    """See `benchmarks.rivals.rival.RivalSite`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._site = PenstockSite(workspace)
        self._told: dict[str, str] = {}

    def start(self, kind: str) -> None:
        self._told = {work.URL: str(self._workspace.store), work.KIND: kind}
        self._site.start()

    def producer(self, mode: str, *arguments: str) -> Child:
        command = [sys.executable, "-m", "benchmarks.rivals.producer", APP, mode, *arguments]
        return self._workspace.start(command, talks=True, environment=self._told)

    def crew(self, kind: str) -> Crew:  # noqa: ARG002 - one configuration for every kind
        command = [sys.executable, "-m", "penstock.cli", "worker", f"{APP}:app", "--executors", str(PROCESSES)]
        return Crew([lambda: self._workspace.start(command, environment=self._told)])

    def keepers(self) -> list[int]:
        return list(self._site.keepers().values())

    def waiting(self) -> int:
        return held(self.producer("waiting"))
