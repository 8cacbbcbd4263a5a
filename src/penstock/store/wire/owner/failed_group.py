"""What becomes of a group that failed as a whole: its requests are done one at a time, so that only the culprits fail.

A settlement that fails by itself is done by halves, until the outcomes that cannot be committed are alone. Those are
answered as stale: their supervisor lets go of them, the job stays `running` until its lease ends, and is then handled
by the chore that takes leases back. Without that, one bad outcome would hold up all that travel with it, for ever.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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
from penstock.store.wire.owner.client_connection import Connection, Request
from penstock.store.wire.owner.engine import Engine
from penstock.store.wire.owner.tray import Tray

_ROOM_TRIES: Final = 6
"""How often room is made for one request."""
_FAILURES_MAX: Final = 64
"""Transactions that may fail while one settlement is done by halves. Beyond: its client is told, and asks again."""
_ASIDE_MAX: Final = 10_000
"""Fences remembered as ones whose outcomes cannot be committed."""

Answers = list[tuple[Connection, bytes]]


class OneByOne(ABC):
    """One request a transaction.

    Attributes:
        faults: what fails at this owner, beside the engine's own.
    """

    def __init__(self, engine: Engine, faults: Faults, clock: Clock) -> None:
        self.engine = engine
        self.faults = faults
        self._clock = clock
        self._unsettled: dict[int, None] = {}

    def note(self, name: str, error: Exception) -> None:
        """Something failed that is not its client's fault. A full disk is told by the engine."""
        if not isinstance(error, errors.StoreFull):
            ours = isinstance(error, errors.PenstockError)
            self.faults.note(name, error, self._clock.monotonic(), traceback=not ours)

    def health(self) -> StoreHealth:
        """What is wrong with the engine, and with this owner."""
        health = self.engine.health()
        ours = self.faults.present(self._clock.monotonic())
        return replace(
            health,
            faults=sorted(health.faults + ours, key=lambda fault: fault.last_s),
            fault_counts=health.fault_counts | self.faults.counts,
        )

    def one_by_one(self, taken: list[Request]) -> Answers:
        """Do these requests again. Answers what to send."""
        answers: Answers = []
        for request in taken:
            try:
                tray = self._with_room(request, partial(self._apply, request))
            except Exception as error:  # noqa: BLE001 - this one's client is told
                if _is_of_an_outcome(request, error):
                    answers += self._settle_by_halves(request)
                    continue
                self.note(f"{request.call.name} (by itself)", error)
                tray = Tray()
                tray.fail(request, _told(error))
            answers += tray.answers
        return answers + self._serve_alone()

    def chores_apart(self, chores: Callable[[], None]) -> Answers:
        """Do the chores outside of any transaction, and serve who waits for what they did."""
        try:
            chores()
        except Exception as error:  # noqa: BLE001 - requests are answered all the same
            self.note("the owner's chores", error)
        return self._serve_alone()

    def _serve_alone(self) -> Answers:
        try:
            tray = self._with_room(None, lambda _: None)
        except Exception as error:  # noqa: BLE001 - who waits is served with a later group
            self.note("serving who waits", error)
            return []
        return tray.answers

    def _with_room(self, request: Request | None, step: Callable[[Tray], object]) -> Tray:
        """Do a step in a transaction of its own. On a full disk room is made for it: it is no new job."""
        size_bytes = 0 if request is None else len(request.payload)
        for _ in range(_ROOM_TRIES):
            tray = Tray()
            try:
                self._alone(tray, partial(step, tray))
            except errors.StoreFull as error:
                if error.refused or not self.engine.make_room(size_bytes, self.awaited()):
                    raise
            else:
                return tray
        tray = Tray()
        self._alone(tray, partial(step, tray))
        return tray

    def _alone(self, tray: Tray, step: Callable[[], object]) -> None:
        """One step in a transaction of its own."""
        try:
            self._begin(tray)
            step()
            self._serve(tray)
            self._commit()
        except Exception:
            self._undo(tray)
            raise
        self._publish(tray)

    # --- settlements -------------------------------------------------------------------------------------------------
    def _settle_by_halves(self, request: Request) -> Answers:
        """Commit what can be committed of a settlement. Answers what to send."""
        answers: Answers = []
        told: list[tuple[int, Fate]] = []
        failures = 0
        parts = [without(request.call.request(request.payload), self._unsettled, told)]
        try:
            while parts:
                part = parts.pop()
                exceptions: list[tuple[int, Fate]] = []
                try:
                    tray = self._with_room(request, partial(self._settle_part, part, exceptions))
                except Exception as error:
                    failures += 1
                    fits_none = isinstance(error, errors.StoreFull) and len(part.fences()) == 1
                    if not _is_of_an_outcome(request, error) or failures > _FAILURES_MAX or fits_none:
                        raise
                    self._split(part, parts, told, error)
                    continue
                told += exceptions
                answers += tray.answers
            tray = Tray()
            self._alone(tray, partial(self._say, request, protocol.encode(Settled(told)), tray))
        except Exception as error:  # noqa: BLE001 - its client is told
            self.note(f"{request.call.name} (by itself)", error)
            tray = Tray()
            tray.fail(request, _told(error))
        return answers + tray.answers

    def _settle_part(self, part: Outcomes, exceptions: list[tuple[int, Fate]], _: Tray) -> None:
        # Anew at each try.
        exceptions[:] = self.engine.settle(part).exceptions

    def _split(self, part: Outcomes, parts: list[Outcomes], told: list[tuple[int, Fate]], error: Exception) -> None:
        fences = part.fences()
        if len(fences) > 1:
            parts += part.halves()
            return
        self.note("settling a job", error)
        told += [(fence, Fate.STALE) for fence in fences]
        if len(self._unsettled) >= _ASIDE_MAX:
            del self._unsettled[next(iter(self._unsettled))]
        self._unsettled.update(dict.fromkeys(fences))

    @abstractmethod
    def awaited(self) -> set[bytes]:
        """Every job that somebody waits for."""

    # --- what a group is made of -------------------------------------------------------------------------------------
    @abstractmethod
    def _begin(self, tray: Tray) -> None: ...

    @abstractmethod
    def _apply(self, request: Request, tray: Tray) -> bool: ...

    @abstractmethod
    def _say(self, request: Request, payload: bytes, tray: Tray) -> None: ...

    @abstractmethod
    def _serve(self, tray: Tray) -> None: ...

    @abstractmethod
    def _commit(self) -> None: ...

    @abstractmethod
    def _undo(self, tray: Tray) -> None: ...

    @abstractmethod
    def _publish(self, tray: Tray) -> Answers: ...


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
