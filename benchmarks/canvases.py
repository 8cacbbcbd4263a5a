"""A chord or a chain of some subject: how long it takes beside a worker that is up and warm."""

from __future__ import annotations

import msgspec

from benchmarks import bodies
from benchmarks.processes import START_S, BenchmarkFailed, until
from benchmarks.rivals.catalogue import Contender
from benchmarks.rivals.rival import Crew
from benchmarks.workspace import Workspace

WARM_SIZE = 10


def bodies_of(kind: str, size: int) -> int:
    """How many bodies one of so many members, or steps, has: the callback of a chord is one more."""
    return size + 1 if kind == "chord" else size


def duration_s(subject: Contender, workspace: Workspace, kind: str, size: int, timeout_s: float) -> float:
    """From before the call that starts it to its last body.

    Raises:
        BenchmarkFailed: not every body runs in time, or one runs twice.
    """
    site = subject.site(workspace)
    site.start(kind)
    crew = site.crew(kind)
    producer = site.producer("compose", "--kind", kind, "--jobs", str(size), "--warm", str(WARM_SIZE))
    producer.line()
    warm = bodies_of(kind, WARM_SIZE)
    _wait_for(workspace, crew, warm, START_S)
    producer.say("go")
    began_at: float = msgspec.json.decode(producer.line())["began_at"]
    _wait_for(workspace, crew, warm + bodies_of(kind, size), timeout_s)
    tally = bodies.read(workspace.bodies)
    crew.kill()
    if tally.count != warm + bodies_of(kind, size):
        raise BenchmarkFailed(f"A {kind} of {size:,}: {tally.count - warm} bodies ran.")
    return tally.last_at - began_at


def _wait_for(workspace: Workspace, crew: Crew, count: int, timeout_s: float) -> None:
    def done() -> bool:
        crew.check()
        return bodies.read(workspace.bodies).count >= count

    until(done, f"{count} bodies run", timeout_s)
