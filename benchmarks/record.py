"""What is kept of a measurement: its repeats here, their median in the JSON file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

import msgspec

Summary = Literal["median", "max", "min"]

WORKER_KILL = "worker-kill"
BROKER_KILL = "broker-kill"
POWER_CUT = "power-cut"
EVERYTHING = (WORKER_KILL, BROKER_KILL, POWER_CUT)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the JSON file.

    Attributes:
        subject: what was measured; ``penstock``, or a rival's name.
        unit: rates are ``jobs/s``.
        survives: what a job that was acknowledged in this row lives through.
        control: the control of the same run, in the unit that `Control` names. None: the row has none.
        repeats: how often it was measured; ``value`` and ``control`` are the medians.
    """

    suite: str
    row: str
    subject: str
    value: float
    unit: str
    survives: list[str]
    control: float | None
    repeats: int


@dataclass(slots=True)
class Control:
    """What the bare machine did in the same run, one value a repeat."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def value(self) -> float:
        """The median."""
        return median(self.values)


@dataclass(slots=True)
class Measurement:
    """A row with all its repeats.

    Attributes:
        summary: how the repeats become one value: worst cases are not averaged away.
        note: anything a reader of the figure must know.
        cap: a value that reaches it was not waited for any longer. 0: there is no such limit.
    """

    suite: str
    row: str
    subject: str
    unit: str
    values: list[float]
    control: Control | None = None
    survives: Sequence[str] = EVERYTHING
    summary: Summary = "median"
    note: str = ""
    cap: float = 0.0

    @property
    def value(self) -> float:
        """The figure."""
        if self.summary == "median":
            return median(self.values)
        return max(self.values) if self.summary == "max" else min(self.values)

    @property
    def control_value(self) -> float | None:
        """The control's figure."""
        return self.control.value if self.control is not None and self.control.values else None

    def as_row(self) -> Row:
        """What goes into the JSON file."""
        control = self.control_value
        return Row(
            suite=self.suite,
            row=self.row,
            subject=self.subject,
            value=_rounded(self.value),
            unit=self.unit,
            survives=list(self.survives),
            control=None if control is None else _rounded(control),
            repeats=len(self.values),
        )


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that at least ``percent`` of them do not exceed.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("There are no samples.")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def _rounded(value: float) -> float:
    """Four significant digits, and whole numbers above a thousand: more would claim what was not measured."""
    if value == 0 or not math.isfinite(value):
        return value
    digits = 3 - math.floor(math.log10(abs(value)))
    return round(value, max(digits, 0))
