"""The in-memory store for an event loop, as if its answers came over a line that loses some.

It is the reference for what `penstock.ports.waiting` says of repeats: a call whose answer is lost is made again, with
the number that it had, and the store's side answers the repeat of what it has applied with the first answer.
"""

from __future__ import annotations

from typing import Any

from penstock.model.job import LeaseBatch, Outcomes
from penstock.ports import Clock, Effect, Store, effect_of
from penstock.store.inline import InlineStore
from penstock.testing.memory import MemoryStore


class CarriedStore(InlineStore):
    """`penstock.ports.AsyncStore` over a store in memory."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._number = 0
        self._answers_to_lose = 0
        self._answers: dict[int, Any] = {}

    @classmethod
    def in_memory(cls, clock: Clock, **options: int) -> CarriedStore:
        """A new, empty store."""
        return cls(MemoryStore(clock, **options))

    def lose_answers(self, count: int) -> None:
        """Lose the next answers; each is asked for again."""
        self._answers_to_lose = count

    def _call(self, name: str, *arguments: Any, **named: Any) -> Any:
        self._number += 1
        answer = self._applied(self._number, name, *arguments, **named)
        while self._answers_to_lose:
            self._answers_to_lose -= 1
            answer = self._applied(self._number, name, *arguments, **named)
        return answer

    def _applied(self, number: int, name: str, *arguments: Any, **named: Any) -> Any:
        """The store's side: do the call, or answer its repeat."""
        effect = effect_of(name)
        if number in self._answers and effect is Effect.ONCE:
            return self._answers[number]
        if number in self._answers and name == "lease":
            self._give_back(arguments[0].holder, self._answers[number])
        self._answers[number] = answer = super()._call(name, *arguments, **named)
        return answer

    def _give_back(self, holder: bytes, batch: LeaseBatch) -> None:
        """Nobody holds what was leased by an answer that was lost."""
        fences = [batch.first_fence + place for place in range(len(batch.jobs))]
        self._store.settle(Outcomes(holder, released=fences))
