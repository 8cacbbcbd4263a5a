"""Who is ahead in which row: rivals that beat Penstock come first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.document import Document, Figure, by_row
from benchmarks.record import BROKER_KILL, POWER_CUT, WORKER_KILL
from benchmarks.report import number
from benchmarks.rows import ROWS, SUITE

OWN = "penstock"
SURVIVAL = {WORKER_KILL: "worker", BROKER_KILL: "broker", POWER_CUT: "power"}


@dataclass(frozen=True, slots=True)
class Standing:
    """A row: its figures, the best first; those rivals that beat Penstock; and why others are missing.

    Attributes:
        own: Penstock's. None: it was not measured.
        absent: by subject, the reason.
    """

    row: str
    unit: str
    better: str
    figures: list[Figure]
    own: Figure | None
    ahead: list[Figure]
    absent: dict[str, str]


def standings(document: Document) -> list[Standing]:
    """Every row that was measured: those first in which a rival is ahead."""
    found = []
    measured = by_row(document.figures, SUITE)
    for row, (unit, better) in ROWS.items():
        figures = sorted(measured.get(row, []), key=lambda one: one.value, reverse=better == "more")
        absent = {absence.subject: absence.reason for absence in document.absences if absence.row == row}
        if not figures and not absent:
            continue
        own = next((one for one in figures if one.subject == OWN), None)
        ahead = [one for one in figures if own is not None and is_ahead(one, own, better)]
        found.append(Standing(row, unit, better, figures, own, ahead, absent))
    return sorted(found, key=lambda standing: not standing.ahead)


def is_ahead(rival: Figure, own: Figure, better: str) -> bool:
    """Whether a figure is better than Penstock's."""
    if rival.subject == own.subject:
        return False
    return rival.value > own.value if better == "more" else rival.value < own.value


def value(one: Figure) -> str:
    """A figure as people write it; one that was not waited for any longer says so."""
    if one.cap and one.value >= one.cap:
        return f"> {number(one.cap)}"
    return counted(one) or number(one.value)


def span(one: Figure) -> str:
    """The range of its repeats. Empty: there was one, or they are counts."""
    if len(one.values) < 2 or counted(one):
        return ""
    low, high = min(one.values), max(one.values)
    if one.cap and low >= one.cap:
        return "never sooner"
    return f"{number(low)}–{f'> {number(one.cap)}' if one.cap and high >= one.cap else number(high)}"


def counted(one: Figure) -> str:
    """A number of jobs is written without decimals. Empty: it is not one."""
    return f"{one.value:.0f}" if one.unit == "jobs" else ""


def survival(levels: Iterable[str]) -> str:
    """What an acknowledged job lives through, in a few words."""
    return ", ".join(SURVIVAL[level] for level in levels) or "nothing"


def show(console: Console, document: Document) -> None:
    """Print a table a row of the work."""
    for standing in standings(document):
        table = Table(title=f"{standing.row}, {standing.unit}", title_justify="left", title_style="bold")
        table.add_column("subject")
        table.add_column("figure", justify="right")
        table.add_column("range", justify="right", style="dim")
        table.add_column("an acknowledged job survives")
        table.add_column("", style="dim", overflow="fold")
        for one in standing.figures:
            style = "bold" if one.subject == OWN else "yellow" if one in standing.ahead else ""
            words = (one.subject, value(one), span(one), survival(one.survives), one.note)
            table.add_row(*(Text(word, style=style) for word in words))
        for subject, reason in standing.absent.items():
            table.add_row(Text(subject, style="dim"), "", "", "", Text(reason))
        console.print(table)
        console.print(headline(standing), style="bold")
        console.print()


def headline(standing: Standing) -> str:
    """Where Penstock is in a row, its rivals' wins first."""
    rivals = [one for one in standing.figures if one.subject != OWN]
    if standing.own is None:
        return "Penstock has no figure here."
    if not rivals:
        return f"Penstock: {value(standing.own)} {standing.unit}; no rival has a figure."
    own = f"Penstock: {value(standing.own)}"
    if standing.ahead:
        equals = [one for one in standing.ahead if set(one.survives) >= set(standing.own.survives)]
        whose = _listed(equals, standing.own) or "none"
        ahead = _listed(standing.ahead, standing.own)
        return f"Ahead of Penstock: {ahead}. {own}. Of these, jobs survive as much in: {whose}."
    return f"{own}; the best rival, {rivals[0].subject}: {value(rivals[0])}."


def overlap(one: Figure, other: Figure) -> bool:
    """Whether the ranges of two figures have something in common; those of single values have not."""
    if len(one.values) < 2 or len(other.values) < 2:
        return False
    return min(one.values) <= max(other.values) and min(other.values) <= max(one.values)


def _listed(figures: Sequence[Figure], own: Figure) -> str:
    return ", ".join(
        f"{one.subject} ({value(one)}{', ranges overlap' if overlap(one, own) else ''})" for one in figures
    )
