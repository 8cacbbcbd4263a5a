"""What `penstock.testing.machine` asks about limits on queues and tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from penstock.model.flow import Rule
from penstock.model.limits_in_force import LimitView
from penstock.ports import Store
from penstock.testing import calls


class LimitRules:
    """The rules about them; the rules for registering tasks, and for leasing, have their part as well."""

    @abstractmethod
    def _both(self, ask: Callable[[Store], Any]) -> None:
        """Ask both stores; they answer the same."""

    @rule(scope=st.sampled_from(calls.SCOPES), rules=calls.rules.filter(bool))
    def put_limits(self, scope: str, rules: Sequence[Rule]) -> None:
        """`Store.put_limits`."""
        self._both(lambda store: store.put_limits(scope, rules))

    @rule(scope=st.sampled_from(calls.SCOPES), per=st.sampled_from([None, None, "tenant"]))
    def restore_limits(self, scope: str, per: str | None) -> None:
        """`Store.restore_limits`."""
        self._both(lambda store: store.restore_limits(scope, per))

    @invariant()
    def every_limit_is_the_same_and_is_kept(self) -> None:
        """`Store.limits`."""
        self._both(lambda store: [_shown(view) for view in store.limits()])


def _shown(view: LimitView) -> LimitView:
    """A limit without the last digits of a time, which is reckoned in another order by each store."""
    at = view.next_free_at
    return msgspec.structs.replace(view, next_free_at=None if at is None else round(at, 3))
