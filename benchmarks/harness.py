"""What every suite works with: sizes, a fresh workspace a repeat, progress, and the measurements so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import control
from benchmarks.record import Control, Measurement
from benchmarks.report import Steps
from benchmarks.scale import Scale
from benchmarks.workspace import Workspace

SYNC_RATE = "append + fdatasync"


class Bench:
    """One run of the suites.

    Attributes:
        measurements: in the order they were begun.
        failures: what could not be measured, and why, where that does not end the run.
        recovery_s_max: how long a job that was interrupted is waited for.
    """

    def __init__(self, scale: Scale, directory: Path, steps: Steps, recovery_s_max: float | None = None) -> None:
        self.scale = scale
        self.steps = steps
        self.measurements: list[Measurement] = []
        self.failures: list[str] = []
        self.recovery_s_max = scale.compared_recovery_s if recovery_s_max is None else recovery_s_max
        self._directory = directory

    @contextmanager
    def workspace(self, what: str) -> Iterator[Workspace]:
        """An empty place for one repeat of something."""
        self.steps.step(what)
        with Workspace(self._directory) as workspace:
            yield workspace

    def repeats(self) -> range:
        """The repeats of a row."""
        return range(self.scale.repeats)

    def add(self, measurement: Measurement) -> Measurement:
        """Keep a measurement; its values may follow."""
        self.measurements.append(measurement)
        return measurement

    def sync_rate(self, workspace: Workspace) -> float:
        """Control: plain appends a second, each synced."""
        return control.back_to_back(workspace.path, self.scale.control_s).rate


def sync_control() -> Control:
    """A control to collect `Bench.sync_rate` in."""
    return Control(SYNC_RATE, "syncs/s")


Suite = Callable[[Bench], None]
