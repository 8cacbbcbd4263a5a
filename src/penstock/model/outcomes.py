"""What became of jobs that were leased, as their holder settles it.

`penstock.model.job` hands these on: callers import them from there.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.durable_steps import Suspended
from penstock.model.entry import JobGroup
from penstock.model.job_error import UNKNOWN_TASK, JobError
from penstock.model.losses import Loss
from penstock.model.numbers import Seconds, Whole
from penstock.model.workflow_plan import Members, WorkflowPlan


class Succeeded(Struct, array_like=True, frozen=True, gc=False):
    """Returned. ``result`` is the encoded value (format byte first), None when it is not kept."""

    fence: Whole
    started_at: Seconds
    finished_at: Seconds
    result: bytes | None = None
    keep_result_s: Seconds = limits.KEEP_RESULT_S
    keep_record_s: Seconds = limits.KEEP_RECORD_S


class Retried(Struct, array_like=True, frozen=True):
    """Raised, and runs again after ``delay_s``. An attempt."""

    fence: Whole
    delay_s: Seconds
    error: JobError


class Snoozed(Struct, array_like=True, frozen=True):
    """Asked to run again after ``delay_s``. Not an attempt."""

    fence: Whole
    delay_s: Seconds


class Buried(Struct, array_like=True, frozen=True):
    """Raised for the last time. Kept ``keep_s``."""

    fence: Whole
    error: JobError
    started_at: Seconds | None = None
    keep_s: Seconds = limits.KEEP_DEAD_S


class Cancelled(Struct, array_like=True, frozen=True):
    """Ended because it was asked to."""

    fence: Whole
    keep_record_s: Seconds = limits.KEEP_RECORD_S


class Lost(Struct, array_like=True, frozen=True):
    """Its executor died, or its lease ended. It runs again uncharged, or is dead when ``loss`` was one too many.

    Attributes:
        error: why; kept, with the type WorkerLost, unless the job had not started.
        started_at: Unix seconds, for the record of a dead job; None: as it was reported before.
    """

    fence: Whole
    loss: Loss
    error: JobError
    started_at: Seconds | None = None


class Refused(Struct, array_like=True, frozen=True):
    """Its holder cannot run it, and has not begun to: see `penstock.model.refusals`. Neither an attempt nor a loss."""

    fence: Whole
    error: JobError

    @property
    def is_unfit(self) -> bool:
        """Whether the task is known there, and the arguments do not fit; otherwise the task is unknown."""
        return self.error.type != UNKNOWN_TASK


class Outcomes(Struct, array_like=True):
    """One settlement. Each fence stands in at most one list.

    What goes through all lists is done by the methods here, so that a new kind of outcome is forgotten nowhere.

    Attributes:
        holder: who says so. Leases of others are none of its business: their fences are stale here.
        forgotten: fences of jobs that succeeded and of which nothing is kept: the fast path.
        released: fences given back; never started, or drained. Not charged.
        children: jobs that land with the outcome of the fence before them, or not at all.
        refused: jobs that their holder cannot run. Others can have them at once.
        suspended: jobs that wait for a time or an event.
        expansions: of a job that returned a call instead of a value: what takes its place, as it is started.
        workflows: workflows that land with the outcome of the fence before them, or not at all.
        members: jobs that land likewise, as members of the group that the job of this fence is in.
    """

    holder: bytes
    forgotten: list[Whole] = []
    succeeded: list[Succeeded] = []
    retried: list[Retried] = []
    snoozed: list[Snoozed] = []
    buried: list[Buried] = []
    cancelled: list[Cancelled] = []
    lost: list[Lost] = []
    released: list[Whole] = []
    children: list[tuple[Whole, list[JobGroup]]] = []
    refused: list[Refused] = []
    suspended: list[Suspended] = []
    expansions: list[tuple[Whole, WorkflowPlan, list[Members]]] = []
    workflows: list[tuple[Whole, WorkflowPlan, list[Members]]] = []
    members: list[tuple[Whole, list[JobGroup]]] = []

    def fences(self) -> list[int]:
        """The fence of every outcome, list by list."""
        fences = [*self.forgotten, *self.released]
        for name in _RECORD_LISTS:
            records = getattr(self, name)
            if records:
                fences += [outcome.fence for outcome in records]
        return fences

    def add(self, outcome: Succeeded | Retried | Snoozed | Buried | Cancelled | Lost | Refused | Suspended) -> None:
        """Add one outcome of more than a fence to its list."""
        getattr(self, _LIST_OF[type(outcome)]).append(outcome)

    def extend(self, more: Outcomes) -> None:
        """Add the outcomes of another settlement of the same holder, and what lands with them."""
        for name in _LISTS:
            getattr(self, name).extend(getattr(more, name))

    def only(self, fences: Container[int]) -> Outcomes:
        """A settlement of those outcomes whose fence is among these, each with what lands with it."""
        part = replace(self)
        for name in _LANDING_LISTS:
            setattr(part, name, [landing for landing in getattr(self, name) if landing[0] in fences])
        for name in _FENCE_LISTS:
            setattr(part, name, [fence for fence in getattr(self, name) if fence in fences])
        for name in _RECORD_LISTS:
            setattr(part, name, [outcome for outcome in getattr(self, name) if outcome.fence in fences])
        return part

    def once(self) -> Outcomes:
        """The same settlement with one outcome for each fence: of several the first, a success before anything else."""
        part, seen = replace(self), set[int]()
        for name in (*_FENCE_LISTS, *_RECORD_LISTS):
            kept: list[Any] = []
            for outcome in getattr(self, name):
                fence = outcome if name in _FENCE_LISTS else outcome.fence
                if fence not in seen:
                    seen.add(fence)
                    kept.append(outcome)
            setattr(part, name, kept)
        return part

    def landing_jobs(self) -> int:
        """How many jobs land with these outcomes: children, new members, and those of workflows, steps included."""
        count = sum(
            len(group.jobs) for name in ("children", "members") for _, groups in getattr(self, name) for group in groups
        )
        for name in ("expansions", "workflows"):
            for _, plan, members in getattr(self, name):
                count += len(plan.steps) + sum(len(group.jobs) for added in members for group in added.groups)
        return count

    @property
    def lands(self) -> bool:
        """Whether anything lands with one of them."""
        return bool(self.children or self.expansions or self.workflows or self.members)

    def halves(self) -> tuple[Outcomes, Outcomes]:
        """The same outcomes in two settlements, each outcome with what lands with it."""
        fences = self.fences()
        middle = len(fences) // 2
        return self.only(set(fences[:middle])), self.only(set(fences[middle:]))


_LISTS: Final = tuple(name for name in Outcomes.__struct_fields__ if name != "holder")
_FENCE_LISTS: Final = ("forgotten", "released")
"""Outcomes of which there is nothing more to tell than the fence."""
_LANDING_LISTS: Final = ("children", "expansions", "workflows", "members")
"""What lands with an outcome: each begins with its fence."""
_RECORD_LISTS: Final = tuple(name for name in _LISTS if name not in (*_FENCE_LISTS, *_LANDING_LISTS))
_LIST_OF: Final[dict[type, str]] = {
    Succeeded: "succeeded",
    Retried: "retried",
    Snoozed: "snoozed",
    Buried: "buried",
    Cancelled: "cancelled",
    Lost: "lost",
    Refused: "refused",
    Suspended: "suspended",
}
assert sorted(_LIST_OF.values()) == sorted(_RECORD_LISTS), "each kind of outcome has its list"
