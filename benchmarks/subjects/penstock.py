"""Penstock as a subject: an embedded store, its owner a process, workers as the command line starts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.processes import START_S, BenchmarkFailed, Child, until
from benchmarks.record import EVERYTHING
from benchmarks.subjects import Site
from benchmarks.workspace import Workspace
from penstock.model.errors import StoreUnavailable
from penstock.model.job import QueueStats
from penstock.store.wire.client.blocking import Client

APP = "benchmarks.jobs:app"


@dataclass(frozen=True, slots=True)
class PenstockLedger:
    """The counters of the queue ``default``."""

    stats: QueueStats

    @property
    def accepted(self) -> int:
        return self.stats.accepted_total

    @property
    def unfinished(self) -> int:
        return self.stats.scheduled + self.stats.blocked + self.stats.ready + self.stats.running


class PenstockSite:
    """See `benchmarks.subjects.Site`."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.owner: Child | None = None
        self._client: Client | None = None

    def start(self, owner_module: str = "penstock.store.embedded") -> None:
        self.owner = self.workspace.python(owner_module, str(self.workspace.store))
        owner = self.owner

        def answers() -> bool:
            owner.check()
            try:
                self.client.totals()
            except (StoreUnavailable, OSError):
                return False
            return True

        until(answers, "the owner answers", START_S)

    def stop(self) -> None:
        """Stop the owner, so that another may open the store."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self.owner is not None:
            self.owner.stop()

    @property
    def client(self) -> Client:
        """The harness's own connection to the owner."""
        if self._client is None:
            self._client = Client.connect(self.workspace.store, start_owner=False)
        return self._client

    def start_worker(self, *, executors: int, concurrency: int = 100) -> Child:
        return self.workspace.python(
            "penstock.cli", "worker", APP, "--executors", str(executors), "--concurrency", str(concurrency)
        )

    def start_node(self, *, executors: int, port: int) -> Child:
        """Everything: owner, gate and worker under one root. Instead of `start`."""
        return self.workspace.python(
            "penstock.cli", "up", APP, "--executors", str(executors), "--gate", f"127.0.0.1:{port}"
        )

    def start_gate(self, port: int, gates: int = 1) -> Child:
        """The HTTP door, of so many processes; with more than one, the child is what holds them together."""
        return self.workspace.python("penstock.cli", "gate", APP, "--gate", f"127.0.0.1:{port}", "--gates", str(gates))

    def producer(self, mode: str, *arguments: str) -> Child:
        return self.workspace.python("benchmarks.producer", mode, *arguments, talks=True)

    def keepers(self) -> dict[str, int]:
        return {} if self.owner is None else {"owner": self.owner.pid}

    def ledger(self) -> PenstockLedger:
        return PenstockLedger(self.client.stats().queues.get("default", QueueStats()))

    def check_ledger(self, accepted: int) -> None:
        """Every job that was asked for has succeeded, and the counters say so.

        Raises:
            BenchmarkFailed: they do not.
        """
        until(lambda: self.ledger().unfinished == 0, "every job is settled", START_S)
        stats = self.ledger().stats
        if stats.accepted_total != accepted or stats.succeeded_total != accepted or stats.unaccounted():
            raise BenchmarkFailed(f"{accepted} jobs were enqueued; the ledger says {stats}.")


class Penstock:
    """See `benchmarks.subjects.Subject`."""

    name = "penstock"
    survives: Sequence[str] = EVERYTHING
    configuration = "embedded store, every commit synced (SQLite WAL, synchronous=FULL), group commit at one owner"

    def site(self, workspace: Workspace) -> PenstockSite:
        return PenstockSite(workspace)


_: type[Site] = PenstockSite
