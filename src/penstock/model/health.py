"""What is wrong with a store that works: for health checks, statistics and metrics. Nothing wrong: all defaults."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from penstock.model.wording import counted


class Fault(Struct, frozen=True):
    """One thing that fails at present.

    Attributes:
        name: what fails.
        message: the latest error, its type first.
        count: how often since it last went well for a while.
        since_s: how long ago the first of these was.
        last_s: how long ago the latest was.
    """

    name: str
    message: str
    count: int
    since_s: float
    last_s: float


FAILURES_MIN: Final = 3
"""A fault that came so often does not pass by itself: the store does not work as it should."""


class StoreHealth(Struct, frozen=True):
    """A store that answers, and what of it does not work.

    Attributes:
        disk_full: new jobs are refused; those that were accepted are worked off.
        reserve_bytes: room that is kept for that; 0: it was given up.
        results_dropped: results thrown away since the store was made because the disk was full.
        records_dropped: finished records thrown away likewise.
        jobs_set_aside: jobs that a chore cannot handle because something of them is damaged. They stay as they are.
        workflows_set_aside: workflows that cannot go on, because of a defect or a damaged record. What becomes of their
            jobs is kept for when they can.
        aside_latest: which of them was set aside last, and why.
        redo: the redo log takes enqueues: ``on``; it does not: ``off``, as configured, or ``failed``.
        redo_set_aside: records of the redo log that could not be applied and are kept in a file of their own.
        faults: what fails, the one that failed last first.
        fault_counts: failures by name since the owner started.
    """

    disk_full: bool = False
    reserve_bytes: int = 0
    results_dropped: int = 0
    records_dropped: int = 0
    jobs_set_aside: int = 0
    workflows_set_aside: int = 0
    aside_latest: str = ""
    redo: str = "on"
    redo_set_aside: int = 0
    faults: list[Fault] = []
    fault_counts: dict[str, int] = {}

    @property
    def fails(self) -> bool:
        """Whether something of it goes on failing."""
        return any(fault.count >= FAILURES_MIN for fault in self.faults)

    def problems(self) -> list[str]:
        """What is wrong now, a sentence each; empty: nothing is."""
        found = []
        if self.disk_full:
            found.append("The disk is full: new jobs are refused until there is room.")
        if self.jobs_set_aside:
            found.append(f"Set aside because they are damaged: {counted(self.jobs_set_aside, 'job')}.")
        if self.workflows_set_aside:
            workflows = counted(self.workflows_set_aside, "workflow")
            found.append(f"Set aside because they cannot go on: {workflows}, the latest {self.aside_latest}.")
        if self.redo_set_aside:
            records = counted(self.redo_set_aside, "record")
            found.append(f"Set aside because they could not be applied: {records} of the redo log.")
        if self.redo == "failed":
            found.append("The redo log cannot be written; every enqueue goes through a transaction.")
        found += [
            f"{fault.name} fails ({counted(fault.count, 'time')} in {fault.since_s:.0f} s): {fault.message}"
            for fault in self.faults
        ]
        return found
