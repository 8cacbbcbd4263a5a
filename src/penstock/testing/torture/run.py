"""One run: a node, its producers and the nemesis, then the drain, then the audit."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import apsw
import msgspec

from penstock.model.errors import PenstockError
from penstock.model.flow import ConcurrencyRule
from penstock.process import process_file, process_tree
from penstock.store.wire.client.blocking import Client
from penstock.testing.torture import messages, tasks
from penstock.testing.torture.audit import Finding, audit
from penstock.testing.torture.evidence import Evidence
from penstock.testing.torture.limit_watch import LimitWatch
from penstock.testing.torture.nemesis import Nemesis
from penstock.testing.torture.records import (
    ATTEMPTS,
    EXECUTIONS,
    Acked,
    Attempted,
    CancelAsked,
    ChildAsked,
    ChordAcked,
    Execution,
    StepBegun,
    StepKept,
    read,
)
from penstock.testing.torture.report import Verdict
from penstock.testing.torture.rows import read_rows
from penstock.testing.torture.schedule import Strike
from penstock.testing.torture.tree import Settings

READY_S: Final = 60.0
DRAIN_S: Final = 120.0
PRODUCERS_S: Final = 60.0
STOP_S: Final = 60.0
LEAVE_S: Final = 3.0
"""How long the parts of a root that was killed may take to leave; they promise a second."""
LOOK_S: Final = 0.1
_ENOUGH: Final = 1_000_000
CONSUMERS: Final = "consumers"
"""The kind of producers that takes messages. One of them is there until nothing is left."""

Tell = Callable[[str, float | None], None]
"""Takes what is going on, and how much of the run is done (None: unknown)."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to run.

    Attributes:
        place: a fresh directory; everything the run makes is in it.
        plan: the strikes.
        unsafe: how the owner is told of a rule that is out (`penstock.testing.torture.tree.Settings`).
        producers: kinds of producers, one process each.
    """

    place: Path
    seed: int
    seconds: float
    executors: int
    lease_s: float
    plan: Sequence[Strike]
    unsafe: tuple[str, ...]
    producers: tuple[str, ...]


class Failed(Exception):
    """The run could not be carried through; the message says why. That is a finding, too."""


class Torture:
    """Carries out an order. Use it in a with statement: nothing is left running."""

    def __init__(self, order: Order, tell: Tell) -> None:
        self._order = order
        self._tell = tell
        self._jobs = order.place / "jobs"
        self._gate = f"127.0.0.1:{_free_port()}"
        self._log = (order.place / "node.log").open("ab")
        self._producer_log = (order.place / "producers.log").open("ab")
        self._node: subprocess.Popen[bytes] | None = None
        self._late: subprocess.Popen[bytes] | None = None
        self._consumers: subprocess.Popen[bytes] | None = None
        self._producers: dict[str, subprocess.Popen[bytes]] = {}
        self._lives = 0
        self._others = frozenset(process_tree.descendants(os.getpid()))
        self.nemesis = Nemesis(order.plan, self._find)

    def __enter__(self) -> Torture:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill whatever is left."""
        self.nemesis.relent()
        for process in [*self._producers.values(), self._late, self._consumers, self._node]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        for pid in self._below():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap_orphans()
        self._log.close()
        self._producer_log.close()

    def run(self) -> Verdict:
        """Everything, in order. Answers the verdict; what could not be carried through is part of it."""
        verdict = Verdict(self._order.seed, self._order.seconds, " ".join(self._order.unsafe))
        adopted = process_tree.adopt_orphans()
        watch = LimitWatch(self._jobs)
        try:
            self._start()
            with watch:
                for step in (self._strike, self._calm, self._drain):
                    step()
            self._stop()
        except Failed as failure:
            verdict.findings.append(Finding("carried through", "The node does what it is asked.", (str(failure),)))
        verdict.findings += _over_limit(watch)
        self._end_node()
        left = [str(pid) for pid in self._below()] if adopted else []
        if left:
            verdict.findings.append(Finding("left behind", "Nothing runs after the node has ended.", tuple(left)))
        verdict.struck = self.nemesis.struck
        self._audit(verdict)
        return verdict

    # --- the steps ---------------------------------------------------------------------------------------------------
    def _start(self) -> None:
        self._tell("starting", None)
        order = self._order
        queues = list(tasks.SERVED) if order.seed % 2 else None
        settings = Settings(str(self._jobs), self._gate, order.executors, order.lease_s, list(order.unsafe), queues)
        self._node = self._spawn("tree", str(os.getpid()), msgspec.json.encode(settings).decode(), log=self._log)
        deadline = time.monotonic() + READY_S
        while len(self._find("executor")) < 2 * order.executors or not self._find("gate"):
            self._check_node()
            if time.monotonic() > deadline:
                raise Failed(f"The node is not ready after {READY_S:.0f} s: {self._last_words()}")
            _pause(LOOK_S)

    def _strike(self) -> None:
        started = time.monotonic()
        while (now_s := time.monotonic() - started) < self._order.seconds or not self.nemesis.finished:
            self._check_node()
            self.nemesis.act(now_s)
            self._keep_producing()
            self._tell(self.nemesis.last or "warming up", min(1.0, now_s / self._order.seconds))
            next_s = self.nemesis.next_s()
            _pause(LOOK_S if next_s is None else max(0.0, min(LOOK_S, next_s - now_s)))

    def _keep_producing(self) -> None:
        """Start the producers that are not there."""
        for kind in self._order.producers:
            process = self._producers.get(kind)
            if process is not None and process.poll() is None:
                continue
            if process is not None and process.returncode not in (-signal.SIGKILL, 0):
                raise Failed(f"The producer {kind} ended with {process.returncode}; see producers.log.")
            self._producers[kind] = self._start_producer(kind)

    def _start_producer(self, kind: str) -> subprocess.Popen[bytes]:
        self._lives += 1
        words = [kind, str(self._jobs), self._gate, str(self._order.place), str(self._order.seed)]
        return self._spawn("producers", *words, str(self._lives), str(os.getpid()), log=self._producer_log)

    def _calm(self) -> None:
        """No more strikes; producers finish what is in doubt and leave."""
        self._tell("producers finish", None)
        self.nemesis.relent()
        for process in self._producers.values():
            process.terminate()
        deadline = time.monotonic() + PRODUCERS_S
        for kind, process in self._producers.items():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise Failed(f"The producer {kind} had no answer {PRODUCERS_S:.0f} s after the last strike.") from None

    def _drain(self) -> None:
        """Until nothing waits and nothing runs."""
        deadline = time.monotonic() + DRAIN_S
        self._late = self._start_late_worker()
        if CONSUMERS in self._order.producers:
            self._consumers = self._start_producer(CONSUMERS)
        client = Client.connect(self._jobs, start_owner=False)
        with contextlib.closing(client):
            while True:
                self._check_node()
                with contextlib.suppress(PenstockError):
                    if self._order.unsafe:
                        # Slots that an owner with a check switched off has lost would hold jobs back for ever.
                        client.put_limits(f"task:{tasks.LIMITED}", [ConcurrencyRule(_ENOUGH, per="group")])
                    counts = client.totals().counts
                    left = counts.scheduled + counts.blocked + counts.ready + counts.running
                    if not left:
                        return
                    self._tell(f"draining, {left:,} left", None)
                if time.monotonic() > deadline:
                    raise Failed(f"{left} jobs had not ended {DRAIN_S:.0f} s after the last strike.")
                _pause(LOOK_S)

    def _stop(self) -> None:
        assert self._node is not None
        self._tell("stopping", None)
        for name, process in (("consumer", self._consumers), ("late worker", self._late), ("node", self._node)):
            if process is None:
                continue
            process.terminate()
            try:
                status = process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                raise Failed(f"The {name} had not stopped after {STOP_S:.0f} s: {self._last_words()}") from None
            # Who came late may not have heard yet how to stop in order, where there was nothing left to do.
            if status and (process is self._node or status != -signal.SIGTERM):
                raise Failed(f"The {name} stopped with status {status}: {self._last_words()}")

    def _end_node(self) -> None:
        """Kill the root if it is still there; its parts leave with it."""
        if self._node is not None and self._node.poll() is None:
            self._node.kill()
            self._node.wait()
        deadline = time.monotonic() + LEAVE_S
        while self._below() and time.monotonic() < deadline:
            _reap_orphans()
            _pause(LOOK_S)

    def _audit(self, verdict: Verdict) -> None:
        self._tell("auditing", None)
        attempts, executions = self._order.place / ATTEMPTS, self._order.place / EXECUTIONS
        try:
            rows = read_rows(self._jobs / "penstock.db")
        except apsw.Error as error:
            verdict.findings.append(Finding("file damaged", "The file can be read.", (str(error),)))
            return
        evidence = Evidence(
            read(attempts, Attempted), read(attempts, Acked), read(executions, Execution), rows,
            tasks.FORGETS | messages.QUEUES.keys(), {**tasks.QUEUES, **messages.QUEUES}, tasks.ENDINGS,
            read(attempts, CancelAsked), read(executions, ChildAsked), read(attempts, ChordAcked),
            read(executions, StepBegun), read(executions, StepKept), tasks.STEPPED,
        )  # fmt: skip
        verdict.ledger, findings = audit(evidence)
        verdict.findings += findings

    # --- processes ---------------------------------------------------------------------------------------------------
    def _find(self, kind: str) -> list[int]:
        if kind == "producer":
            return [process.pid for process in self._producers.values() if process.poll() is None]
        found = process_file.read(self._jobs).processes
        return [entry.pid for entry in found if entry.role == kind or entry.role.startswith(f"{kind}-")]

    def _below(self) -> list[int]:
        """Everything that runs because of us."""
        return [pid for pid in process_tree.descendants(os.getpid()) if pid not in self._others]

    def _spawn(self, module: str, *words: str, log: BinaryIO) -> subprocess.Popen[bytes]:
        return self._run(f"penstock.testing.torture.{module}", *words, log=log)

    def _start_late_worker(self) -> subprocess.Popen[bytes]:
        """A worker for what nobody has served so far."""
        where = ("--url", str(self._jobs), "--queues", tasks.LATE_QUEUE, "--executors", "1")
        return self._run("penstock.cli", "worker", tasks.APP, *where, log=self._log)

    def _run(self, module: str, *words: str, log: BinaryIO) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, *words]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _check_node(self) -> None:
        if self._node is None or self._node.poll() is not None:
            status = None if self._node is None else self._node.returncode
            raise Failed(f"The node has ended with status {status}: {self._last_words()}")

    def _last_words(self) -> str:
        return " / ".join((self._order.place / "node.log").read_text(errors="replace").splitlines()[-5:])


def _over_limit(watch: LimitWatch) -> list[Finding]:
    """What was seen of limits that were exceeded."""
    if not watch.breaches:
        return []
    meaning = "No more jobs of a key are leased than its limit allows, whoever is killed."
    return [Finding("over a limit", meaning, tuple(sorted(watch.breaches)))]


def _reap_orphans() -> None:
    """Children of children, which became ours when those died."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def _free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
