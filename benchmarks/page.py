"""The page about the comparison, made of the record of a run: `python -m benchmarks.page RECORD [--page FILE]`.

The plot is written beside the page, under the same name.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import msgspec

from benchmarks import document
from benchmarks.causes import CAUSES, COMPARED
from benchmarks.document import Document, Facts, Figure
from benchmarks.plot import plot
from benchmarks.ranking import OWN, Standing, headline, span, standings, survival, value
from benchmarks.report import number
from benchmarks.rows import SUITE
from benchmarks.workspace import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"


def main() -> int:
    """Write the page and the plot. Exit status 1: there is no record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description="Make the page of a run.")
    parser.add_argument("record", type=Path, help="what python -m benchmarks --rivals --record FILE wrote")
    parser.add_argument("--page", type=Path, default=PAGE, help="default docs/benchmarks.md")
    options = parser.parse_args()
    try:
        publish(options.record, options.page)
    except (OSError, msgspec.DecodeError) as wrong:
        print(f"{options.record} is no record of a run: {wrong}", file=sys.stderr)
        return 1
    return 0


def publish(path: Path, where: Path) -> None:
    """Write the page of a record, and the plot beside it.

    Raises:
        OSError, msgspec.DecodeError: there is no record.
    """
    record = document.read(path)
    picture = where.with_suffix(".svg")
    document.write(picture, plot(record).encode())
    document.write(where, page(record, picture.name).encode())
    print(f"{where} and {picture}")


def page(record: Document, picture: str) -> str:
    """The page in Markdown."""
    parts = [
        _head(record, picture),
        _standings(record),
        _targets(record),
        _subjects(record),
        _failures(record),
        _caveats(record),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(record: Document, picture: str) -> str:
    machine = record.machine
    lines = [
        "# Side by side",
        "<!-- Generated: python -m benchmarks.page RECORD. Edit benchmarks/page.py, not this file. -->",
        *(["**This was a quick run: everything once and small. These figures compare with nothing.**"] * record.quick),
        f"![No-op jobs worked off a second, by subject, and what each acknowledges]({picture})",
        (
            "Penstock and other job systems at the same work on the same machine in the same run: the same bodies and"
            " payload, the same number of processes that run them, results off unless a row says otherwise. Bodies are"
            " counted as they run, not acknowledgments. Rows in which a rival is ahead come first. Every row names what"
            " an acknowledged job lives through: SIGKILL of the **worker** that runs it, SIGKILL of the **broker** that"
            " keeps it, a cut of the **power**."
        ),
        (
            f"Measured {record.began_at} UTC in {record.duration_s / 60:.0f} minutes; {machine.cores} cores of"
            f" {machine.processor}, {machine.memory_gb:.0f} GB, {machine.system}, Python {machine.python}; a plain"
            f" append and `fdatasync` goes {machine.syncs_a_second:,.0f} times a second there. Figures are medians of"
            f" {record.repeats} repeats, with their range; the kills are one series."
        ),
        (
            "```\n"
            "make bench RIVALS=1         # all of it, and this page; needs redis-server and PostgreSQL\n"
            "python -m benchmarks side_by_side --rival rq --quick     # one rival, in a minute: does it work?\n"
            f"{record.command}     # this run\n"
            "```"
        ),
    ]
    return "\n\n".join(lines)


# --- the rows ---------------------------------------------------------------------------------------------------------
def _standings(record: Document) -> str:
    found = standings(record)
    ahead = [standing for standing in found if standing.ahead]
    others = [standing for standing in found if not standing.ahead]
    parts = []
    if ahead:
        wins = "\n".join(f"- **{standing.row}**: {headline(standing)}" for standing in ahead)
        parts += ["## Where a rival is ahead", wins, *map(_table, ahead)]
    if others:
        parts += ["## Where none is", *map(_table, others)]
    return "\n\n".join(parts)


def _table(standing: Standing) -> str:
    direction = "more is better" if standing.better == "more" else "less is better"
    rows = [(_name(one, standing), value(one), span(one), survival(one.survives), one.note) for one in standing.figures]
    rows += [(subject, "–", "", "", reason) for subject, reason in standing.absent.items()]
    table = _markdown((standing.unit, "figure", "range", "an acknowledged job survives", ""), rows, "lrrll")
    return f"### {standing.row} ({standing.unit}; {direction})\n\n{headline(standing)}\n\n{table}"


def _name(one: Figure, standing: Standing) -> str:
    if one.subject == OWN:
        return "**Penstock**"
    return f"**{one.subject}**" if one in standing.ahead else one.subject


# --- targets ----------------------------------------------------------------------------------------------------------
def _targets(record: Document) -> str:
    asked = [one for one in record.figures if one.met is not None]
    if not asked:
        return ""
    rows = [
        (
            f"{one.suite}: {one.row}",
            number(one.value),
            one.unit,
            one.target,
            "met" if one.met else "**not met**",
            f"{one.control_name}: {number(one.control)}" if one.control is not None else "",
            _beside(record, one),
        )
        for one in sorted(asked, key=lambda one: bool(one.met))
    ]
    table = _markdown(
        ("Penstock's row", "figure", "unit", "target", "", "control of this run", "the best rival's nearest row"),
        rows,
        "lrlllll",
    )
    missed = [one for one in asked if not one.met]
    causes = "\n".join(f"- *{one.suite}: {one.row}*: {cause(one)}" for one in missed)
    text = (
        f"## Penstock's own targets\n\n{len(asked) - len(missed)} of {len(asked)} are met. These rows are Penstock's"
        " suites of the same run, each beside a control of its own; the nearest row of the best rival stands beside"
        " it where there is one.\n\n"
    )
    suites = dict.fromkeys(one.suite for one in asked)
    about = "\n".join(f"- *{suite}*: {import_module(f'benchmarks.{suite}').ABOUT}." for suite in suites)
    why = f"\n\nWhat is not met, and why:\n\n{causes}" if causes else ""
    return f"{text}{table}{why}\n\nWhat the suites measure:\n\n{about}"


def cause(one: Figure) -> str:
    """Why a target is missed."""
    known = CAUSES.get((one.suite, one.row)) or CAUSES.get((one.suite, ""))
    return known or "not yet explained."


def _beside(record: Document, one: Figure) -> str:
    """The best rival's figure in the row that compares best with this one."""
    compared = COMPARED.get((one.suite, one.row))
    if compared is None:
        return ""
    standing = next((standing for standing in standings(record) if standing.row == compared), None)
    rivals = [figure for figure in standing.figures if figure.subject != OWN] if standing else []
    if standing is None or not rivals:
        return ""
    best = rivals[0]
    text = f"{best.subject}, {compared}: {value(best)} {best.unit} (survives: {survival(best.survives)})"
    equals = [figure for figure in rivals if set(figure.survives) >= set(one.survives)]
    if best in equals or not equals:
        return text
    return f"{text}; of those whose jobs survive as much, {equals[0].subject}: {value(equals[0])}"


# --- who, how, and what went wrong ------------------------------------------------------------------------------------
def _subjects(record: Document) -> str:
    measured = [one for one in record.subjects if one.skipped is None]
    skipped = [one for one in record.subjects if one.skipped is not None]
    rows = [
        (
            f"{one.name} {one.version}",
            one.server,
            one.configuration,
            one.acknowledged,
            survival(one.survives),
            _packages(one),
        )
        for one in measured
    ]
    heads = ("subject", "keeps jobs in", "configuration", "an acknowledgment means", "and survives", "pinned")
    text = f"## Who took part, and how\n\n{_markdown(heads, rows, 'llllll')}"
    if skipped:
        text += "\n\nSkipped: " + "; ".join(f"{one.name} ({one.skipped})" for one in skipped) + "."
    return text


def _packages(one: Facts) -> str:
    return ", ".join(f"{package} {version}" for package, version in one.packages.items())


def _failures(record: Document) -> str:
    if not record.failures:
        return ""
    lines = "\n".join(f"- {text.splitlines()[0]}" for text in record.failures)
    return f"## What went wrong\n\nSuites and single repeats that yielded nothing; the rest stands.\n\n{lines}"


def _caveats(record: Document) -> str:
    caps = {one.cap for one in record.figures if one.suite == SUITE and one.cap}
    bound = f"{max(caps):.0f} s" if caps else "a time-out"
    return f"""## Read with care

- Everything shares {record.machine.cores} cores: the producer, what keeps the jobs, and what runs them. More cores
  would help those most who have most processes.
- Servers run as shipped. Redis answers before anything is on disk; a system on it that answers sooner than a synced
  disk could is not faster at the same thing, and the column of what survives says so.
- Each rival is given as many jobs as keep it busy for some seconds, so that a slow one ends; rates are over the
  bodies from the first to the last. A row in which fewer ran than were asked for says how many.
- *Jobs not back* counts those that had not run to their end {bound} after the last kill. Where a rival's default is
  to wait longer before it takes a job up again, they may come later; its note says when. `--recovery-s` waits longer.
- A worker that is gone for good is started again at once, as a process manager would, for everybody alike.
- Processor time counts the producer, what keeps the jobs, and what runs them, with the children that they started;
  memory is PSS of all but the producer.
- *Idle latency* is from before the call that puts the job in to the first line of its body, one job every 20 ms on
  average into idle workers; for a rival that polls it is a matter of its interval.
- *Chord* and *chain*: from before the call that starts one to its last body, no-op bodies, results kept, into workers
  that are warm. *Functions of durable steps* wait already and are worked off; each step is a no-op whose outcome is on
  disk before the next begins. Only those are measured there whose composed work is compared: Celery's canvas, and the
  steps of DBOS and dura.
- Configurations are the best documented ones that keep to two processes; whoever knows a better one: each is one entry
  in `benchmarks/rivals`."""


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], alignment: str) -> str:
    marks = {"l": "---", "r": "---:"}
    lines = [_line(heads), _line([marks[letter] for letter in alignment])]
    return "\n".join([*lines, *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cells)) + " |"


def _escaped(cells: Sequence[str]) -> Iterator[str]:
    return (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)


if __name__ == "__main__":
    sys.exit(main())
