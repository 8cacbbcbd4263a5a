"""Answers of stores in the form in which `penstock.testing.machine` compares them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.model.errors import InvalidOption
from penstock.model.job import DeadCounts
from penstock.ports import Store


def dead_counts(store: Store) -> DeadCounts:
    """Dead records by kind, of which none is forgotten."""
    counts = store.dead_counts()
    assert counts.others + sum(kind.count for kind in counts.kinds) == store.totals().counts.dead, counts
    return counts


def or_refused(ask: Callable[[Store], Any]) -> Callable[[Store], Any]:
    """Asks, and answers what is to blame when that is refused."""

    def asked(store: Store) -> Any:
        try:
            return ask(store)
        except InvalidOption as error:
            return error.field

    return asked
