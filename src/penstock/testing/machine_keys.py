"""What `penstock.testing.machine` asks about limits that count for each key."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from penstock.model.flow import Rule
from penstock.ports import Store
from penstock.testing import calls


class KeyRules:
    """The rules about them. Jobs have values in whatever way they come in."""

    @abstractmethod
    def _both(self, ask: Callable[[Store], Any]) -> None:
        """Ask both stores; they answer the same."""

    @rule(scope=st.sampled_from(calls.SCOPES), limit=calls.keyed_rules)
    def put_keyed_limit(self, scope: str, limit: Rule) -> None:
        """`Store.put_limits`."""
        self._both(lambda store: store.put_limits(scope, [limit]))

    @rule(scope=st.sampled_from(calls.SCOPES), per=st.sampled_from([None, "tenant", "user"]))
    def restore_keyed_limits(self, scope: str, per: str | None) -> None:
        """`Store.restore_limits`."""
        self._both(lambda store: store.restore_limits(scope, per))
