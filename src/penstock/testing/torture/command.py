"""The options of ``penstock torture``, and what it prints."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from penstock.testing.torture.report import Verdict, show
from penstock.testing.torture.run import CONSUMERS, Order, Torture
from penstock.testing.torture.schedule import Strike, fence_plan, owner_plan, random_plan
from penstock.testing.torture.tree import LATE

VARIANTS: Final = MappingProxyType({
    "no-fences": "--unsafe-no-fences",
    "no-answers": "--unsafe-no-answers",
    LATE: LATE,
})  # fmt: skip
"""A rule to take out, and how the owner is told. Such a run must fail: what passes it proves nothing."""
PRODUCERS: Final[Mapping[str | None, tuple[str, ...]]] = MappingProxyType({
    None: ("one-by-one", "at-once", "late", "http", "lossy", "chords", "messages", CONSUMERS),
    "no-fences": ("long", "at-once"),
    "no-answers": ("lossy", "http"),
    LATE: ("chords", "one-by-one"),
})  # fmt: skip
"""The load: of everything; of what the rule that is out is needed for, in a variant."""
LEASE_S: Final = 2.0


def run(argv: Sequence[str]) -> int:
    """See `penstock.testing.torture.main`."""
    options = _parser().parse_args(argv)
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    console = Console(stderr=options.json, highlight=False)
    console.print(f"seed {seed}, {options.seconds:g} s{f', variant {options.variant}' if options.variant else ''}")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    place = Path(tempfile.mkdtemp(prefix="penstock-torture-"))
    try:
        verdict = _torture(options, seed, place, console)
    except KeyboardInterrupt:
        shutil.rmtree(place, ignore_errors=True)
        console.print("Interrupted; everything has been ended.")
        return 130
    if verdict.passed or not options.keep:
        shutil.rmtree(place, ignore_errors=True)
    else:
        verdict.kept = str(place)
    if options.json:
        print(json.dumps(verdict.members()))  # noqa: T201 - it was asked for
    else:
        show(console, verdict)
    return 0 if verdict.passed else 1


def _torture(options: argparse.Namespace, seed: int, place: Path, console: Console) -> Verdict:
    lease_s: float = options.lease_s
    plan: list[Strike] = []
    if options.variant is None:
        plan = random_plan(seed, options.seconds, lease_s)
    elif options.variant == "no-fences":
        plan = fence_plan(options.seconds, lease_s)
    elif options.variant == LATE:
        plan = owner_plan(options.seconds)
    unsafe = (VARIANTS[options.variant],) if options.variant else ()
    order = Order(place, seed, options.seconds, options.executors, lease_s, plan, unsafe, PRODUCERS[options.variant])
    columns = (TextColumn("{task.description:<48}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        line = progress.add_task("starting", total=None)

        def tell(what: str, share: float | None) -> None:
            progress.update(line, description=what, completed=share or 0.0, total=None if share is None else 1.0)

        with Torture(order, tell) as torture:
            verdict = torture.run()
            verdict.variant = options.variant or ""
            return verdict


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="penstock torture",
        description="Kill and stop a node's processes at random under load, then compare what became of every job.",
    )
    parser.add_argument("--seconds", type=_positive, default=60.0, metavar="S", help="how long to strike [60]")
    parser.add_argument("--seed", type=int, metavar="N", help="repeat the plan of this seed [a new one]")
    parser.add_argument("--executors", type=int, default=1, metavar="N", help="of each of two supervisors [1]")
    parser.add_argument("--lease-s", type=_positive, default=LEASE_S, metavar="S", help="of a lease [2]")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON and nothing else")
    parser.add_argument("--forget", dest="keep", action="store_false", help="keep nothing of a run that failed")
    parser.add_argument("--variant", choices=sorted(VARIANTS), help="take a rule out: the run must fail")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and a day")
    return value


def _interrupted(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
