"""What must hold of durable steps: what was recorded once is not done again, and stays what it is. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from penstock.model.states import State
from penstock.testing.torture.evidence import Evidence
from penstock.testing.torture.steps import NAMES


def _step_done_again(evidence: Evidence) -> Iterator[str]:
    """A step was done under a later lease than one under which it was known to be recorded; or twice under one lease.

    A lease that is over records nothing, so whoever has a later one begins with the record. Whoever has an earlier one
    and does not know that it is over may well do the step, and cannot record it.
    """
    for job, begun in evidence.begun.items():
        known: dict[str, int] = {}
        for kept in evidence.kept.get(job, ()):
            known[kept.name] = min(kept.fence, known.get(kept.name, kept.fence))
        seen: set[tuple[str, int]] = set()
        for call in begun:
            is_known = call.name in known and call.fence > known[call.name]
            if is_known or (call.name, call.fence) in seen:
                yield f"{job}: {call.name} under fence {call.fence}"
            seen.add((call.name, call.fence))


def _step_changed(evidence: Evidence) -> Iterator[str]:
    """Two runs of a job were given different outcomes of one step, or one that no call of it has made."""
    for job, kept in evidence.kept.items():
        made = {(call.name, call.value) for call in evidence.begun.get(job, ())}
        values = _values(evidence, job)
        for name, found in values.items():
            if len(found) > 1:
                yield f"{job}: {name} came to {', '.join(sorted(found))}"
        if any((one.name, one.value) not in made for one in kept):
            yield f"{job}: {', '.join(sorted({one.name for one in kept if (one.name, one.value) not in made}))}"


def _steps_returned_otherwise(evidence: Evidence) -> Iterator[str]:
    """A job with steps has returned something else than what these came to."""
    for row in evidence.rows.values():
        if row.task not in evidence.stepped or State.SUCCEEDED not in row.states:
            continue
        values = _values(evidence, row.id)
        if [{value} for value in row.values] != [values.get(name, set()) for name in NAMES]:
            yield f"{row.id}: {' '.join(row.values)}"


STEP_CHECKS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    _step_done_again,
    _step_changed,
    _steps_returned_otherwise,
)


def _values(evidence: Evidence, job: str) -> dict[str, set[str]]:
    """What runs of a job were given, by step."""
    values: dict[str, set[str]] = defaultdict(set)
    for kept in evidence.kept.get(job, ()):
        values[kept.name].add(kept.value)
    return values
