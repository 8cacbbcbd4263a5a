"""What a torture run tells: the strikes, the ledger, and what did not hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock.testing.torture.audit import CHECKS, Finding, Ledger

SUBJECTS_SHOWN: Final = 20


@dataclass(slots=True)
class Verdict:
    """How a run ended.

    Attributes:
        seed: repeats the same plan.
        struck: strikes by (kind, how).
        findings: what did not hold; none: the run has passed.
        kept: where everything is that the run left, when it failed. None: it is gone.
    """

    seed: int
    seconds: float
    variant: str
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)
    ledger: Ledger = field(default_factory=Ledger)
    findings: list[Finding] = field(default_factory=list)
    kept: str | None = None

    @property
    def passed(self) -> bool:
        """Every check held."""
        return not self.findings

    def members(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "variant": self.variant,
            "passed": self.passed,
            "strikes": {f"{how} {kind}": count for (kind, how), count in sorted(self.struck.items())},
            "ledger": asdict(self.ledger),
            "findings": [asdict(finding) for finding in self.findings],
            "kept": self.kept,
        }


def show(console: Console, verdict: Verdict) -> None:
    """Print it for people."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("strikes", _strikes(verdict.struck))
    for name, count in asdict(verdict.ledger).items():
        wrong = count and name in {"lost", "unexpected", "duplicated"}
        table.add_row(name, Text(f"{count:,}", style="bold red" if wrong else ""))
    console.print(table)
    for finding in verdict.findings:
        console.print(Text(f"FAILED  {finding.check}: {finding.meaning}", style="bold red"))
        for subject in finding.subjects[:SUBJECTS_SHOWN]:
            console.print(Text(f"        {subject}"))
        if len(finding.subjects) > SUBJECTS_SHOWN:
            console.print(f"        and {len(finding.subjects) - SUBJECTS_SHOWN} more")
    if verdict.passed:
        console.print(Text(f"All {len(CHECKS)} checks hold (seed {verdict.seed}).", style="bold green"))
    else:
        console.print(f"Seed {verdict.seed}; everything it left is in {verdict.kept}.", soft_wrap=True)


def _strikes(struck: Counter[tuple[str, str]]) -> str:
    kinds = sorted({kind for kind, _ in struck})
    told = [f"{kind} {struck[kind, 'kill']}+{struck[kind, 'stop']}" for kind in kinds]
    return f"{struck.total()} (killed + stopped: {', '.join(told)})" if told else "none"
