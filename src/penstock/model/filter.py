"""Which jobs a search, or an action by filter, means.

`penstock.model.job` hands this on: callers import it from there. What a filter matches: `penstock.model.searching`.
"""

from __future__ import annotations

from msgspec import Struct

from penstock.model.entry import Seconds
from penstock.model.states import State


class Filter(Struct, array_like=True, frozen=True):
    """Which jobs; every field that is given must match.

    Attributes:
        tag: one of a job's tags.
        key: a job that an idempotency key stands for, as long as the key counts; that holds a unique key of this text;
            or that is blocked for this key.
        error: the type of the error that a job shows: of a dead job, why it is dead; of one that waits or runs, of its
            last attempt, or why it was refused.
        since: accepted at this time or later, in Unix seconds by the store's clock.
        until: accepted before this time.
        arguments: texts of arguments by their names, of jobs whose tasks declare them as searchable.
    """

    state: State | None = None
    queue: str | None = None
    task: str | None = None
    tag: str | None = None
    key: str | None = None
    error: str | None = None
    since: Seconds | None = None
    until: Seconds | None = None
    arguments: dict[str, str] | None = None
