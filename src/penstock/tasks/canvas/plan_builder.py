"""Flattens a canvas into the plan of a workflow (`penstock.model.workflow_plan`), and refuses what could not work.

Each part of a canvas is asked to `Part.flatten` itself: it adds its steps to the builder, and answers what it hands on.
So the builder knows steps, blocks and members of groups, and nothing of chains and graphs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import msgspec

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidOption, PenstockError
from penstock.model.ids import new_id
from penstock.model.workflow_plan import (
    Callback,
    GroupPlan,
    Members,
    Output,
    WorkflowPlan,
)
from penstock.tasks.canvas.group_members import PIECE_JOBS_MAX, GroupMembers, Piece
from penstock.tasks.canvas.handing_over import NOTHING, Call, Given, GroupItems, Handovers, Value
from penstock.tasks.canvas.plan_identity import plan_identity
from penstock.tasks.canvas.plan_parts import (
    NAME_CHARS_MAX,
    Built,
    DraftBlock,
    DraftStep,
    Flat,
    GroupPolicy,
    Part,
    Stream,
    WorkflowOptions,
)
from penstock.tasks.entries import check_same, entry_of, group_of
from penstock.tasks.store_connection import StoreConnection

FIRST_JOBS_MAX: Final = limits.BATCH_JOBS_MAX
"""Members of groups in the call that starts a workflow. Further ones follow in parts."""
FIRST_BYTES_MAX: Final = limits.REQUEST_BYTES_MAX // 2
"""What they take, at most; the one that exceeds it is the last one in it."""


@dataclass(slots=True, eq=False)
class _FirstMembers:
    """The members of a group that go with the plan.

    Attributes:
        members: the plain ones.
        places: how many there are, blocks included.
        has_blocks: some are blocks.
        left: plain ones that are made and did not fit.
    """

    members: list[Members] = field(default_factory=list)
    places: int = 0
    has_blocks: bool = False
    left: list[Piece] = field(default_factory=list)


class PlanBuilder:
    """Takes the steps of one canvas.

    Attributes:
        streams: groups with more members than the first call holds.
    """

    def __init__(self, connection: StoreConnection, jobs_max: int = FIRST_JOBS_MAX) -> None:
        """``connection``: of the application whose tasks are called. ``jobs_max``: members of groups in the first
        call."""
        self._connection = connection
        self._steps: list[DraftStep] = []
        self._names: Counter[str] = Counter()
        self._taken: set[str] = set()
        self._block: DraftBlock | None = None
        self._depth = 0
        self._handovers = Handovers()
        self._members: list[Members] = []
        self._jobs_left = jobs_max
        self._bytes_left = FIRST_BYTES_MAX
        self._prefix = ""
        self._scoped = False
        self._takes_error: int | None = None
        self.streams: list[Stream] = []

    # --- what parts call ----------------------------------------------------------------------------------------------

    def add_call(self, call: Call, given: Given, label: str | None) -> Value:
        """Add a step that is one job. Answers what it hands on.

        Raises:
            InvalidOption, InvalidArguments, BodyTooLarge: the call cannot be such a step; the message names it.
        """
        name = self._named(label, _short(call.task.name))
        error_first = len(self._steps) == self._takes_error and not call.immutable
        taken = NOTHING if call.immutable else given
        step = DraftStep(name, block=self._block, takes_error=error_first)
        with _naming(name):
            check_same(self._connection, call.task)
            handover = self._handovers.of(name, call, taken, error_first=error_first)
            entry = entry_of(handover.task, call.args, call.kwargs, call.job_options)
        step.call = group_of(handover.task, [entry], call.job_options)
        step.takes = list(handover.takes)
        step.after = given.ordering() if call.immutable else list(given.after)
        self._bytes_left -= len(entry.body)
        returns = call.task.codec.parameters.returns
        return Value(self._add(step), name, (returns,))

    def add_group(
        self, members: Iterable[Any], policy: GroupPolicy, given: Given, label: str | None, by_default: str
    ) -> Value:
        """Add a step that is a group. Answers what it hands on.

        Raises:
            InvalidOption, InvalidArguments, BodyTooLarge: a member cannot be one; the message names the group's step.
        """
        name = self._named(label, by_default)
        step = DraftStep(name, block=self._block)
        number = self._add(step)
        items = GroupItems(name, gaps=policy.failures_max > 0)
        writer = GroupMembers(name, self._connection, self._handovers, given, items)
        rest = iter(members)
        first = self._first_members(number, writer, rest, given)
        step.takes = list(writer.takes)
        step.after = list(given.after) if writer.takes else given.ordering()
        is_open = bool(first.left) or policy.grows
        if is_open and first.has_blocks:
            raise InvalidOption(
                f"Step {name!r}: a group that grows, or has more than {FIRST_JOBS_MAX} members, has only calls of tasks"
                " for members, without callbacks and alternatives: let a task return what is more than a call.",
                field="members",
            )
        if is_open:
            # Where the number of members is not known, they have no places of their own.
            self._members += [Members(number, added.groups) for added in first.members]
            self.streams.append(Stream(number, chain(first.left, writer.write_all(rest))))
        else:
            self._members += first.members
        step.group = GroupPlan(
            None if is_open else first.places, policy.failures_max, policy.on_failure, policy.open_s, policy.closes
        )
        return Value(number, name, (), items)

    def add_alternative(self, value: Value, part: Part, given: Given, *, with_error: bool) -> Value:
        """Add what stands in for a step when it has failed. Answers what the step hands on then or otherwise."""
        owner = self._steps[value.step]
        with self._in_block(value.step) as block:
            self._takes_error = len(self._steps) if with_error else None
            flat = part.flatten(self, given, f"{owner.name.removeprefix(self._prefix)}-otherwise")
            self._into(flat)
        if with_error and self._steps[block.first].call is None:
            raise InvalidOption(
                f"Step {self._steps[block.first].name!r} is a group, and takes no error: begin what stands in with a"
                " call, or leave with_error out.",
                field="with_error",
            )
        owner.alternative = block
        standing_in = flat.value
        types = value.types or ((value.items.list_type(),) if value.items is not None else ())
        other = (Any,) if standing_in is None else standing_in.types or (standing_in.annotation(),)
        return Value(value.step, value.name, (*types, *other), value.items)

    def add_links(
        self,
        flat: Flat,
        on_success: Iterable[Call],
        on_error: Iterable[Call],
        compensation: Call | None = None,
    ) -> None:
        """Add callbacks to the steps of a part: after its value is there, and after any of its steps has failed."""
        if flat.value is not None:
            last = self._steps[flat.value.step]
            last.on_success += [self.callback(call, flat.value, f"{last.name}: on_success") for call in on_success]
            if compensation is not None:
                last.compensation = self.callback(compensation, flat.value, f"{last.name}: compensate")
        elif list(on_success):
            raise InvalidOption("A dag with several results inside of another canvas has no on_success: name one.")
        for number in flat.steps:
            failing = self._steps[number]
            failing.on_error += [self.error_callback(call, f"{failing.name}: on_error") for call in on_error]

    def callback(self, call: Call, value: Value | None, label: str) -> Callback:
        """A call that is given a value when there is one. None: one of which nothing is known."""
        given = Given((value or Value(0, "the workflow", (Any,)),))
        return self._callback(call, NOTHING if call.immutable else given, label, error_first=False)

    def error_callback(self, call: Call, label: str) -> Callback:
        """A call that is given an error."""
        return self._callback(call, NOTHING, label, error_first=not call.immutable)

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names of steps within it are told from those outside. The first scope has no need of that, unless there are
        steps outside of it."""
        outer = self._prefix
        if self._steps or self._scoped:
            self._prefix = f"{self._named(None, name)}/"
        self._scoped = True
        try:
            yield
        finally:
            self._prefix = outer

    # --- the whole ----------------------------------------------------------------------------------------------------

    def built(
        self,
        flat: Flat,
        name: str,
        options: WorkflowOptions,
        on_success: Iterable[Call] = (),
        on_error: Iterable[Call] = (),
    ) -> Built:
        """The plan of all steps that were added.

        Raises:
            InvalidOption: there are too many, or a callback cannot be one.
            BodyTooLarge: they take more than one call holds.
        """
        success = [self.callback(call, flat.value, "on_success") for call in on_success]
        failure = [self.error_callback(call, "on_error") for call in on_error]
        returns: Any = Any
        outputs = [Output(value.step, key) for key, value in flat.named]
        if flat.value is not None:
            outputs, returns = [Output(flat.value.step)], flat.value.annotation()
        elif flat.named:
            returns = {key: value.annotation() for key, value in flat.named}
        plan = WorkflowPlan(
            new_id(),
            (options.name or name)[:NAME_CHARS_MAX],
            [step.plan() for step in self._steps],
            outputs,
            options.on_failure,
            success,
            failure,
            options.deadline_s,
            options.keep_s,
            options.idempotency_key,
        )
        if len(plan.steps) > limits.WORKFLOW_STEPS_MAX:
            raise InvalidOption(
                f"{plan.name}: {len(plan.steps)} steps; the limit (WORKFLOW_STEPS_MAX) is {limits.WORKFLOW_STEPS_MAX}."
                " Calls of tasks in a group are no steps of their own.",
                field="steps",
            )
        if self._bytes_left < FIRST_BYTES_MAX - limits.REQUEST_BYTES_MAX:
            raise BodyTooLarge(
                f"{plan.name}: its steps have {FIRST_BYTES_MAX - self._bytes_left} bytes of arguments; the limit"
                f" (REQUEST_BYTES_MAX) is {limits.REQUEST_BYTES_MAX}. Pass on where the data is, not the data."
            )
        if options.idempotency_key is not None:
            plan = msgspec.structs.replace(plan, identity=plan_identity(plan, self._members))
        self._members.sort(key=lambda added: added.step)
        return Built(plan, self._members, self.streams, returns)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _first_members(self, number: int, writer: GroupMembers, rest: Iterator[Any], given: Given) -> _FirstMembers:
        """Add members until there are no more, or the first call is full."""
        found = _FirstMembers()
        waiting: list[Any] = []
        for member in rest:
            if not writer.is_bare(member):
                self._write(number, writer, waiting, found)
                found.has_blocks = True
                with _naming(writer.name), self._in_block(number, found.places):
                    flat = member.flatten(self, given, None)
                    self._into(flat)
                value = flat.value
                writer.items.add((Any,) if value is None else value.types or (value.annotation(),))
                found.places += 1
                continue
            waiting.append(member)
            if len(waiting) >= min(PIECE_JOBS_MAX, self._jobs_left + 1):
                self._write(number, writer, waiting, found)
                if found.left:
                    break
        self._write(number, writer, waiting, found)
        writer.items.more = bool(found.left)
        return found

    def _write(self, number: int, writer: GroupMembers, waiting: list[Any], found: _FirstMembers) -> None:
        """Make jobs of the members that wait. Those that the first call has no room for are left."""
        room = self._jobs_left
        for piece in writer.write(waiting):
            if found.left or self._bytes_left <= 0 or piece.jobs > room:
                found.left.append(piece)
                continue
            found.members.append(Members(number, piece.groups, found.places))
            found.places += piece.jobs
            room -= piece.jobs
            self._bytes_left -= piece.size_bytes
        self._jobs_left = room
        waiting.clear()

    def _into(self, flat: Flat) -> None:
        """The value of the block that was added is what its part hands on."""
        if flat.value is not None:
            self._steps[flat.value.step].into = True
        for key, value in flat.named:
            self._steps[value.step].into, self._steps[value.step].part = True, key

    @contextmanager
    def _in_block(self, owner: int, place: int = 0) -> Iterator[DraftBlock]:
        outer = self._block
        if self._depth == limits.CANVAS_NESTING_MAX:
            raise InvalidOption(
                f"Step {self._steps[owner].name!r} is inside of {self._depth} groups and alternatives, and has more"
                f" inside; the limit (CANVAS_NESTING_MAX) is {limits.CANVAS_NESTING_MAX}. Let a task return a call"
                " instead: that takes the place of its value.",
                field="members",
            )
        self._block = block = DraftBlock(owner, len(self._steps), place)
        self._depth += 1
        try:
            yield block
        finally:
            self._depth -= 1
            self._block = outer
        block.last = len(self._steps) - 1

    def _add(self, step: DraftStep) -> int:
        self._steps.append(step)
        return len(self._steps) - 1

    def _callback(self, call: Call, given: Given, label: str, *, error_first: bool) -> Callback:
        with _naming(label):
            check_same(self._connection, call.task)
            handover = self._handovers.of(label, call, given, error_first=error_first)
            entry = entry_of(handover.task, call.args, call.kwargs, call.job_options)
        self._bytes_left -= len(entry.body)
        return Callback(group_of(handover.task, [entry], call.job_options), takes=not call.immutable)

    def _named(self, label: str | None, by_default: str) -> str:
        """A name that no step has yet. ``label``: asked for, and refused where there is one."""
        if label is not None:
            name = self._prefix + label
            if name in self._taken:
                raise InvalidOption(f"There are two steps {name!r}: give one of them another name.", field="name")
        else:
            base = self._prefix + by_default
            self._names[base] += 1
            name = base if self._names[base] == 1 else f"{base}-{self._names[base]}"
            while name in self._taken:
                self._names[base] += 1
                name = f"{base}-{self._names[base]}"
        if len(name) > NAME_CHARS_MAX:
            raise InvalidOption(
                f"The name {name[:40]!r}… of a step has {len(name)} characters; the most is {NAME_CHARS_MAX}.",
                field="name",
            )
        self._taken.add(name)
        return name


def _short(task: str) -> str:
    """The last part of a task's name."""
    return task.rpartition(".")[2] or task


@contextmanager
def _naming(step: str) -> Iterator[None]:
    """Whatever is refused within it names the step."""
    try:
        yield
    except PenstockError as error:
        if "tep '" not in error.message and not error.message.startswith("There are two steps"):
            error.args = (f"Step {step!r}: {error.message}",)
        raise
