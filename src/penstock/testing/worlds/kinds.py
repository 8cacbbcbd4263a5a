"""Which kind of small world has what a size asks for."""

from __future__ import annotations

from collections.abc import Callable

from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.worlds.actions import Size
from penstock.testing.worlds.delivering import DeliveringWorld
from penstock.testing.worlds.suspending import SuspendingWorld
from penstock.testing.worlds.watched import WatchedStore
from penstock.testing.worlds.world import SmallWorld


def world_of(size: Size, make_store: Callable[[VirtualClock], Store] = WatchedStore) -> SmallWorld:
    """A world of this size, of the kind that it takes."""
    if size.delivers:
        return DeliveringWorld(size, make_store)
    return SmallWorld(size, make_store) if size.signals is None else SuspendingWorld(size, make_store)
