"""Things in the order of a key that may change: the one index the in-memory store is made of."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar


class _Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


Item = TypeVar("Item")
Key = TypeVar("Key", bound=_Ordered)


class Agenda(Generic[Item, Key]):
    """A set of items, each with a key, that knows the item of the least key.

    Items are hashable, keys are distinct. A key that is changed or dropped stays in the heap and is skipped when it
    comes up: what counts is ``_keys``.
    """

    def __init__(self) -> None:
        self._keys: dict[Item, Key] = {}
        self._heap: list[tuple[Key, Item]] = []

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Item]:
        return iter(list(self._keys))

    def put(self, item: Item, key: Key) -> None:
        """Add an item, or change its key."""
        self._keys[item] = key
        heapq.heappush(self._heap, (key, item))

    def drop(self, item: Item) -> None:
        """Remove an item; one that is not there is no error."""
        self._keys.pop(item, None)

    def first(self) -> tuple[Key, Item] | None:
        """The least key and its item; None when there is nothing."""
        while self._heap:
            key, item = self._heap[0]
            if self._keys.get(item) == key:
                return key, item
            heapq.heappop(self._heap)
        return None
