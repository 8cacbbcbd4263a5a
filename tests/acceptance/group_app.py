"""A large group and what follows it, as a worker and a producer see them."""

from __future__ import annotations

from penstock import Penstock, Results

app = Penstock()


@app.task
def weigh(number: int, load: bytes) -> int:
    return number


@app.task
def total(weights: Results[int]) -> tuple[int, int]:
    return len(weights), sum(weights)
