"""The owner's loop: the one process that opens the database serves it to everybody else.

There is one thread. Each turn of the loop (`Owner.step`) does the same in the same order:

1. Wait until a client says something, or something is due (`polling`). Read from all who have said something
   (`clients`).
2. Where many clients are busy, yield the processor to them, so that more requests come (`pace`).
3. Put all requests that wait into one transaction, with the chores if they are due, and answer them when it is durable
   (`group_commit`). Settlements alone may be held back for a millisecond (`pace`).
4. Do what is due by the clock: answer parked requests whose time is up (`parking`), close connections that say no hello
   (`accepting`), look whether the store's files are still there.

The loop runs no user code and waits for nobody but the disk.
"""

from __future__ import annotations

import math
import os
import selectors
import socket
import time
from collections.abc import Callable

from penstock.model import errors, limits
from penstock.ports import Clock
from penstock.store.deletion_watch import LostFiles
from penstock.store.wire.calls import OwnerStatistics
from penstock.store.wire.owner.clients import Clients
from penstock.store.wire.owner.engine import Engine
from penstock.store.wire.owner.group_commit import GroupCommit
from penstock.store.wire.owner.pace import HOLD_S, Pace
from penstock.store.wire.owner.parking import Parked
from penstock.store.wire.owner.polling import Polling, Waker
from penstock.store.wire.owner.turns import Turns

_CHORES_S = 1.0
"""The longest the owner goes without its chores; well below TICK_GAP_S, which tells a pause from a quiet time."""
_FORGET_S = 60.0
"""How often the recorded answers of clients that have gone are looked through."""
_GATHERS_MAX = 6
"""How often the owner yields to a crowd before a commit, as long as more of it come each time. Where the processor is
not short, yielding takes no time."""

assert _CHORES_S * 2 <= limits.TICK_GAP_S, "a quiet owner does not look like one that was stopped"


class Owner:
    """Serves an engine on a listening socket until it is told to stop.

    Attributes:
        loss: why it has stopped without being told to; None: it has not.

    Args:
        engine: owned from now on, and closed at the end.
        listener: non-blocking; closed at the end.
        clock: decides when parked requests and chores are due.
        idle_s: leave after this long without clients, and when asked to hand over; None: neither.
        descriptors: how many this process may have open.
        lost: says which of the store's files are gone; None: none are. Asked every LOST_FILES_S, and when a transaction
            has failed. When files are gone, the owner stops and answers nobody any more.
        chores: False in tests that call ``tick`` themselves.
        check_requests: False only in a torture variant that must fail: a repeated request is applied again.
    """

    def __init__(
        self,
        engine: Engine,
        listener: socket.socket,
        clock: Clock,
        *,
        idle_s: float | None = None,
        descriptors: int = limits.OWNER_CONNECTIONS_MAX + limits.OWNER_DESCRIPTORS,
        lost: Callable[[], LostFiles | None] = lambda: None,
        chores: bool = True,
        check_requests: bool = True,
    ) -> None:
        self.loss: LostFiles | None = None
        self._lost = lost
        self._engine = engine
        self._clock = clock
        self._idle_s = idle_s
        self._chores = chores
        self._groups = GroupCommit(
            engine, clock, statistics=self.statistics, handover=self._hand_over, check_requests=check_requests
        )
        self._parking = self._groups.parking
        self._turns = Turns()
        self._pace = Pace()
        self._selector = selectors.DefaultSelector()
        self._clients = Clients(
            engine,
            listener,
            self._selector,
            clock,
            self._groups.faults,
            descriptors,
            turns=self._turns,
            pace=self._pace,
            parking=self._parking,
        )
        self._waker = Waker(self._selector)
        self._polling = Polling(self._selector)
        self._stopping = False
        self._closed = False
        now = clock.monotonic()
        self._tick_at = self._retry_at = now
        self._forget_at = now + _FORGET_S
        self._look_at_files_at = now + limits.LOST_FILES_S
        self._lonely_since = now

    # --- the loop ----------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Serve until `stop`, or until a detached owner has been alone for its time. Then everything is closed."""
        try:
            while not self._stopping:
                self.step(self._free_s())
                if self._is_lonely():
                    break
        finally:
            self.close()

    def step(self, timeout_s: float = 0.0) -> None:
        """One turn of the loop: wait at most ``timeout_s`` for something to do, do it, answer it."""
        self._clients.attend(self._polling.wait(timeout_s))
        waiting = len(self._turns)
        if self._pace.wanted > waiting > 0:
            waiting = self._gather()
        chores = self._chores_due()
        if chores is not None or (waiting and not self._holds()):
            if not self._commit_group(chores):
                return
        elif not waiting and time.perf_counter() >= self._pace.catch_up_at:
            self._pace.catch_up_at = math.inf
            self._groups.catch_up()
        self._do_what_is_due(self._clock.monotonic())

    def _chores_due(self) -> Callable[[], None] | None:
        """What is to be done in the next group besides requests. None: nothing."""
        if not self._chores:
            return None
        now = self._clock.monotonic()
        if now >= self._tick_at:
            return self._do_chores
        return self._engine.open_due if now >= self._opens_at() else None

    def _opens_at(self) -> float:
        """When a rate lets jobs start that somebody waits for; infinity: nobody does."""
        return self._engine.opens_at if self._parking.leases else math.inf

    def _gather(self) -> int:
        """Yield to a crowd, so that more of its requests come before the commit. Answers how many clients have some."""
        waiting = len(self._turns)
        for _ in range(_GATHERS_MAX):
            before = waiting
            os.sched_yield()
            self._clients.attend(self._selector.select(0))
            waiting = len(self._turns)
            if waiting == before or waiting >= self._pace.wanted:
                break
        return waiting

    def _holds(self) -> bool:
        return self._pace.holds(time.perf_counter(), watched=bool(self._parking.watched))

    def _commit_group(self, chores: Callable[[], None] | None) -> bool:
        """Do what waits in one transaction and answer it. Answers False when the store's files turn out to be gone:
        then nobody is answered, because what failed has failed for that reason whatever the answers say."""
        groups, counters = self._groups, self._groups.counters
        requests, retried = counters.requests, counters.retried_groups
        answers = groups.run(self._turns, chores=chores)
        if counters.retried_groups > retried and self._are_files_lost():
            return False
        clients = self._clients.answer(answers)
        if self._chores and answers:
            # Whatever was done may have made something due before the next chores.
            self._tick_at = min(self._tick_at, self._clock.monotonic() + limits.TICK_S)
        self._engine.tidy()
        self._polling.answered(counters.groups)
        self._pace.committed(
            clients,
            counters.requests - requests,
            time.perf_counter(),
            left_over=bool(self._turns),
            deferred=bool(self._engine.deferred),
        )
        if about_file := groups.files.run():
            self._clients.answer(about_file)
        return True

    def _do_what_is_due(self, now: float) -> None:
        """Do what is due by the clock, other than chores."""
        due = self._parking.due(now)
        if due:
            self._expire(due)
        if now >= self._clients.accepting.due_at:
            self._clients.accepting.look(now)
        if now >= self._look_at_files_at:
            self._look_at_files_at = now + limits.LOST_FILES_S
            self._are_files_lost()
            self._groups.files.drop_copy_of_nobody()

    def _expire(self, due: list[Parked]) -> None:
        """Answer parked requests whose time is up."""
        for parked in due:
            parked.connection.send(self._groups.expire(parked))
            self._clients.flush(parked.connection)

    def _free_s(self) -> float:
        """How long nothing needs to be done unless a client says something."""
        if self._turns:
            return HOLD_S if self._holds() else 0.0
        now = self._clock.monotonic()
        due = min(now + _CHORES_S, self._clients.accepting.due_at, self._parking.next_deadline())
        if self._chores:
            due = min(due, self._tick_at, self._opens_at())
        return max(0.0, min(due - now, self._pace.catch_up_at - time.perf_counter()))

    # --- chores ------------------------------------------------------------------------------------------------------
    def _do_chores(self) -> None:
        """Called inside a group's transaction, or outside of any when a chore has failed lately."""
        now = self._clock.monotonic()
        self._tick_at = now + _CHORES_S
        ticked = self._engine.tick()
        self._groups.counters.ticks += 1
        if ticked.next_s is not None:
            self._tick_at = min(self._tick_at, now + ticked.next_s)
        if now >= self._retry_at:
            self._retry_at = now + _CHORES_S
            self._groups.retry_leases()
            self._clients.accepting.tell(now)
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_S
            self._engine.forget_answers(self._clock.time() - limits.ANSWERS_KEPT_S)

    # --- the end -----------------------------------------------------------------------------------------------------
    def wake(self) -> None:
        """End the current wait of `run`. For signal handlers and other threads."""
        self._waker.wake()

    def stop(self) -> None:
        """Leave after the current group. For signal handlers and other threads."""
        self._stopping = True
        self.wake()

    def close(self) -> None:
        """Say the last answers, close every connection and the engine. A second call does nothing.

        An engine whose database is gone is left as it is: closing it would unlink by name what is there now.
        """
        if self._closed:
            return
        self._closed = True
        self._clients.close()
        self._selector.close()
        self._waker.close()
        if self.loss is None or not self.loss.is_total:
            self._engine.close()

    def _is_lonely(self) -> bool:
        """Whether a detached owner has been without clients for its time."""
        if self._idle_s is None:
            return False
        now = self._clock.monotonic()
        if self._clients or self._engine.is_acting:
            self._lonely_since = now
        return now - self._lonely_since >= self._idle_s

    def _are_files_lost(self) -> bool:
        """Whether files of the store are gone; then the owner stops."""
        self.loss = self.loss or self._lost()
        self._stopping = self._stopping or self.loss is not None
        return self.loss is not None

    def _hand_over(self) -> None:
        """A client asks the owner to leave.

        Raises:
            Conflict: it is not a detached owner, and stays.
        """
        if self._idle_s is None:
            raise errors.Conflict(f"Process {os.getpid()} owns this store and stays; stop it first.")
        self.stop()

    def statistics(self) -> OwnerStatistics:
        """What this owner has done since it started."""
        clients, accepting = self._clients, self._clients.accepting
        return OwnerStatistics(
            pid=os.getpid(),
            epoch=self._engine.epoch,
            received_bytes=clients.received_bytes,
            sent_bytes=clients.sent_bytes,
            parked_leases=len(self._parking.leases),
            parked_waits=self._parking.waits,
            connections=len(clients),
            refused=clients.refused,
            places=accepting.places,
            turned_away=accepting.turned_away,
            silent=accepting.silent,
            schema_version=self._engine.schema_version,
            **vars(self._groups.counters),
        )
