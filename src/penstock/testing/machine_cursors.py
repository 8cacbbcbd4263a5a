"""What `penstock.testing.machine` asks about the positions of sources."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from penstock.ports import Store
from penstock.testing import calls


class CursorRules:
    """The rules about them; the rule for enqueueing moves them."""

    @abstractmethod
    def _both(self, ask: Callable[[Store], Any]) -> None:
        """Ask both stores; they answer the same."""

    @rule(source=st.sampled_from(calls.SOURCES), partition=st.sampled_from([None, "0", "1"]))
    def remove_cursors(self, source: str, partition: str | None) -> None:
        """`Store.remove_cursors`."""
        self._both(lambda store: store.remove_cursors(source, partition=partition))

    @invariant()
    def every_position_is_the_same(self) -> None:
        """`Store.cursors`."""
        self._both(lambda store: store.cursors())
