"""What the plan of a workflow is put together of, while `penstock.tasks.canvas.plan_builder` does so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.job import JobGroup
from penstock.model.workflow_plan import Block, Callback, GroupPlan, Members, OnFailure, StepPlan, Take, WorkflowPlan
from penstock.tasks import names
from penstock.tasks.canvas.group_members import Piece
from penstock.tasks.canvas.handing_over import Given, Value

NAME_CHARS_MAX: Final = 200


class Part(Protocol):
    """A canvas, as far as it takes to flatten it."""

    def flatten(self, builder: Any, given: Given, label: str | None) -> Flat:
        """Add its steps. ``label``: what its step is called; None: by what it does."""
        ...

    def described(self) -> str:
        """What it is of, in a few words."""
        ...


class Flat(NamedTuple):
    """What a part has become.

    Attributes:
        value: what it hands on; None: it has several values, those of ``named``.
        steps: the numbers of its own steps, those of parts in its groups left out.
    """

    value: Value | None
    steps: tuple[int, ...]
    named: tuple[tuple[str, Value], ...] = ()


class GroupPolicy(NamedTuple):
    """How a group is run, see `penstock.tasks.canvas.groups.group`."""

    failures_max: int = 0
    on_failure: OnFailure = OnFailure.STOP
    open_s: float = limits.GROUP_OPEN_S
    closes: bool = False
    grows: bool = False


class WorkflowOptions(NamedTuple):
    """See `penstock.tasks.canvas.composition.Canvas.options`."""

    name: str | None = None
    idempotency_key: str | None = None
    deadline_s: float | None = None
    keep_s: float = limits.KEEP_RECORD_S
    on_failure: OnFailure = OnFailure.STOP


class Stream(NamedTuple):
    """Members of a group that did not fit into the first call.

    Attributes:
        step: the group's number.
        pieces: them as jobs, in order, made as they are asked for.
    """

    step: int
    pieces: Iterator[Piece]


class Built(NamedTuple):
    """What a canvas came to.

    Attributes:
        plan, members: what is sent first.
        streams: what is added after it.
        returns: the type of its result. Where there are several outputs, the types by their names.
    """

    plan: WorkflowPlan
    members: list[Members]
    streams: list[Stream]
    returns: Any

    def jobs(self) -> int:
        """How many steps, and members of groups, are sent first."""
        return len(self.plan.steps) + sum(len(group.jobs) for added in self.members for group in added.groups)


@dataclass(slots=True, eq=False)
class DraftBlock:
    """A block of steps that is being put together. The fields are those of `Block`."""

    owner: int
    first: int
    place: int
    last: int = 0


@dataclass(slots=True, eq=False)
class DraftStep:
    """A step that is being put together. The fields are those of `StepPlan`."""

    name: str
    call: JobGroup | None = None
    group: GroupPlan | None = None
    takes: list[Take] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    block: DraftBlock | None = None
    into: bool = False
    part: str | None = None
    alternative: DraftBlock | None = None
    takes_error: bool = False
    compensation: Callback | None = None
    on_success: list[Callback] = field(default_factory=list)
    on_error: list[Callback] = field(default_factory=list)

    def plan(self) -> StepPlan:
        """The step as stores have it."""
        return StepPlan(
            self.name,
            self.call,
            self.group,
            self.takes,
            self.after,
            block=_planned(self.block),
            into=self.into,
            alternative=_planned(self.alternative),
            takes_error=self.takes_error,
            compensation=self.compensation,
            on_success=self.on_success,
            on_error=self.on_error,
            part=self.part,
        )


def _planned(block: DraftBlock | None) -> Block | None:
    return None if block is None else Block(block.owner, block.first, block.last, block.place)


def checked_policy(policy: Any) -> OnFailure:
    """What becomes of the rest when something has failed.

    Raises:
        InvalidOption: it is neither of the two.
    """
    if policy not in tuple(OnFailure):
        names.refuse("on_failure", f"is {names.shown(policy)}: use 'stop' or 'finish'")
    return OnFailure(policy)


def check_label(name: Any) -> None:
    """Pass when this may be the name of a workflow, or is None.

    Raises:
        InvalidOption: it may not.
    """
    if name is not None and (not isinstance(name, str) or not name or len(name) > NAME_CHARS_MAX):
        names.refuse("name", f"is {names.shown(name)}: give text of 1 to {NAME_CHARS_MAX} characters")


def no_option(canvas: str, name: str) -> InvalidOption:
    """The error for an option that a canvas (as it is described) does not have."""
    return InvalidOption(
        f"{canvas}: {name} is no option of a workflow. Those of a job come before its arguments:"
        f" task.options({name}=…).s(…). Those of a group stand in group(…, {name}=…), those of a task in @app.task.",
        field=name,
    )
