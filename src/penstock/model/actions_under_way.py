"""The bulk actions of a store together: how many there may be, which are kept when they have ended, and whose step is
next. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from penstock.model import limits
from penstock.model.actions import Action, ActionState, ended
from penstock.model.errors import InvalidOption


class Actions:
    """The actions of a store: those under way, and the latest that have ended. ``known``: the oldest first."""

    def __init__(self, known: Iterable[Action] = ()) -> None:
        self._by_id = {action.id: action for action in known}

    def get(self, action_id: bytes) -> Action | None:
        """The action with this id, if it is known."""
        return self._by_id.get(action_id)

    def newest_first(self, ids: Collection[bytes] | None = None) -> list[Action]:
        """Those with these ids, or all when None is given."""
        return [action for action in reversed(self._by_id.values()) if ids is None or action.id in ids]

    def under_way(self) -> list[Action]:
        """Those that have steps before them, the oldest first."""
        return [action for action in self._by_id.values() if action.is_under_way]

    def check_room(self) -> None:
        """Pass when one more may be under way.

        Raises:
            InvalidOption: there are too many.
        """
        if len(self.under_way()) >= limits.ACTIONS_UNDER_WAY_MAX:
            raise InvalidOption(
                f"{limits.ACTIONS_UNDER_WAY_MAX} bulk actions are under way already (ACTIONS_UNDER_WAY_MAX); "
                "wait for one, or stop one.",
                field="verb",
            )

    def save(self, action: Action) -> list[bytes]:
        """Keep an action as it is now. Answers which of those that have ended go for it: the oldest of too many."""
        self._by_id[action.id] = action
        done = [one.id for one in self._by_id.values() if not one.is_under_way]
        gone = done[: max(0, len(done) - limits.ACTIONS_KEPT_MAX)]
        for one in gone:
            del self._by_id[one]
        return gone

    def stopped(self, action_id: bytes, now: float) -> Action | None:
        """An action, ended where it is; None: it is not under way. The caller saves it."""
        action = self.get(action_id)
        if action is None or not action.is_under_way:
            return None
        return ended(action, ActionState.STOPPED, now)


class Turns:
    """Which action has the next step, and when. Each has its turn; between two steps there is a rest, so that they take
    a part of the store's time and no more. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._due: dict[bytes, float] = {}
        self._rested_at = 0.0

    def next(self, under_way: Iterable[Action], now: float) -> Action | None:
        """The action that has its step now; None: none has."""
        if now < self._rested_at:
            return None
        due = [(self._due.get(action.id, 0.0), action) for action in under_way]
        first = min(due, key=lambda one: one[0], default=None)
        return None if first is None or first[0] > now else first[1]

    def took(self, action: Action, jobs: int, now: float) -> None:
        """Its step is over, and has acted on so many jobs."""
        self._rested_at = now + limits.ACTION_REST_S
        slow_s = 0.0 if action.per_s is None else jobs / action.per_s
        self._due[action.id] = now + max(limits.ACTION_REST_S, slow_s)
        if not action.is_under_way:
            del self._due[action.id]

    def next_at(self, under_way: Iterable[Action]) -> float | None:
        """When the next step is due; None: there is none."""
        due = [self._due.get(action.id, 0.0) for action in under_way]
        if not due:
            # Some were stopped between two steps.
            self._due.clear()
            return None
        return max(self._rested_at, min(due))
