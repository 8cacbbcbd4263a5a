"""How steps lie in a plan: which are inside of which, what needs what, and that nothing of it is impossible.

The blocks of a step follow it at once: those that are its members, in the order of their places, then its alternative.
Each begins where the one before has ended. What is inside of a block lies in the block whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from penstock.model.errors import InvalidOption
from penstock.model.workflow_plan import Block, Members, StepPlan, Take, WorkflowPlan
from penstock.workflow.rows import StepFacts


def check_layout(steps: Sequence[StepPlan]) -> None:
    """Pass when the steps lie as they should, and each can start some time.

    Raises:
        InvalidOption: they do not, or cannot; the message names the step.
    """
    _check_blocks(steps)
    for number, step in enumerate(steps):
        _check_needs(steps, number, step)
    _check_values(steps)
    if any(need > number for number, step in enumerate(steps) for need in step.needs()):
        _check_circles(steps)


def facts_of(steps: Sequence[StepPlan], first: int = 0) -> list[StepFacts]:
    """The static rows of sound steps, which are numbered on from ``first``."""
    count = len(steps)
    dependents: list[list[int]] = [[] for _ in range(count)]
    last = list(range(first, first + count))
    end = list(last)
    in_block = [0] * count
    for number, step in enumerate(steps, first):
        for need in sorted(step.needs()):
            dependents[need - first].append(number)
        if step.block is not None and step.block.first >= first:
            in_block[step.block.first - first] += 1
            owner = step.block.owner - first
            if owner >= 0:
                end[owner] = step.block.last
                if step.block != steps[owner].alternative:
                    last[owner] = step.block.last
    return [
        StepFacts(
            step,
            dependents[place],
            last[place],
            end[place],
            in_block[place],
            step.block is not None
            and all(steps[need - first].block != step.block for need in step.needs() if need >= first),
        )
        for place, step in enumerate(steps)
    ]


def appended(plan: WorkflowPlan, first: int, owner: int, place: int) -> list[StepPlan]:
    """The steps of a plan as a block of a step of another: numbered on from ``first``."""
    block = Block(owner, first, first + len(plan.steps) - 1, place)
    outputs = {output.step: output.name for output in plan.outputs}
    return [
        replace(
            step,
            name=f"{step.name} ({first + number})",
            takes=[Take(take.step + first, take.name, take.streams) for take in step.takes],
            after=[need + first for need in step.after],
            block=block if step.block is None else _moved(step.block, first),
            alternative=None if step.alternative is None else _moved(step.alternative, first),
            into=number in outputs if step.block is None else step.into,
            part=outputs.get(number) if step.block is None else step.part,
        )
        for number, step in enumerate(plan.steps)
    ]


def moved_members(members: Sequence[Members], by: int) -> list[Members]:
    """The members of a plan whose steps were numbered on from ``by``."""
    return [replace(more, step=more.step + by) for more in members]


def _moved(block: Block, by: int) -> Block:
    return Block(block.owner + by, block.first + by, block.last + by, block.place)


def _wrong(step: StepPlan, what: str) -> InvalidOption:
    return InvalidOption(f"The step {step.name!r} {what}.", field="steps")


# --- blocks ----------------------------------------------------------------------------------------------------------
def _check_blocks(steps: Sequence[StepPlan]) -> None:
    """Go through the steps, in whichever blocks one is."""
    inside: list[Block] = []
    latest: list[int] = [-1]
    """The latest step of the top, and of each of the blocks that we are in."""
    seen: dict[int, Block] = {}
    """The latest block of each step."""
    for number, step in enumerate(steps):
        while inside and inside[-1].last < number:
            inside.pop()
            latest.pop()
        if step.block is not None and step.block.first == number:
            _check_block(steps, number, step.block, seen.get(step.block.owner), latest[-1])
            if inside and step.block.last > inside[-1].last:
                raise _wrong(step, "is in a block that is not inside of the one around it")
            seen[step.block.owner] = step.block
            inside.append(step.block)
            latest.append(number)
        elif step.block != (inside[-1] if inside else None):
            raise _wrong(step, "is not in the block in which it lies: blocks follow their owner, and do not overlap")
        latest[-1] = number
    for number, step in enumerate(steps):
        if step.alternative is not None and seen.get(number) != step.alternative:
            raise _wrong(step, "has an alternative that does not follow it")


def _check_block(steps: Sequence[StepPlan], number: int, block: Block, before: Block | None, latest: int) -> None:
    """A block begins with this step. ``before``: the one of the same owner before it; ``latest``: the step before."""
    step = steps[number]
    if not number <= block.last < len(steps):
        raise _wrong(step, f"begins a block that ends with step {block.last}")
    if block.owner != latest:
        raise _wrong(step, f"begins a block of step {block.owner}, which it does not follow")
    owner = steps[block.owner]
    if block == owner.alternative:
        return
    if owner.group is None:
        raise _wrong(step, f"begins a member of {owner.name!r}, which is not a group")
    if before is not None and (before == owner.alternative or before.place >= block.place):
        raise _wrong(step, f"begins a member of {owner.name!r} that is out of order")
    if owner.group.total is None:
        raise _wrong(
            step, f"begins a member of {owner.name!r}, which is open: blocks are members of groups with a total"
        )
    if not 0 <= block.place < owner.group.total:
        raise _wrong(step, f"is at place {block.place} of {owner.name!r}, which has {owner.group.total} members")


# --- needs -----------------------------------------------------------------------------------------------------------
def _check_needs(steps: Sequence[StepPlan], number: int, step: StepPlan) -> None:
    around: set[Block | None] | None = None
    for need in step.needs():
        if not 0 <= need < len(steps):
            raise _wrong(step, f"needs step {need}, which is not there")
        if need == number:
            raise _wrong(step, "needs itself")
        if steps[need].block == step.block:
            continue
        if around is None:
            around = _blocks_around(steps, step)
        if any(block is not None and block.owner == need for block in around):
            raise _wrong(step, f"needs {steps[need].name!r}, which it is inside of")
        if steps[need].block not in around:
            raise _wrong(step, f"needs {steps[need].name!r}, which is inside of another step; it can need that one")


def _blocks_around(steps: Sequence[StepPlan], step: StepPlan) -> set[Block | None]:
    blocks: set[Block | None] = {None}
    while step.block is not None:
        blocks.add(step.block)
        step = steps[step.block.owner]
    return blocks


def _check_values(steps: Sequence[StepPlan]) -> None:
    """Each block has one value, or parts with different names."""
    parts: dict[int, set[str | None]] = {}
    for step in steps:
        if step.takes_error and (step.block is None or steps[step.block.owner].alternative != step.block):
            raise _wrong(step, "takes the error of a step that it does not stand in for")
        if not step.into:
            continue
        if step.block is None:
            raise _wrong(step, "has a value for its block (into), and is in none")
        names = parts.setdefault(step.block.first, set())
        if step.part in names or (names and (None in names or step.part is None)):
            raise _wrong(step, "has a value for its block that another step has already")
        names.add(step.part)


def _check_circles(steps: Sequence[StepPlan]) -> None:
    """Each step can start some time. ``2 n`` is the start of a step, ``2 n + 1`` its end."""
    follow: list[list[int]] = [[] for _ in range(2 * len(steps))]
    missing = [0] * len(follow)

    def order(before: int, after: int) -> None:
        follow[before].append(after)
        missing[after] += 1

    for number, step in enumerate(steps):
        order(2 * number, 2 * number + 1)
        for need in step.needs():
            order(2 * need + 1, 2 * number)
        if step.block is not None:
            order(2 * step.block.owner, 2 * number)
            order(2 * number + 1, 2 * step.block.owner + 1)
    reached = [moment for moment, count in enumerate(missing) if not count]
    for moment in reached:
        for after in follow[moment]:
            missing[after] -= 1
            if not missing[after]:
                reached.append(after)
    if len(reached) < len(follow):
        stuck = min(moment for moment, count in enumerate(missing) if count)
        raise _wrong(steps[stuck // 2], "waits for itself: the steps that need one another go in a circle")
