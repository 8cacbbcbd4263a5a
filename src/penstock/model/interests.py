"""Who wants to hear of a job's end: a bit for each kind of interest, kept with the job and with its lease.

Most jobs interest nobody, and a settlement of many such jobs must not look at each of them. So the question "does
anybody want to hear of this end?" is answered by one number that a store has at hand anyway. Whoever ends jobs, by
whatever way, tells the listeners of the bits that are set, in the transaction in which the jobs end.
"""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

from penstock.model.states import Event, State


class Interest(IntFlag):
    """One bit for each kind of listener. The values are stored: a bit that was given out keeps its meaning."""

    UNIQUE = 1
    """It holds a unique key, which its end sets free."""
    SLOT = 2
    """It occupies one of a limited number of places, which its end sets free."""
    FAN_IN = 4
    """Another job waits for the end of several, and this is one of them."""
    WATCHER = 8
    """A client waits for its end. Kept in memory and never stored: a client asks again after a take-over."""
    NEXT_OF_KEY = 16
    """Jobs of its key run one after another, and its end lets the next one start."""
    PARENT = 32
    """A workflow that it is a step of goes on with its end."""
    SEARCHABLE = 64
    """It can be found by its arguments, until its record goes."""
    SHARED_BODY = 128
    """It is a copy of a message whose body is stored once for all copies, and goes with the last."""
    RECORDED = 256
    """It has a history, or events were signalled to it: these go with its record."""
    SCHEDULED_BY = 512
    """A schedule has started it, and its next slot may wait for its end."""


class Ending(NamedTuple):
    """What a listener is told of a job: the move that ended it, or that threw its record away.

    A job whose record is kept is told twice: when it ends, and when the record goes.

    Attributes:
        seq: the number of its row.
        queue: the number of its queue.
        task: the number of its task.
        event: what happened.
        source: the state it was in.
        target: the outcome that it has a record of now; None: it has none.
        interest: all bits that are set for it.
    """

    seq: int
    id: bytes
    queue: int
    task: int
    event: Event
    source: State
    target: State | None
    interest: int
