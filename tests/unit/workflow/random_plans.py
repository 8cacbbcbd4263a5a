"""Random plans, what each of their jobs will come to, and a slow and obvious evaluation of it all."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from msgspec.structs import replace

from penstock.model.workflow_plan import Block, Members, OnFailure, Output, StepPlan, Take, WorkflowPlan
from tests.unit.workflow.paper import FAILED, callback, group, job, jobs, plan


@dataclass
class Drawn:
    """A plan that was drawn.

    Attributes:
        fates: by the name of a step, and the place of a member: None (it succeeds), FAILED, or what it returns.
        bare: the places of a group at which there are jobs.
    """

    plan: WorkflowPlan
    members: list[Members]
    fates: dict[tuple[str, int | None], Any] = field(default_factory=dict)
    bare: dict[str, list[int]] = field(default_factory=dict)


class Drawing:
    """Draws one plan."""

    def __init__(self, random: Random, prefix: str, depth: int, failing: float, *, undo: bool) -> None:
        self.random = random
        self.prefix = prefix
        self.depth = depth
        self.failing = failing
        self.undo = undo
        self.steps: list[StepPlan] = []
        self.members: list[Members] = []
        self.fates: dict[tuple[str, int | None], Any] = {}
        self.bare: dict[str, list[int]] = {}

    def draw(self, steps: int) -> Drawn:
        self._sequence(steps, None, [], self.depth)
        on_failure = self.random.choice(list(OnFailure))
        top = [number for number, step in enumerate(self.steps) if step.block is None]
        outputs = [Output(number, str(number)) for number in top]
        if self.random.random() < 0.5:
            outputs = [Output(top[-1])]
        drawn = plan(
            *self.steps, outputs=outputs, on_failure=on_failure, on_success=[callback()], on_error=[callback()]
        )
        return Drawn(drawn, self.members, self.fates, self.bare)

    def _fate(self, name: str, place: int | None, depth: int) -> None:
        at = self.random.random()
        if at < self.failing:
            self.fates[name, place] = FAILED
        elif at > 0.9 and depth > 0:
            inner = Drawing(self.random, f"{name}.{place}/", depth - 1, self.failing, undo=self.undo)
            drawn = inner.draw(self.random.randint(1, 2))
            self.fates |= drawn.fates
            self.bare |= drawn.bare
            self.fates[name, place] = drawn
        else:
            self.fates[name, place] = None

    def _sequence(self, count: int, block: Block | None, around: list[int], depth: int) -> None:
        """Steps of one block, or of the top, each with its own blocks behind it. ``around``: outside, may be needed."""
        here: list[int] = []
        for _ in range(count):
            here.append(self._step(block, [*here, *around], depth, standby=False))
        last = here[-1]
        if block is not None:
            if len(here) > 1 and self.random.random() < 0.3:
                for place, number in enumerate(here[-2:]):
                    self.steps[number] = replace(self.steps[number], into=True, part=f"p{place}")
            elif self.random.random() < 0.9:
                self.steps[last] = replace(self.steps[last], into=True)

    def _step(self, block: Block | None, known: list[int], depth: int, *, standby: bool) -> int:
        random, number = self.random, len(self.steps)
        needed = random.sample(known, min(len(known), random.choice([0, 1, 1, 2])))
        takes = [Take(need, random.choice([None, f"k{need}"])) for need in needed if random.random() < 0.7]
        options: dict[str, Any] = {
            "takes": takes,
            "after": [need for need in needed if all(take.step != need for take in takes)],
            "block": block,
            "on_success": [callback()],
            "on_error": [callback()],
        }
        name = f"{self.prefix}{number}"
        if self.undo and random.random() < 0.3:
            options["compensation"] = callback()
        if depth > 0 and random.random() < 0.4:
            self._group(name, number, known, depth, options)
        else:
            self.steps.append(job(name, **options))
            self._fate(name, None, depth)
        if depth > 0 and random.random() < 0.3:
            self._alternative(number, known, depth)
        return number

    def _group(self, name: str, number: int, known: list[int], depth: int, options: dict[str, Any]) -> None:
        random = self.random
        total = random.randint(0, 4)
        options |= {"failures_max": random.choice([0, 0, 1, 2]), "on_failure": random.choice(list(OnFailure))}
        is_open = random.random() < 0.3
        self.steps.append(group(name, None if is_open else total, **options))
        bare = []
        for place in range(total):
            if is_open or random.random() < 0.6:
                bare.append(place)
                self._fate(name, place, depth)
                continue
            first, block = len(self.steps), Block(number, len(self.steps), 0, place)
            self._sequence(random.randint(1, 3), block, known, depth - 1)
            self._close(block, first)
        self.bare[name] = bare
        self.members += [Members(number, jobs(1), None if is_open else place) for place in bare]

    def _alternative(self, number: int, known: list[int], depth: int) -> None:
        first, block = len(self.steps), Block(number, len(self.steps), 0)
        self._sequence(self.random.randint(1, 2), block, known, depth - 1)
        block = self._close(block, first)
        self.steps[number] = replace(self.steps[number], alternative=block)
        if self.random.random() < 0.5:
            self.steps[first] = replace(self.steps[first], takes_error=True)

    def _close(self, block: Block, first: int) -> Block:
        """The last step of a block is known now."""
        closed = replace(block, last=len(self.steps) - 1)
        self.steps[first:] = [
            replace(step, block=closed) if step.block == block else step for step in self.steps[first:]
        ]
        return closed


def result_of(name: str, place: int | None, args: list[Any]) -> Any:
    """What a job returns: who it is, and what it was given, errors left out."""
    return [name, place, *(arg for arg in args if not (isinstance(arg, dict) and "traceback" in arg))]


SUCCEEDED, FAILS, CANCELLED = "succeeded", "failed", "cancelled"


class Evaluation:
    """What a plan comes to when each of its jobs comes to its fate: by looking at all of it, from the end.

    Args:
        all_well: nothing fails.
    """

    def __init__(self, drawn: Drawn, *, all_well: bool = False, plan: WorkflowPlan | None = None) -> None:
        self.drawn = drawn
        self.steps = (plan or drawn.plan).steps
        self.all_well = all_well

    def fate(self, number: int) -> str:
        """How a step ends if its surroundings let it."""
        step = self.steps[number]
        if any(self.fate(need) != SUCCEEDED for need in step.needs()):
            return CANCELLED
        if self._own(number) or (step.alternative is not None and self._block(step.alternative)):
            return SUCCEEDED
        return FAILS

    def fares_well(self, number: int) -> bool:
        """Whether a step succeeds without its alternative."""
        return all(self.fate(need) == SUCCEEDED for need in self.steps[number].needs()) and self._own(number)

    def _own(self, number: int) -> bool:
        step = self.steps[number]
        if step.group is None:
            return self._job(step.name, None)
        members = [self._job(step.name, place) for place in self.drawn.bare[step.name]]
        members += [self._block(block) for block in self._blocks(number)]
        return members.count(False) <= step.group.failures_max

    def _job(self, name: str, place: int | None) -> bool:
        fate = self.drawn.fates[name, place]
        if isinstance(fate, Drawn):
            inner = Evaluation(self.drawn, all_well=self.all_well, plan=fate.plan)
            return all(inner.fate(n) == SUCCEEDED for n, step in enumerate(fate.plan.steps) if step.block is None)
        return fate is None or self.all_well

    def _block(self, block: Block) -> bool:
        inside = [n for n in range(block.first, block.last + 1) if self.steps[n].block == block]
        return all(self.fate(number) == SUCCEEDED for number in inside)

    def _blocks(self, number: int) -> list[Block]:
        found = [step.block for step in self.steps if step.block is not None and step.block.owner == number]
        return [block for block in dict.fromkeys(found) if block != self.steps[number].alternative]

    # --- values ------------------------------------------------------------------------------------------------------
    def value(self, number: int) -> Any:
        """The value of a step that succeeds."""
        step = self.steps[number]
        if not self._own(number):
            assert step.alternative is not None
            return self._block_value(step.alternative)
        if step.group is None:
            return self._job_value(step, None)
        found = {place: self._job_value(step, place) for place in self.drawn.bare[step.name]}
        found |= {block.place: self._block_value(block) for block in self._blocks(number)}
        return [found[place] for place in range(len(found))]

    def _job_value(self, step: StepPlan, place: int | None) -> Any:
        if not self._job(step.name, place):
            return None
        fate = self.drawn.fates[step.name, place]
        if isinstance(fate, Drawn):
            inner = Evaluation(self.drawn, all_well=self.all_well, plan=fate.plan)
            return inner._together([(output.name, output.step) for output in fate.plan.outputs])
        return result_of(step.name, place, [self.value(take.step) for take in step.takes if take.name is None])

    def _block_value(self, block: Block) -> Any:
        if not self._block(block):
            return None
        inside = [n for n in range(block.first, block.last + 1) if self.steps[n].block == block and self.steps[n].into]
        return self._together([(self.steps[number].part, number) for number in inside])

    def _together(self, parts: list[tuple[str | None, int]]) -> Any:
        if not parts:
            return None
        if parts[0][0] is None:
            return self.value(parts[0][1])
        return {name: self.value(number) for name, number in parts}
