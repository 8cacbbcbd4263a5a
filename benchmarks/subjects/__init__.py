"""What Penstock's own suites measure. The rivals are in `benchmarks.rivals`, and meet it in `benchmarks.side_by_side`.

A suite asks a `Subject` for a `Site` (one fresh, empty installation in a workspace), starts workers and producers on
it, and counts bodies through `benchmarks.bodies`, whoever runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from benchmarks.processes import Child
from benchmarks.workspace import Workspace


class Ledger(Protocol):
    """What a subject itself says of its jobs."""

    @property
    def accepted(self) -> int: ...
    @property
    def unfinished(self) -> int: ...


class Site(Protocol):
    """One installation of a subject, in one workspace, until that closes."""

    def start(self) -> None:
        """Start what keeps the jobs (a broker, an owner, a database), and wait until it answers."""
        ...

    def start_worker(self, *, executors: int, concurrency: int = 100) -> Child:
        """Start what runs the jobs, in its best documented configuration."""
        ...

    def producer(self, mode: str, *arguments: str) -> Child:
        """Start a process that enqueues: it says ``ready``, waits for a line, works, says what it did in JSON.

        The modes are those of `benchmarks.producer`.
        """
        ...

    def keepers(self) -> dict[str, int]:
        """The processes that keep the jobs, by role."""
        ...

    def ledger(self) -> Ledger:
        """What the subject says of its jobs."""
        ...


class Subject(Protocol):
    """A system that can be measured.

    Attributes:
        name: as in the table.
        survives: what a job that it acknowledged lives through.
        configuration: how it is set up, for people.
    """

    name: str
    survives: Sequence[str]
    configuration: str

    def site(self, workspace: Workspace) -> Site:
        """A fresh installation."""
        ...


def _penstock() -> Subject:
    from benchmarks.subjects.penstock import Penstock

    return Penstock()


SUBJECTS: dict[str, Callable[[], Subject]] = {"penstock": _penstock}
"""By name."""
