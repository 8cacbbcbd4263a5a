"""The states of a job and the one table of moves between them.

Two rules: every move a store makes is in `MOVES`, and the table does not know which store makes it. A move that is
not in the table raises `IllegalTransition` and changes nothing. Stores make their moves through
`penstock.model.ledger`, which asks this table. ``docs/states.md`` is generated from this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.model.errors import IllegalTransition


class State(StrEnum):
    """Where a job is. The value is the word on the wire."""

    SCHEDULED = "scheduled"
    BLOCKED = "blocked"
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


WAITING = frozenset({State.SCHEDULED, State.BLOCKED, State.READY})
"""States of a job that nobody runs and that has no outcome yet."""

TERMINAL = frozenset({State.SUCCEEDED, State.DEAD, State.CANCELLED, State.EXPIRED})
"""States of a job that has its outcome."""

MEANING: dict[State, str] = {
    State.SCHEDULED: "Waits for a time: a delay, a retry, a snooze or a sleep; or, suspended, for an event. The "
    "owner's tick moves it on when it is due, a signal when the event comes.",
    State.BLOCKED: "May not start whatever the time, for a named reason (a limit, a pause, a parent). Whoever lifts "
    "the reason moves it on, in the same transaction.",
    State.READY: "May start now. The next lease takes it, in order of priority, then arrival.",
    State.RUNNING: "Leased, with a fence. Its supervisor settles it; the tick takes it back when the lease ends.",
    State.SUCCEEDED: "Its outcome is committed. Kept for keep_record_s, then trimmed.",
    State.DEAD: "Gave up, with an error. Kept 30 days for an operator, then trimmed and counted as discarded.",
    State.CANCELLED: "Somebody asked for it not to finish. Kept for keep_record_s, then trimmed.",
    State.EXPIRED: "Was not started before its expires_s. Kept for keep_record_s, then trimmed.",
}


class Event(StrEnum):
    """What happens to a job."""

    ENQUEUE = "enqueue"
    PROMOTE = "promote"
    BLOCK = "block"
    UNBLOCK = "unblock"
    LEASE = "lease"
    SUCCEED = "succeed"
    RETRY = "retry"
    SNOOZE = "snooze"
    SUSPEND = "suspend"
    SIGNAL = "signal"
    RELEASE = "release"
    REFUSE = "refuse"
    GIVE_UP = "give_up"
    LOSE = "lose"
    BURY = "bury"
    CORRUPT = "corrupt"
    CANCEL = "cancel"
    EXPIRE = "expire"
    RESCHEDULE = "reschedule"
    MOVE = "move"
    REVIVE = "revive"
    REPEAT = "repeat"
    REPLAY = "replay"
    DELETE = "delete"
    TRIM = "trim"


@dataclass(frozen=True, slots=True)
class Move:
    """One row of the table.

    Attributes:
        sources: states the job may be in; ``None`` is a job that does not exist yet.
        targets: states it may go to; ``None`` is a record that is gone.
        actor: who may make the move.
        meaning: what has happened.
    """

    sources: frozenset[State | None]
    targets: frozenset[State | None]
    actor: str
    meaning: str


def _move(sources: set[State | None], targets: set[State | None], actor: str, meaning: str) -> Move:
    return Move(frozenset(sources), frozenset(targets), actor, meaning)


_S = State

MOVES: dict[Event, Move] = {
    Event.ENQUEUE: _move({None}, {_S.READY, _S.SCHEDULED, _S.BLOCKED}, "producer", "Accepted."),
    Event.PROMOTE: _move({_S.SCHEDULED}, {_S.READY}, "owner's tick", "Its time has come."),
    Event.BLOCK: _move(
        {_S.READY},
        {_S.BLOCKED},
        "store",
        "Its key has no slot for it, or its line is paused and its slots are for others.",
    ),
    Event.UNBLOCK: _move({_S.BLOCKED}, {_S.READY, _S.SCHEDULED}, "whoever lifts the reason", "The reason is gone."),
    Event.LEASE: _move({_S.READY}, {_S.RUNNING}, "supervisor", "Taken, with a new fence."),
    Event.SUCCEED: _move({_S.RUNNING}, {_S.SUCCEEDED, None}, "lease holder", "Returned; gone at once if not kept."),
    Event.RETRY: _move(
        {_S.RUNNING},
        {_S.SCHEDULED, _S.READY},
        "lease holder; of what a door delivered also owner's tick",
        "Raised, or was delivered and not answered; runs again. An attempt.",
    ),
    Event.SNOOZE: _move({_S.RUNNING}, {_S.SCHEDULED, _S.READY}, "lease holder", "Asked for later. Not an attempt."),
    Event.SUSPEND: _move(
        {_S.RUNNING},
        {_S.SCHEDULED, _S.READY},
        "lease holder",
        "Sleeps, or waits for an event, in the middle of its function; ready if that has come already. No attempt.",
    ),
    Event.SIGNAL: _move({_S.SCHEDULED}, {_S.READY}, "whoever signals", "The event that it waits for has come."),
    Event.RELEASE: _move({_S.RUNNING}, {_S.READY}, "lease holder", "Given back. Not an attempt, not a loss."),
    Event.REFUSE: _move(
        {_S.RUNNING},
        {_S.READY},
        "lease holder",
        "Cannot be run there: its task is unknown, or its arguments do not fit. Not an attempt, not a loss.",
    ),
    Event.GIVE_UP: _move(
        {_S.READY},
        {_S.DEAD},
        "store",
        "Every live worker that asks for it has refused it, for its arguments, for an hour.",
    ),
    Event.LOSE: _move(
        {_S.RUNNING},
        {_S.READY, _S.DEAD},
        "lease holder or owner's tick",
        "Its executor died or its lease ended; runs again. Not an attempt. Dead when it was alone in too many executors"
        " that died, or was lost very often otherwise.",
    ),
    Event.BURY: _move({_S.RUNNING}, {_S.DEAD}, "lease holder", "Raised for the last time."),
    Event.CORRUPT: _move({_S.READY}, {_S.DEAD}, "store", "Its body does not match its checksum at lease."),
    Event.CANCEL: _move(
        {_S.SCHEDULED, _S.BLOCKED, _S.READY, _S.RUNNING},
        {_S.CANCELLED, None},
        "operator; for a running job the lease holder or owner's tick",
        "Will not finish. A running job is asked first.",
    ),
    Event.EXPIRE: _move(
        {_S.SCHEDULED, _S.BLOCKED, _S.READY}, {_S.EXPIRED, None}, "owner's tick", "Not started in time."
    ),
    Event.RESCHEDULE: _move(
        {_S.SCHEDULED, _S.READY}, {_S.SCHEDULED, _S.READY}, "operator", "Given another time to start."
    ),
    Event.MOVE: _move(set(WAITING), set(WAITING), "operator", "Put into another queue; its state stays what it is."),
    Event.REVIVE: _move(
        {_S.DEAD, _S.CANCELLED, _S.EXPIRED}, {_S.READY}, "operator", "Runs again from attempt one, counted apart."
    ),
    Event.REPEAT: _move(
        {*TERMINAL}, {_S.READY}, "workflow", "Runs again with its workflow, from attempt one. Counts as revived."
    ),
    Event.REPLAY: _move(
        {_S.SUCCEEDED},
        {_S.READY},
        "operator",
        "A message whose record is kept is delivered once more, from attempt one. Counts as revived.",
    ),
    Event.DELETE: _move(
        {_S.SCHEDULED, _S.BLOCKED, _S.READY, *TERMINAL}, {None}, "operator", "Thrown away; a waiting one is discarded."
    ),
    Event.TRIM: _move(set(TERMINAL), {None}, "owner's tick", "Its record's time is up, or there are too many."),
}


def check(event: Event, source: State | None, target: State | None) -> None:
    """Pass when the table has this move.

    Raises:
        IllegalTransition: it does not; nothing has changed.
    """
    move = MOVES[event]
    if source not in move.sources or target not in move.targets:
        names = [state.value if state else "nothing" for state in (source, target)]
        raise IllegalTransition(f"{event.value} cannot take a job from {names[0]} to {names[1]}.")


def why_not_now(state: State, reason: str | None) -> str | None:
    """Why an operator cannot let a job start now that would start later, in words; None: it can be done, or the job is
    ready already.

    Args:
        reason: of a blocked job, what holds it back.
    """
    if state is State.BLOCKED:
        why = f" ({reason})" if reason else ""
        return f"The job is blocked{why} and does not wait for a time; it starts when that is over."
    if state not in WAITING:
        return f"The job is {state.value}; only one that waits can be started now."
    return None
