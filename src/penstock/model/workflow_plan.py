"""The plan of a workflow: what its producer hands to the store, once. Nothing in a plan changes while it runs.

A canvas (chains, groups, chords, graphs) is flattened into steps, which are numbered in the order in which they stand
in the canvas. So whatever belongs together has consecutive numbers: a `Block`. A step is a job or a group. A group has
members: bare jobs, which have no steps of their own and of which there may be a million, and blocks of steps.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from penstock.model import limits
from penstock.model.entry import JobGroup
from penstock.model.numbers import Seconds, Whole


class OnFailure(StrEnum):
    """What becomes of the rest when a step has failed for good and nothing stands in for it."""

    STOP = "stop"
    """What runs is cancelled, what waits does not start."""
    FINISH = "finish"
    """What does not need the failed step goes on to its end."""


class Take(Struct, array_like=True, frozen=True):
    """A value that a step is given.

    Attributes:
        step: the number of the step whose value it is.
        name: the parameter that it is given for; None: the next positional one after those in the call.
        streams: the parameter takes `Results`, which are read in pages: the value travels as a reference.
    """

    step: Whole
    name: str | None = None
    streams: bool = False


class Callback(Struct, array_like=True, frozen=True):
    """A job that is enqueued when a step, or the whole, has ended. What becomes of it is no matter of the workflow.

    Attributes:
        call: one job.
        takes: it is given what happened: after a success the value, as the next positional argument after those in the
            call; after a failure, as its first, ``{"type", "message", "traceback"}``.
    """

    call: JobGroup
    takes: bool = True


class Block(Struct, array_like=True, frozen=True):
    """Steps ``first`` to ``last`` belong to the step ``owner``: they are a member of this group, or stand in for it
    when it has failed, or take its place when its job returned a call.

    Attributes:
        place: as a member of a group, which one, from 0.
    """

    owner: Whole
    first: Whole
    last: Whole
    place: Whole = 0


class GroupPlan(Struct, array_like=True, frozen=True):
    """What makes a step a group.

    Attributes:
        total: how many members it has, those that are blocks of steps included; None: it is open, and members are
            added until it is closed.
        failures_max: as many members may fail; the places of those are None in its value.
        on_failure: of more than these: STOP cancels the others at once, FINISH lets them end first.
        open_s: an open group to which nothing was added for this long has been abandoned by its producer.
        closes: what becomes of it then: True: it is closed with the members it has; False: it fails.
    """

    total: Whole | None = None
    failures_max: Whole = 0
    on_failure: OnFailure = OnFailure.STOP
    open_s: Seconds = limits.GROUP_OPEN_S
    closes: bool = False


class StepPlan(Struct, array_like=True, frozen=True):
    """One step.

    Attributes:
        name: unique within the workflow.
        call: its job: a group with exactly one entry, whose id the job will have. None: the step is a group.
        group: of a group; None: the step is a job.
        takes: the values that its job, or each bare member of the group, is given, in order.
        after: steps that it waits for without taking their values. It starts when these and those of ``takes`` have
            succeeded.
        block: the innermost block that the step belongs to; None: it is at the top.
        into: its value becomes that of the block, and so of the block's owner: of a group at the block's place,
            otherwise in place of the owner's own.
        alternative: the block that stands in for the step when it has failed, if nothing that it takes is missing;
            None: there is none.
        takes_error: it is given the error of the block's owner as its first argument.
        compensation: when the workflow fails, or is cancelled, after this step has succeeded: a job that undoes it.
            Compensations run one after the other, the latest success first. ``takes``: the step's value.
        on_success, on_error: callbacks of this step.
        part: with ``into``: the name under which its value stands in that of the block, which is a map of several then;
            None: its value is all of it.
    """

    name: str
    call: JobGroup | None = None
    group: GroupPlan | None = None
    takes: list[Take] = []
    after: list[Whole] = []
    block: Block | None = None
    into: bool = False
    alternative: Block | None = None
    takes_error: bool = False
    compensation: Callback | None = None
    on_success: list[Callback] = []
    on_error: list[Callback] = []
    part: str | None = None

    def needs(self) -> set[int]:
        """The steps that must have succeeded before it starts."""
        return {*(take.step for take in self.takes), *self.after}


class Output(Struct, array_like=True, frozen=True):
    """A step whose value is (a part of) the workflow's result.

    Attributes:
        name: under which it stands in the result; None: it is the whole result.
    """

    step: Whole
    name: str | None = None


class WorkflowPlan(Struct, array_like=True, frozen=True):
    """A workflow as it is started.

    Attributes:
        id: 16 bytes, a UUIDv7 made by the producer.
        name: for people: what it is of, such as ``chord(thumbnail, publish)``.
        steps: by number, from 0.
        outputs: one without a name, or several with names. Empty: the result is None.
        on_failure: of a step at the top that has failed for good.
        on_success, on_error: callbacks of the whole. The error is that of the step that failed.
        deadline_s: not over within this time of its start: it fails (``DeadlineExceeded``), and all of it is cancelled.
        keep_s: how long it can be looked up when it is over, with its steps, their jobs and their results.
        idempotency_key: within `limits.IDEMPOTENCY_S` a second workflow with this key is the first one again, if it has
            the same ``identity``; else a conflict.
        identity: checksum and length of a canonical form of it, without ids.
    """

    id: bytes
    name: str
    steps: list[StepPlan]
    outputs: list[Output] = []
    on_failure: OnFailure = OnFailure.STOP
    on_success: list[Callback] = []
    on_error: list[Callback] = []
    deadline_s: Seconds | None = None
    keep_s: Seconds = limits.KEEP_RECORD_S
    idempotency_key: str | None = None
    identity: tuple[int, int] | None = None


class Members(Struct, array_like=True, frozen=True):
    """Bare jobs that become members of a group.

    Attributes:
        step: the group's number.
        groups: the jobs; their places follow those that are there, in order.
        first: the place of the first of them; only where the group's ``total`` is known, as some places may belong to
            blocks. None: after the last one that was added.
    """

    step: Whole
    groups: list[JobGroup]
    first: Whole | None = None
