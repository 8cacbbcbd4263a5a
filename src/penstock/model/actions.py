"""Bulk actions: what an operator wants done to all jobs that match, in steps that hold up nobody. Pure.

A store keeps an action as a row and does it as a chore, one bounded step at a time. So it needs nobody to wait for it,
and goes on where it was after a take-over. It counts what matches first, then acts; a dry run only counts. It touches
only jobs that were accepted before it was started.

An action goes through the states that its verb acts on, one stage for each, so that a stage is a search that an index
serves. Within a stage it goes by the store's own cursors.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final, Generic, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import asdict, replace

from penstock.model import limits
from penstock.model.acceptance import check_queue, check_task
from penstock.model.entry import Seconds
from penstock.model.errors import InvalidOption
from penstock.model.ids import ID_BYTES
from penstock.model.job import Filter, QueueStats, Step
from penstock.model.states import State
from penstock.model.topics import MESSAGE_TASK, check_any_queue, check_queue_or_channel, is_of_topic, may_move


class Verb(StrEnum):
    """What is done to each job."""

    RETRY = "retry"
    CANCEL = "cancel"
    DELETE = "delete"
    MOVE = "move"
    EMPTY = "empty"
    """Delete what waits, of a queue or a task."""
    REPLAY = "replay"
    """Deliver messages of a channel once more that have succeeded and of which a record is kept."""


class ActionState(StrEnum):
    """Where an action is. The last three are ends."""

    COUNTING = "counting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


UNDER_WAY: Final = frozenset({ActionState.COUNTING, ActionState.RUNNING})
"""States of an action that has steps before it."""

_S = State
_WAITING: Final = (_S.SCHEDULED, _S.BLOCKED, _S.READY)
_ENDED_OTHERWISE: Final = (_S.DEAD, _S.CANCELLED, _S.EXPIRED)
ACTS_ON: Final[dict[Verb, tuple[State, ...]]] = {
    Verb.RETRY: _ENDED_OTHERWISE,
    Verb.CANCEL: (_S.RUNNING, *_WAITING),
    Verb.DELETE: (*_WAITING, _S.SUCCEEDED, *_ENDED_OTHERWISE),
    Verb.MOVE: _WAITING,
    Verb.EMPTY: _WAITING,
    Verb.REPLAY: (_S.SUCCEEDED,),
}
"""The states that a verb acts on. A job that waits goes from an earlier of these states to a later one by itself."""


_REPLAY_TAKES: Final = {"queue", "since", "until", "state"}
"""Fields of the filter of a replay."""


class ActionRequest(Struct, array_like=True, frozen=True):
    """What is asked for.

    Attributes:
        id: UUIDv7, 16 bytes, made by who asks; the same id again answers the action that there is.
        where: which jobs; at least one field is given. Without a state: those that the verb acts on.
        to: of a move, the queue that the jobs go to.
        dry_run: only count.
        per_s: at most so many jobs a second; None: as fast as others are not held up.
        note: why, in the operator's words.
    """

    id: bytes
    verb: Verb
    where: Filter
    to: str | None = None
    dry_run: bool = False
    per_s: Seconds | None = None
    note: str | None = None


class Action(Struct, array_like=True, frozen=True):
    """An action as it is now.

    Attributes:
        by: who asked for it.
        matched: how many jobs have been counted; all that match once ``state`` is no longer ``counting``.
        changed: how many have been acted on so far.
        error: of one that failed, why; what it had changed stays changed.
        stage: which of its `stages` it is in.
        cursor: where it is in that; None: at its beginning.
        entry: the number of its entry in the audit log; None: it has none.
        oldest_at: of a replay, when the oldest message was published of which it found a record; None: it found none.
    """

    id: bytes
    verb: Verb
    where: Filter
    to: str | None
    dry_run: bool
    per_s: float | None
    note: str | None
    by: str
    created_at: float
    state: ActionState = ActionState.COUNTING
    matched: int = 0
    changed: int = 0
    finished_at: float | None = None
    error: str | None = None
    stage: int = 0
    cursor: str | None = None
    entry: int | None = None
    oldest_at: float | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether there are steps before it."""
        return self.state in UNDER_WAY


def begun(wanted: ActionRequest, by: str, now: float, counts: QueueStats) -> Action:
    """The action that is asked for, at its start.

    Args:
        by: who asks.
        now: Unix seconds by the store's clock.
        counts: of the queue that it names, or of all queues together when it names none.
    """
    action = Action(wanted.id, wanted.verb, wanted.where, wanted.to, wanted.dry_run, wanted.per_s, wanted.note, by, now)
    known = _known_count(action, counts)
    return action if known is None else _is_counted(replace(action, matched=known), now)


def _known_count(action: Action, counts: QueueStats) -> int | None:
    """How many jobs match, where the counts that are kept tell that; None: jobs have to be looked at."""
    where = action.where
    if action.to is not None and where.queue is None:
        # Of the jobs of all queues some are there already, and some can never be.
        return None
    if action.verb is Verb.REPLAY:
        # The oldest is to be known as well.
        return None
    if where != Filter(state=where.state, queue=where.queue):
        return None
    return sum(int(getattr(counts, state.value)) for state in _states(action))


def _states(action: Action) -> tuple[State, ...]:
    return ACTS_ON[action.verb] if action.where.state is None else (action.where.state,)


def stages(action: Action) -> list[Filter]:
    """The searches that it goes through. While it counts each state is looked at once; to cancel, it looks at running
    jobs at the end again, because some may have been leased meanwhile."""
    states = _states(action)
    if action.verb is Verb.CANCEL and len(states) > 1 and action.state is ActionState.RUNNING:
        states = (*states, State.RUNNING)
    return [replace(action.where, state=state) for state in states]


def concerns(action: Action, queue: str, created_at: float) -> bool:
    """Whether it may act on a job that matches: one that was accepted by then and, to be moved, is elsewhere in a queue
    of the same kind."""
    if created_at > action.created_at:
        return False
    return action.to is None or (queue != action.to and may_move(queue, action.to))


def why_none(action: Action) -> str:
    """Why a move has found no job that it can move although some may match, or a replay no message, in sentences.
    Empty: it has found one, it has not looked at all, or it is something else."""
    if action.matched or action.state is not ActionState.DONE:
        return ""
    if action.verb is Verb.REPLAY:
        return _NOTHING_KEPT
    if action.to is None:
        return ""
    return f"No job that matches can be moved. {_takes(action.to)} and those that are there already stay."


_NOTHING_KEPT: Final = (
    "Of no message of that time there is a record that it was finished in this channel. Records are kept as long as "
    "its consumers ask for."
)


def _takes(to: str) -> str:
    if is_of_topic(to):
        return f"{to} is a channel: it takes messages that wait in other channels, no jobs of queues;"
    return f"{to} is a queue: it takes jobs that wait in other queues, no messages of channels;"


def counted(action: Action, step: Step, now: float, oldest_at: float | None = None) -> Action:
    """The action after a step that found ``step.changed`` jobs more, of which the oldest was accepted at this time."""
    action = replace(action, matched=action.matched + step.changed)
    if action.verb is Verb.REPLAY and oldest_at is not None:
        action = replace(action, oldest_at=min(oldest_at, action.oldest_at or oldest_at))
    further = _further(action, step.cursor)
    return further if further is not None else _is_counted(action, now)


def _is_counted(action: Action, now: float) -> Action:
    if action.dry_run or not action.matched:
        return ended(action, ActionState.DONE, now)
    return replace(action, state=ActionState.RUNNING, stage=0, cursor=None)


def stepped(action: Action, step: Step, now: float) -> Action:
    """The action after a step that acted on ``step.changed`` jobs more."""
    action = replace(action, changed=action.changed + step.changed)
    further = _further(action, step.cursor)
    return further if further is not None else ended(action, ActionState.DONE, now)


def _further(action: Action, cursor: str | None) -> Action | None:
    """The action where its next step begins; None: it has been through all."""
    if cursor is not None:
        return replace(action, cursor=cursor)
    if action.stage + 1 < len(stages(action)):
        return replace(action, stage=action.stage + 1, cursor=None)
    return None


def ended(action: Action, state: ActionState, now: float, error: str | None = None) -> Action:
    """The action at one of its ends."""
    return replace(action, state=state, finished_at=now, error=error, cursor=None)


def step_jobs_max(action: Action) -> int:
    """How many jobs one step of it may act on."""
    if action.per_s is None:
        return limits.ADMIN_JOBS_MAX
    return max(1, min(limits.ADMIN_JOBS_MAX, int(action.per_s * limits.ACTION_SLOW_STEP_S)))


Job = TypeVar("Job")


class JobActs(NamedTuple, Generic[Job]):
    """What a store does to one job. Each answers whether that changed it. A replay goes through messages in another
    order, and stores do it apart."""

    retry: Callable[[Job], bool]
    cancel: Callable[[Job], bool]
    delete: Callable[[Job], bool]
    move: Callable[[Job, str], bool]

    def of(self, action: Action) -> Callable[[Job], bool]:
        """What an action does to each of its jobs."""
        if action.verb is Verb.MOVE:
            to = action.to
            assert to is not None, "a move has its target"
            return lambda job: self.move(job, to)
        return {
            Verb.RETRY: self.retry,
            Verb.CANCEL: self.cancel,
            Verb.DELETE: self.delete,
            Verb.EMPTY: self.delete,
        }[action.verb]


# --- what may be asked for -------------------------------------------------------------------------------------------
def check_action(wanted: ActionRequest) -> None:
    """Pass when this may be asked for, as far as that can be told without looking at the store.

    Raises:
        InvalidOption: it may not; the message says what to write instead.
    """
    if len(wanted.id) != ID_BYTES:
        raise InvalidOption(f"The id of an action has {ID_BYTES} bytes.", field="id")
    check_note(wanted.note)
    if wanted.per_s is not None and not 0 < wanted.per_s <= limits.ACTION_PER_S_MAX:
        raise InvalidOption(
            f"`per_s` is a number of jobs a second, more than 0 and at most {limits.ACTION_PER_S_MAX}; "
            "leave it out for no limit of your own.",
            field="per_s",
        )
    _check_where(wanted.verb, wanted.where)
    if wanted.verb is not Verb.MOVE:
        if wanted.to is not None:
            raise InvalidOption(f"`to` belongs to `move`; `{wanted.verb}` takes none.", field="to")
    elif wanted.to is None:
        raise InvalidOption("`move` needs `to`, the name of the queue that the jobs go to.", field="to")
    else:
        check_target(wanted.to)
        _check_move(wanted.where, wanted.to)


def check_target(name: str) -> None:
    """Pass when waiting jobs may be moved into a queue, or messages into a channel, of this name.

    Raises:
        InvalidOption: it is no name.
    """
    check_queue_or_channel(name, "to")


def _check_move(where: Filter, to: str) -> None:
    """Pass when jobs of what is named, a queue or a task, can be in ``to``."""
    if where.queue == to:
        raise InvalidOption(f"The jobs are in {to!r} already; name another queue with `to`.", field="to")
    is_other = where.queue is not None and not may_move(where.queue, to)
    if is_other or (where.task is not None and (where.task == MESSAGE_TASK) != is_of_topic(to)):
        instead = (
            "To give its consumers something, publish it to the topic"
            if is_of_topic(to)
            else "Name another channel, as topic:channel"
        )
        raise InvalidOption(f"{_takes(to).removesuffix(';')}. {instead}.", field="to")


def _check_where(verb: Verb, where: Filter) -> None:
    given = {name for name, value in asdict(where).items() if value not in (None, {}, ())}
    if not given:
        raise InvalidOption(
            "`where` is empty, which would be every job there is; name a state, a queue, a task or a tag.",
            field="where",
        )
    if where.queue is not None:
        check_any_queue(where.queue)
    if where.task is not None:
        check_task(where.task)
    if where.tag is not None:
        check_queue(where.tag, "tag")
    if verb is Verb.REPLAY:
        _check_replay(where, given)
    if verb is Verb.EMPTY and (not given <= {"queue", "task"}):
        raise InvalidOption(
            "`empty` takes a queue, a task or both; to choose among jobs, `delete` them.", field="where"
        )
    if where.state is not None and where.state not in ACTS_ON[verb]:
        *others, last = (state.value for state in ACTS_ON[verb])
        raise InvalidOption(
            f"`{verb}` acts on jobs that are {', '.join(others)} or {last}, not on {where.state.value} ones; "
            "leave `state` out for all of these.",
            field="where.state",
        )


def _check_replay(where: Filter, given: set[str]) -> None:
    if where.queue is None or not is_of_topic(where.queue):
        raise InvalidOption("`replay` takes a channel: name it with `queue`, as topic:channel.", field="where.queue")
    check_queue_or_channel(where.queue, "where.queue")
    if not given <= _REPLAY_TAKES:
        raise InvalidOption(
            "`replay` takes a channel with `queue`, and when its messages were published with `since` and `until`.",
            field="where",
        )


def check_note(note: str | None) -> None:
    """Pass when an operator may say so much.

    Raises:
        InvalidOption: it is too long.
    """
    if note is not None and len(note.encode("utf-8", "replace")) > limits.NOTE_BYTES_MAX:
        raise InvalidOption(f"A note has at most {limits.NOTE_BYTES_MAX} bytes.", field="note")
