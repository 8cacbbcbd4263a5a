"""When to start, stop and kill the parts of a node, and when to give up. Only decisions: `now` is an argument.

The root tells a `Tree` what happened (`started`, `ready`, `exited`, `stop`) and asks with `step` what to do now and
with `wake_at` when to ask again.

Rules:
* Parts of a stage start and stop together. The first stage is the foundation: the others start when it is ready, stop
  before it, and cannot stop without it.
* A part that ends is started again: at once when it had settled, else after a delay that grows.
* A part that starts too often in a row without becoming ready stops the whole, and so does one that says on its very
  first start that it was asked for the impossible, or at any time that what it served is gone. Then all stop at once:
  there is nothing left to bring to an end.
* Stopping goes from the last stage to the first; a part that takes too long is killed.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from penstock.model import limits
from penstock.process.backoff import Backoff
from penstock.process.ending_in_words import ending

__all__ = ["FINAL_STATUSES", "Action", "Kill", "Phase", "Start", "Tree"]

FINAL_STATUSES: Final = frozenset({2, 3})
"""Exit statuses that another start would not change: wrong usage; the store, or the port, cannot be opened."""

_BACKOFF = Backoff(base_s=limits.RESTART_BASE_S, s_max=limits.RESTART_S_MAX)
_FOUNDATION_STOP_NOW_S: Final = 2.0


class Phase(Enum):
    """Where a part is. DOWN: not running, to be started at ``start_at``; ENDED: not running, and not to be."""

    DOWN = "down"
    STARTING = "starting"
    READY = "ready"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Start:
    """Start this part."""

    name: str


@dataclass(frozen=True, slots=True)
class Kill:
    """Send this signal to this part."""

    name: str
    signal: int


Action = Start | Kill


@dataclass(slots=True)
class Part:
    """One part.

    Attributes:
        stage: what it starts and stops together with.
        stop_s: how long it has to stop.
        start_at: when it may start; it matters while DOWN.
        kill_at: when it is killed unless it is ready (STARTING) or gone (asked to stop). None: never.
        asked: it has been asked to stop.
        hurried: it has been told to stop now.
        starts: starts in a row without becoming ready.
        failures: ends in a row without having settled.
        ready_at: since when it is ready.
        was_ready: it was ready once.
        failure: why it is about to end, in its own words.
        lost: what it served is gone.
    """

    name: str
    stage: str
    stop_s: float
    phase: Phase = Phase.DOWN
    pid: int = 0
    start_at: float = 0.0
    kill_at: float | None = None
    asked: bool = False
    hurried: bool = False
    starts: int = 0
    failures: int = 0
    ready_at: float = 0.0
    was_ready: bool = False
    failure: str = ""
    lost: bool = False

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self.phase in {Phase.STARTING, Phase.READY}


@dataclass(slots=True)
class Tree:
    """The parts of a node, in the order they start.

    Attributes:
        stopping: no part but the foundation is started any more.
        status: the exit status of the whole.
        reason: why the whole stops, when nobody asked for it.
    """

    parts: dict[str, Part]
    stopping: bool = False
    status: int = 0
    reason: str | None = None
    _hurried: bool = field(default=False)

    @classmethod
    def of(
        cls, names: Sequence[str], stop_s: Mapping[str, float] | None = None, stages: Mapping[str, str] | None = None
    ) -> Tree:
        """A tree of these parts, the foundation first.

        Args:
            names: of the parts, in the order they start.
            stop_s: those that get more or less time to stop.
            stages: of those that are not a stage by themselves; parts of a stage are side by side.
        """
        times, shared = stop_s or {}, stages or {}
        return cls({name: Part(name, shared.get(name, name), times.get(name, limits.STOP_S)) for name in names})

    @property
    def finished(self) -> bool:
        """The whole has stopped."""
        return self.stopping and all(part.phase is Phase.ENDED for part in self.parts.values())

    @property
    def founded(self) -> bool:
        """The foundation was ready once."""
        return all(part.was_ready for part in self._foundation())

    @property
    def all_ready(self) -> bool:
        """Every part is ready."""
        return all(part.phase is Phase.READY for part in self.parts.values())

    def started(self, name: str, pid: int, now: float) -> None:
        """The part has a process now."""
        part = self.parts[name]
        part.phase, part.pid, part.kill_at, part.asked = Phase.STARTING, pid, now + limits.START_S_MAX, False
        part.starts += 1
        part.failure, part.lost = "", False

    def ready(self, name: str, now: float) -> None:
        """The part says that it does its work."""
        part = self.parts[name]
        if part.phase is not Phase.STARTING:
            return
        part.phase, part.ready_at, part.was_ready, part.starts = Phase.READY, now, True, 0
        if not part.asked:
            part.kill_at = None

    def exited(self, name: str, status: int, now: float) -> None:
        """The part's process is gone. ``status``: what it left with; the negative signal when one killed it."""
        part = self.parts[name]
        settled = part.phase is Phase.READY and now - part.ready_at >= limits.SETTLED_S
        part.failures = 0 if settled else part.failures + 1
        part.phase, part.pid, part.kill_at = Phase.DOWN, 0, None
        if self.stopping:
            if part.asked or not self._is_needed(part):
                part.phase = Phase.ENDED
        elif part.lost:
            self._give_up(f"The {name} has lost what it served{_because(part)}.", status)
            self._hurried = True
        elif status in FINAL_STATUSES and not part.was_ready:
            self._give_up(f"The {name} cannot start{_because(part)}.", status)
        elif part.starts >= limits.STARTS_WITHOUT_READY_MAX:
            times = f"{part.starts} times in a row without becoming ready"
            self._give_up(f"The {name} was started {times}; the last ended with {ending(status)}{_because(part)}.", 1)
        # The first end of a part that was ready costs nobody a wait.
        failures = part.failures - 1 if part.starts == 0 else part.failures
        part.start_at = now + _BACKOFF.delay_s(failures)

    def failed(self, name: str, why: str, *, lost: bool = False) -> None:
        """The part says why it is about to end; ``lost``: and that what it served is gone."""
        self.parts[name].failure, self.parts[name].lost = why, lost

    def stop(self) -> None:
        """Somebody asks for the whole to stop; asked again, it stops now."""
        self._hurried = self._hurried or self.stopping
        self.stopping = True

    def step(self, now: float) -> list[Action]:
        """What to do now. Doing it and asking again at once gives nothing more to do."""
        return self._stop_step(now) if self.stopping else self._run_step(now)

    def wake_at(self) -> float | None:
        """When to ask again, if nothing happens before. None: never."""
        moments = [part.kill_at for part in self.parts.values() if part.kill_at is not None and part.running]
        moments += [part.start_at for part in self.parts.values() if self._may_start(part)]
        return min(moments, default=None)

    def _run_step(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for part in self.parts.values():
            if self._may_start(part) and now >= part.start_at:
                actions.append(Start(part.name))
            actions += self._overdue(part, now)
        return actions

    def _stop_step(self, now: float) -> list[Action]:
        if self._hurried:
            return self._hurry_step(now)
        actions: list[Action] = []
        for part in filter(self._is_needed, self._foundation()):
            if self._may_start(part) and now >= part.start_at:
                actions.append(Start(part.name))
            actions += self._overdue(part, now)
        ending_stage: str | None = None
        for part in reversed(self.parts.values()):
            if self._is_needed(part) or ending_stage not in {None, part.stage}:
                break
            if part.phase is Phase.DOWN:
                part.phase = Phase.ENDED
            if part.phase is Phase.ENDED:
                continue
            actions += self._overdue(part, now) if part.asked else self._ask(part, now + part.stop_s)
            ending_stage = part.stage
        return actions

    def _hurry_step(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for part in self.parts.values():
            if part.phase is Phase.DOWN:
                part.phase = Phase.ENDED
            elif part.running and not part.hurried:
                part.hurried = True
                if self._is_foundation(part):
                    actions += self._ask(part, now + _FOUNDATION_STOP_NOW_S)
                else:
                    part.kill_at = None
                    actions.append(Kill(part.name, signal.SIGKILL))
            else:
                actions += self._overdue(part, now)
        return actions

    def _ask(self, part: Part, kill_at: float) -> list[Action]:
        part.asked, part.kill_at = True, kill_at
        return [Kill(part.name, signal.SIGTERM)]

    def _overdue(self, part: Part, now: float) -> list[Action]:
        if not part.running or part.kill_at is None or now < part.kill_at:
            return []
        part.kill_at = None
        return [Kill(part.name, signal.SIGKILL)]

    def _may_start(self, part: Part) -> bool:
        if part.phase is not Phase.DOWN:
            return False
        if self._is_foundation(part):
            return not self.stopping or self._is_needed(part)
        return not self.stopping and self.founded

    def _foundation(self) -> list[Part]:
        return [part for part in self.parts.values() if self._is_foundation(part)]

    def _is_foundation(self, part: Part) -> bool:
        return part.stage == next(iter(self.parts.values())).stage

    def _is_needed(self, part: Part) -> bool:
        return self._is_foundation(part) and self._needed()

    def _needed(self) -> bool:
        """Whether a part that needs the foundation in order to stop well still runs."""
        return not self._hurried and any(part.running for part in self.parts.values() if not self._is_foundation(part))

    def _give_up(self, reason: str, status: int) -> None:
        self.stopping, self.reason, self.status = True, reason, status


def _because(part: Part) -> str:
    return f": {part.failure.rstrip('.')}" if part.failure else ""
