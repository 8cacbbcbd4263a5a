"""``python -m penstock.testing.worlds``: search a small world, and say what was seen."""

from __future__ import annotations

import argparse
import sys
import time
from typing import get_args

from penstock.model.flow import OnConflict, Order
from penstock.testing.worlds.actions import Action, Size
from penstock.testing.worlds.broken import BROKEN, BROKEN_DELIVERIES, BROKEN_SUSPENSIONS
from penstock.testing.worlds.kinds import world_of
from penstock.testing.worlds.search import Searched, search
from penstock.testing.worlds.watched import WatchedStore


def told(searched: Searched[Action]) -> str:
    """The figures, and the shortest way to a breach if there is one."""
    extent = "all of them" if searched.is_whole else "not all of them"
    lines = [f"{searched.states:,} states ({extent}), {searched.transitions:,} transitions, {searched.depth} deep"]
    if searched.finding is None:
        return "\n".join([*lines, "no breach"])
    lines.append(f"breach: {searched.finding.what}")
    lines += [f"{number:>3}. {action}" for number, action in enumerate(searched.finding.trace, 1)]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Search, and print. Answers the code to leave with: 1 when there is a breach."""
    default, stores = Size(), {**BROKEN, **BROKEN_SUSPENSIONS, **BROKEN_DELIVERIES}
    parser = argparse.ArgumentParser("python -m penstock.testing.worlds", description="Search a small world.")
    parser.add_argument("--jobs", type=int, default=default.jobs)
    parser.add_argument("--workers", type=int, default=default.workers)
    parser.add_argument("--limit", type=int, default=default.limit, help="jobs of the tenant that may run at a time")
    parser.add_argument("--order", choices=get_args(Order), default=default.order, help="of the tenant's jobs")
    parser.add_argument("--conflict", choices=[*get_args(OnConflict), "none"], default=default.on_conflict)
    parser.add_argument("--attempts", type=int, default=default.attempts_max, help="after which a job is dead")
    parser.add_argument("--starts", action="store_true", help="workers say that jobs have started (many more states)")
    parser.add_argument("--operators", action="store_true", help="jobs are cancelled and retried by hand as well")
    parser.add_argument("--pauses", action="store_true", help="the line is paused and resumed as well")
    parser.add_argument(
        "--signals", type=int, help="jobs have steps and are suspended, each is signalled so many events"
    )
    parser.add_argument("--delivers", action="store_true", help="the workers are connections of a door")
    parser.add_argument("--states-max", type=int, help="stop when so many states are known")
    parser.add_argument("--without", choices=stores, help="take one rule out of the store")
    asked = parser.parse_args(arguments)
    size = Size(
        jobs=asked.jobs,
        workers=asked.workers,
        limit=asked.limit,
        order=asked.order,
        on_conflict=None if asked.conflict == "none" else asked.conflict,
        attempts_max=asked.attempts,
        starts=asked.starts,
        operators=asked.operators,
        pauses=asked.pauses,
        signals=1 if asked.signals is None and asked.without in BROKEN_SUSPENSIONS else asked.signals,
        delivers=asked.delivers or asked.without in BROKEN_DELIVERIES,
    )
    store = WatchedStore if asked.without is None else stores[asked.without]
    began = time.process_time()
    searched = search(lambda: world_of(size, store), states_max=asked.states_max)
    print(told(searched))  # noqa: T201 - printing is what this command is for
    print(f"{time.process_time() - began:.1f} s of processor time")  # noqa: T201 - as above
    return 0 if searched.finding is None else 1


if __name__ == "__main__":
    sys.exit(main())
