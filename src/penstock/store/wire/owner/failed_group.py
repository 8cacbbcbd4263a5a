"""What becomes of a group that failed as a whole: its requests are done one at a time, so that only the culprits fail.

A settlement that fails by itself because of one of its outcomes (a damaged row) is tried by halves, until the outcomes
that cannot be committed are known. Those are answered as stale: their supervisor lets go of them, the job stays
`running` until its lease ends, and is then handled by the chore that takes leases back. All others are committed in one
transaction: a settlement happens whole or not at all. Without that, one bad outcome would hold up all that travel with
it, for ever. A settlement for which there is no room on the disk is refused whole; its client divides it.
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
"""Tries that may fail while the culprits of one settlement are looked for. Beyond: its client asks again."""
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
                    answers += self._settle_without_culprits(request)
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
        """Do a step in a transaction of its own. On a full disk room is made for it: it is no new job. Once more, where
        it has failed because of something that is set aside now (``passes_again``)."""
        size_bytes = 0 if request is None else len(request.payload)
        for _ in range(_ROOM_TRIES):
            try:
                return self._alone(step)
            except errors.StoreFull as error:
                if error.refused or not self._engine.make_room(size_bytes, self._waiting.parking.awaited()):
                    raise
            except Exception as error:
                if not getattr(error, "passes_again", False):
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
        self._waiting.publish(group)
        return group

    # --- settlements -------------------------------------------------------------------------------------------------
    def _settle_without_culprits(self, request: Request) -> Answers:
        """Commit a settlement in one transaction, less the outcomes that cannot be committed. Answers what to send."""
        told: list[tuple[int, Fate]] = []
        try:
            outcomes = without(request.call.request(request.payload).outcomes, self._unsettled, told)
            if not told:
                # It has failed just now, as it is.
                outcomes = self._without_culprits(request, outcomes, told)
            try:
                group = self._with_room(request, partial(self._settle, request, outcomes, told))
            except Exception as error:
                if not _is_of_an_outcome(request, error):
                    raise
                outcomes = self._without_culprits(request, outcomes, told)
                group = self._with_room(request, partial(self._settle, request, outcomes, told))
        except Exception as error:  # noqa: BLE001 - its client is told
            return self._failed(request, error)
        return group.answers

    def _settle(self, request: Request, outcomes: Outcomes, told: list[tuple[int, Fate]], group: Group) -> None:
        settled = self._engine.settle(outcomes)
        self._applying.say(request, protocol.encode(Settled([*told, *settled.exceptions])), group)

    def _without_culprits(self, request: Request, outcomes: Outcomes, told: list[tuple[int, Fate]]) -> Outcomes:
        """The outcomes less those that cannot be committed by themselves, which are told as stale and remembered.

        They are found by halves, and every try is undone. When that takes too many tries, what was found is remembered
        and the client asks again.
        """
        culprits: set[int] = set()
        parts, tries = [outcomes], 0
        while parts:
            part = parts.pop()
            error = self._failure_of(part)
            if error is None:
                continue
            tries += 1
            fences = part.fences()
            if not _is_of_an_outcome(request, error) or tries > _FAILURES_MAX:
                raise error
            if len(fences) > 1:
                parts += part.halves()
                continue
            self._health.note("settling a job", error)
            culprits.update(fences)
            self._remember(fences)
        told += [(fence, Fate.STALE) for fence in sorted(culprits)]
        return outcomes.only(set(outcomes.fences()) - culprits)

    def _failure_of(self, part: Outcomes) -> Exception | None:
        """What a part of a settlement raises by itself. It is undone in any case."""
        group = Group()
        try:
            self._applying.begin(group)
            self._engine.settle(part)
        except Exception as error:  # noqa: BLE001 - it is looked at by who asks
            return error
        finally:
            self._applying.undo(group)
        return None

    def _remember(self, fences: list[int]) -> None:
        """Note fences as ones whose outcomes cannot be committed."""
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
    return not isinstance(error, errors.PenstockError) or getattr(error, "damaged", False)


def _told(error: Exception) -> errors.PenstockError:
    if isinstance(error, errors.PenstockError):
        return error
    return errors.StoreUnavailable(f"The store's owner failed on this request ({type(error).__name__}); see owner.log.")
