"""Answers for people (tables, by rich, imported when needed) and for programs (JSON)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_json", "print_pairs", "print_table", "span", "when"]

_PLAIN_WIDTH = 400
_COLUMN_WIDTH = 9


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    import click

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """A table. ``numbers``: the columns that are aligned to the right. The first column is never cut."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    cells = [list(row) for row in rows]
    for index, column in enumerate(columns):
        longest = max((len(row[index]) for row in cells), default=0)
        table.add_column(
            column,
            justify="right" if column in numbers else "left",
            overflow="fold",
            no_wrap=index == 0 or column in numbers,
            min_width=min(max(longest, len(column)), _COLUMN_WIDTH),
        )
    for row in cells:
        table.add_row(*map(Text, row))
    _console().print(table)


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one a line."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in pairs:
        table.add_row(Text(name, style="dim"), Text(value))
    _console().print(table)


def _console() -> Console:
    """Into a file or a pipe a table is as wide as it is: no terminal has to hold it."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)


def when(seconds: float | None) -> str:
    """A Unix time as local date and time; empty for None."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float | None) -> str:
    """A duration, short; empty for None."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
