"""What the demo prints at the end: the index in figures, and the ledger."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import analysis
from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_ROWS = 5
_BURIED_ROWS = 10
_BAND = 4
_CROWD = 40
_TOKENS_MIN = 500
_PLACE = re.compile(r" \(<unknown>, line \d+\)$")


@dataclass(slots=True)
class Figures:
    """What the documents on the disk say.

    Attributes:
        documents: job id -> path, as written in each document.
        clones: digest of a function's structure -> where it occurs.
    """

    documents: dict[str, str] = field(default_factory=dict)
    seconds: list[tuple[float, str]] = field(default_factory=list)
    complexities: list[tuple[int, str, str, int]] = field(default_factory=list)
    clones: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    fingerprints: dict[str, list[int]] = field(default_factory=dict)
    source_bytes: int = 0
    index_bytes: int = 0
    lines: int = 0
    definitions: int = 0
    tokens: int = 0

    def percentile_s(self, share: float) -> float:
        """The job time that ``share`` of the jobs did not exceed."""
        ordered = sorted(seconds for seconds, _ in self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def read_documents(out: Path) -> Figures:
    """Read the whole index back from the disk. Drafts that a killed process left are removed."""
    figures = Figures()
    for draft in out.rglob(".*.draft"):
        draft.unlink()
    for path in sorted(out.rglob("*.json.gz")):
        data = path.read_bytes()
        document = json.loads(gzip.decompress(data))
        name = document["path"]
        figures.documents[document["job"]] = name
        figures.seconds.append((document["seconds"], name))
        figures.source_bytes += document["size_bytes"]
        figures.index_bytes += len(data)
        figures.lines += document["lines"]["total"]
        figures.definitions += len(document["definitions"])
        figures.tokens += document["tokens"]["total"]
        if document["tokens"]["total"] >= _TOKENS_MIN:
            figures.fingerprints[name] = document["fingerprint"]
        for row in document["functions"][:_ROWS]:
            figures.complexities.append((row["complexity"], row["name"], name, row["line"]))
        for function, digest in document["clones"].items():
            figures.clones[digest].append((function, name))
    return figures


def most_alike(fingerprints: dict[str, list[int]]) -> list[tuple[float, str, str]]:
    """Pairs of files that share most of their text. Only files that agree in a whole band are compared."""
    bands: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, fingerprint in fingerprints.items():
        for at in range(0, len(fingerprint) - _BAND + 1, _BAND):
            bands[(at, *fingerprint[at : at + _BAND])].append(name)
    pairs = {pair for names in bands.values() if len(names) <= _CROWD for pair in combinations(names, 2)}
    rated = ((analysis.likeness(fingerprints[a], fingerprints[b]), a, b) for a, b in pairs)
    return sorted((row for row in rated if row[0] < 1), reverse=True)


def show(console: Console, figures: Figures, elapsed_s: float, again: int, buried: dict[str, dict[str, Any]]) -> None:
    """Print the tables. ``again``: jobs that were running in the executor that was killed."""
    console.print(Panel(_summary(figures, elapsed_s, again), title="The standard library, indexed", expand=False))
    for table in (_slowest(figures), _complex(figures), _copied(figures), _alike(figures)):
        console.print(table)
    if buried:
        console.print(_buried(buried))


def _summary(figures: Figures, elapsed_s: float, again: int) -> Table:
    count = len(figures.documents)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    megabytes = figures.source_bytes / 1e6
    table.add_row("indexed", f"{count:,} files, {figures.lines:,} lines, {figures.definitions:,} definitions, "
                             f"{figures.tokens:,} tokens")  # fmt: skip
    table.add_row("throughput", f"{count / elapsed_s:,.0f} files/s, {megabytes / elapsed_s:.2f} MB/s of source, "
                                f"{elapsed_s:.1f} s in all")  # fmt: skip
    times = [f"{name} {figures.percentile_s(share) * 1000:,.0f} ms" for name, share in (("p50", 0.5), ("p99", 0.99))]
    table.add_row("job time", ", ".join([*times, f"slowest {figures.percentile_s(1) * 1000:,.0f} ms"]))
    table.add_row("index", f"{figures.index_bytes / 1e6:.1f} MB compressed ({megabytes:.1f} MB of source)")
    table.add_row("run again", f"{again} whose executor was killed")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, expand=True)
    for column in columns:
        number = column.startswith("#")
        table.add_column(
            column.lstrip("#"), justify="right" if number else "left", no_wrap=True, overflow="ellipsis",
            ratio=None if number else 2 if column == "reason" else 1,
        )  # fmt: skip
    return table


def _slowest(figures: Figures) -> Table:
    table = _table("Slowest files", "#ms", "file")
    for seconds, name in sorted(figures.seconds, reverse=True)[:_ROWS]:
        table.add_row(f"{seconds * 1000:,.0f}", name)
    return table


def _complex(figures: Figures) -> Table:
    table = _table("Most complex functions", "#paths", "function", "where")
    for complexity, function, name, line in sorted(figures.complexities, reverse=True)[:_ROWS]:
        table.add_row(str(complexity), function, f"{name}:{line}")
    return table


def _copied(figures: Figures) -> Table:
    table = _table("Most copied functions", "#copies", "function", "first seen in")
    groups = sorted(figures.clones.values(), key=lambda places: (-len(places), places[0]))
    for places in groups[:_ROWS]:
        function, name = places[0]
        table.add_row(str(len(places)), function.split(":")[0], name)
    return table


def _alike(figures: Figures) -> Table:
    table = _table("Most alike files", "#alike", "one", "other")
    for share, one, other in most_alike(figures.fingerprints)[:_ROWS]:
        table.add_row(f"{share:.0%}", one, other)
    return table


def _buried(buried: dict[str, dict[str, Any]]) -> Table:
    table = _table(f"Dead: {len(buried)} files that cannot be parsed", "file", "reason")
    for name, error in sorted(buried.items())[:_BURIED_ROWS]:
        table.add_row(name, Text(f"{error['type']}: {_PLACE.sub('', error['message'].splitlines()[0])}"))
    if len(buried) > _BURIED_ROWS:
        table.add_row(f"… and {len(buried) - _BURIED_ROWS} more", "")
    return table


def ledger_line(counts: dict[str, int]) -> tuple[str, int]:
    """Where every accepted job is, in a line, and how many are nowhere (which must be none)."""
    places = {name: counts[name] for name in ("scheduled", "blocked", "ready", "running")}
    places = {"succeeded": counts["succeeded_total"], "dead": counts["dead_total"], **places}
    lost = counts["accepted_total"] - sum(places.values())
    shown = [f"{count:,} {name}" for name, count in places.items() if count or name in {"succeeded", "dead"}]
    return f"accepted {counts['accepted_total']:,} = {' + '.join(shown)}, lost {lost:,}", lost


def evidence(console: Console, found: dict[str, tuple[int, int]]) -> bool:
    """Print each check of the ledger: what it compares, and the two figures. Answers whether all agree."""
    table = Table.grid(padding=(0, 2))
    for claim, (one, other) in found.items():
        mark = Text("ok", style="green") if one == other else Text("WRONG", style="bold red")
        table.add_row(mark, claim, f"{one:,}", "=" if one == other else "≠", f"{other:,}")
    console.print(table)
    return all(one == other for one, other in found.values())
