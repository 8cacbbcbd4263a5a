"""What people see: progress while it runs, then a table a suite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from benchmarks.record import BROKER_KILL, POWER_CUT, WORKER_KILL, Measurement
from benchmarks.targets import TARGETS

_LEVELS = {WORKER_KILL: "worker", BROKER_KILL: "broker", POWER_CUT: "power"}


class Steps:
    """Progress: a bar on a terminal, a line a step elsewhere. A context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Steps:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def suite(self, name: str, steps: int) -> None:
        """A suite of so many steps begins."""
        self._bar.reset(self._task, description=name, total=steps)

    def step(self, text: str) -> None:
        """The next step begins."""
        if self._console.is_terminal:
            self._bar.update(self._task, advance=1, description=text)
        else:
            self._console.print(f"  {text}", highlight=False)


def show(console: Console, title: str, about: str, measurements: Sequence[Measurement]) -> None:
    """Print the table of a suite."""
    table = Table(title=title, caption=about, title_justify="left", caption_justify="left", title_style="bold")
    table.add_column("row")
    table.add_column("figure", justify="right")
    table.add_column("unit")
    table.add_column("range", justify="right", style="dim")
    table.add_column("target")
    table.add_column("")
    table.add_column("control of this run")
    table.add_column("an acknowledged job survives", style="dim")
    several = len({one.subject for one in measurements}) > 1
    for one in measurements:
        target = TARGETS.get((one.suite, one.row))
        table.add_row(
            f"{one.row} ({one.subject})" if several else one.row,
            Text(number(one.value), style="bold"),
            one.unit,
            f"{number(min(one.values))}–{number(max(one.values))}" if len(one.values) > 1 else "",
            target.text if target else "",
            verdict(one),
            _control(one),
            _survival(one.survives),
        )
    console.print(table)
    for one in measurements:
        if one.note:
            console.print(f"  {one.row}: {one.note}", style="dim", highlight=False)
    console.print()


def verdict(one: Measurement) -> Text:
    """Whether a figure is what it must be; empty where nothing is asked."""
    met = is_met(one)
    if met is None:
        return Text("")
    return Text("met", style="green") if met else Text("not met", style="bold red")


def is_met(one: Measurement) -> bool | None:
    """Whether a figure is what it must be. None: nothing is asked of it."""
    target = TARGETS.get((one.suite, one.row))
    if target is None or (target.compares and one.control_value is None):
        return None
    return target.met(one.value, one.control_value or 0.0)


def number(value: float) -> str:
    """A figure as people write it."""
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _control(one: Measurement) -> str:
    if one.control is None or one.control_value is None:
        return ""
    return f"{one.control.name}: {number(one.control_value)} {one.control.unit}"


def _survival(levels: Iterable[str]) -> str:
    return ", ".join(_LEVELS[level] for level in levels) or "nothing"
