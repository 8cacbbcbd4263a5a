"""Answers for people (tables, by rich, imported when needed) and for programs (JSON).

Answers go to where standard output led when the command began. Before an application is imported, `keep_for_answers`
points descriptor 1 at standard error, so that what the application prints does not get between the answers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import msgspec

from penstock.process.terminal_text import visible, visible_json

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "flush",
    "keep_for_answers",
    "lead_nowhere",
    "print_error",
    "print_json",
    "print_pairs",
    "print_table",
    "print_text",
    "size",
    "span",
    "when",
]

_PLAIN_WIDTH = 400
_COLUMN_WIDTH = 9
_kept: TextIO | None = None
"""Standard output as it was before `keep_for_answers`. None: that was not called."""


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    print_text(visible_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


def print_text(text: str) -> None:
    """Print lines as they are. Parts that come from elsewhere must have been through `visible`."""
    import click

    click.echo(text, file=_kept)


def print_error(text: str) -> None:
    """Print one line to standard error. Whatever a terminal would act upon is spelled out."""
    import click

    click.echo(visible(text), err=True)


def keep_for_answers() -> None:
    """Keep standard output for answers, and send what others print to standard error. Call it before an application is
    imported. A second call does nothing."""
    global _kept  # noqa: PLW0603 - there is one standard output
    if _kept is None:
        sys.stdout.flush()
        _kept = open(os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)  # noqa: SIM115 - to the end
        os.dup2(2, 1)


def flush() -> None:
    """Write out what is buffered."""
    sys.stdout.flush()
    if _kept is not None:
        _kept.flush()


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
        table.add_row(*(Text(visible(cell)) for cell in row))
    _console().print(table)


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one a line."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in pairs:
        table.add_row(Text(name, style="dim"), Text(visible(value)))
    _console().print(table)


def lead_nowhere() -> None:
    """Point standard output at the null device: its reader is gone, and the interpreter's last flush must not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, _kept):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _console() -> Console:
    """The console (of rich) for the answers. In a file or a pipe a table may be as wide as it needs to be."""
    from rich.console import Console

    class Plain(Console):
        """The console of rich ends the process with status 1 when the reader is gone. Here that is no failure."""

        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError

    stream = _kept or sys.stdout
    return Plain(file=stream, highlight=False, width=None if stream.isatty() else _PLAIN_WIDTH)


def when(seconds: float | None) -> str:
    """A Unix time as local date and time; empty for None."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(size_bytes: int) -> str:
    """A number of bytes, short."""
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1_000:,.0f} kB"
    return f"{size_bytes / 1_000_000:,.1f} MB" if size_bytes < 1_000_000_000 else f"{size_bytes / 1e9:,.2f} GB"


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
