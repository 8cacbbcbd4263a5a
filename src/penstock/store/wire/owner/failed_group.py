"""What becomes of a group that failed as a whole: its requests are done one at a time, so that only the culprits fail.

A settlement that fails by itself is done by halves, until the outcomes that cannot be committed are alone. Those are
answered as stale: their supervisor lets go of them, the job stays `running` until its lease ends, and is then handled
by the chore that takes leases back. Without that, one bad outcome would hold up all that travel with it, for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec.structs import replace

from penstock.model import errors
from penstock.model.health import StoreHealth
from penstock.model.job import Fate, Outcomes, Settled
from penstock.ports import Clock
from penstock.process.repeated_faults import Faults
from penstock.store.wire import protocol
from penstock.store.wire.owner.applying import Applying
from penstock.store.wire.owner.client_connection import Request
from penstock.store.wire.owner.engine import Engine
from penstock.store.wire.owner.group import Answers, Group
from penstock.store.wire.owner.waiting_calls import WaitingCalls

_logger = logging.getLogger("penstock.owner")

_ROOM_TRIES: Final = 6
"""How often room is made for one request."""
_FAILURES_MAX: Final = 64
"""Transactions that may fail while one settlement is done by halves. Beyond: its client is told, and asks again."""
_UNSETTLED_MAX: Final = 10_000
"""Fences remembered as ones whose outcomes cannot be committed."""

Step = Callable[[Group], object]
"""What is done in a transaction, into a group."""


class OwnerHealth:
    """What fails at the owner, beside the faults of its engine.

    Attributes:
        faults: all of it.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.faults = Faults(_logger)
        self._engine = engine
        self._clock = clock

    def note(self, name: str, error: Exception) -> None:
        """Something failed that is not its client's fault. A full disk is told by the engine."""
        if not isinstance(error, errors.StoreFull):
            ours = isinstance(error, errors.PenstockError)
            self.faults.note(name, error, self._clock.monotonic(), traceback=not ours)

    def passed(self, name: str) -> None:
        """Something that may have failed before has not failed this time."""
        self.faults.passed(name, self._clock.monotonic())

    def health(self) -> StoreHealth:
        """What is wrong with the engine, and with this owner."""
        health = self._engine.health()
        ours = self.faults.present(self._clock.monotonic())
        return replace(
            health,
            faults=sorted(health.faults + ours, key=lambda fault: fault.last_s),
            fault_counts=health.fault_counts | self.faults.counts,
        )


class OneByOne:
    """Does requests again, each in a transaction of its own."""

    def __init__(self, engine: Engine, applying: Applying, waiting: WaitingCalls, health: OwnerHealth) -> None:
        self._engine = engine
        self._applying = applying
        self._waiting = waiting
        self._health = health
        self._unsettled: dict[int, None] = {}

    def run(self, taken: list[Request]) -> Answers:
        """Do these requests again. Answers what to send."""
        answers: Answers = []
        for request in taken:
            try:
                group = self._with_room(request, partial(self._applying.apply, request))
            except Exception as error:  # noqa: BLE001 - this one's client is told
                if _is_of_an_outcome(request, error):
                    answers += self._settle_by_halves(request)
                else:
                    answers += self._failed(request, error)
            else:
                answers += group.answers
        return answers + self._serve()

    def chores_apart(self, chores: Callable[[], None]) -> Answers:
        """Do the chores outside of any transaction, and serve the requests that wait for what they did."""
        try:
            chores()
        except Exception as error:  # noqa: BLE001 - requests are answered all the same
            self._health.note("the owner's chores", error)
        return self._serve()

    def _serve(self) -> Answers:
        """Serve the parked requests in a transaction of its own."""
        try:
            return self._with_room(None, lambda _: None).answers
        except Exception as error:  # noqa: BLE001 - they are served with a later group
            self._health.note("serving who waits", error)
            return []

    def _failed(self, request: Request, error: Exception) -> Answers:
        """A request failed by itself too: its client is told."""
        self._health.note(f"{request.call.name} (by itself)", error)
        group = Group()
        group.fail(request.connection, request.number, _told(error))
        return group.answers

    def _with_room(self, request: Request | None, step: Step) -> Group:
        """Do a step in a transaction of its own. On a full disk room is made for it: it is no new job."""
        size_bytes = 0 if request is None else len(request.payload)
        for _ in range(_ROOM_TRIES):
            try:
                return self._alone(step)
            except errors.StoreFull as error:
                if error.refused or not self._engine.make_room(size_bytes, self._waiting.parking.awaited()):
                    raise
        return self._alone(step)

    def _alone(self, step: Step) -> Group:
        """Do a step in a transaction of its own."""
        group = Group()
        try:
            self._applying.begin(group)
            step(group)
            self._waiting.serve(group)
            self._applying.commit()
        except Exception:
            self._applying.undo(group)
            raise
        self._applying.publish(group)
        return group

    # --- settlements -------------------------------------------------------------------------------------------------
    def _settle_by_halves(self, request: Request) -> Answers:
        """Commit what can be committed of a settlement. Answers what to send."""
        answers: Answers = []
        told: list[tuple[int, Fate]] = []
        failures = 0
        parts = [without(request.call.request(request.payload).outcomes, self._unsettled, told)]
        try:
            while parts:
                part = parts.pop()
                settled: list[Settled] = []
                try:
                    group = self._with_room(request, partial(self._settle_part, part, settled))
                except Exception as error:
                    failures += 1
                    fits_none = isinstance(error, errors.StoreFull) and len(part.fences()) == 1
                    if not _is_of_an_outcome(request, error) or failures > _FAILURES_MAX or fits_none:
                        raise
                    self._split(part, parts, told, error)
                    continue
                # The last one counts: a try whose transaction failed was made again.
                told += settled[-1].exceptions
                answers += group.answers
            payload = protocol.encode(Settled(told))
            group = self._alone(lambda group: self._applying.say(request, payload, group))
        except Exception as error:  # noqa: BLE001 - its client is told
            return answers + self._failed(request, error)
        return answers + group.answers

    def _settle_part(self, part: Outcomes, settled: list[Settled], _: Group) -> None:
        settled.append(self._engine.settle(part))

    def _split(self, part: Outcomes, parts: list[Outcomes], told: list[tuple[int, Fate]], error: Exception) -> None:
        """A part of a settlement cannot be committed: it is done in halves, or given up when it is one outcome."""
        fences = part.fences()
        if len(fences) > 1:
            parts += part.halves()
            return
        self._health.note("settling a job", error)
        told += [(fence, Fate.STALE) for fence in fences]
        if len(self._unsettled) >= _UNSETTLED_MAX:
            del self._unsettled[next(iter(self._unsettled))]
        self._unsettled.update(dict.fromkeys(fences))


def without(outcomes: Outcomes, unsettled: dict[int, None], told: list[tuple[int, Fate]]) -> Outcomes:
    """The outcomes less those that are known not to be committed, which are told as stale."""
    gone = unsettled.keys() & set(outcomes.fences())
    if not gone:
        return outcomes
    told += [(fence, Fate.STALE) for fence in gone]
    return outcomes.only(set(outcomes.fences()) - gone)


def _is_of_an_outcome(request: Request, error: Exception) -> bool:
    """Whether a settlement may have failed because of one of its outcomes, and not of the disk or of what it asks."""
    if request.call is not protocol.SETTLE:
        return False
    if isinstance(error, errors.StoreFull):
        # All together they may be too much for the room there is.
        return True
    return not isinstance(error, errors.PenstockError) or getattr(error, "damaged", False)


def _told(error: Exception) -> errors.PenstockError:
    if isinstance(error, errors.PenstockError):
        return error
    return errors.StoreUnavailable(f"The store's owner failed on this request ({type(error).__name__}); see owner.log.")
