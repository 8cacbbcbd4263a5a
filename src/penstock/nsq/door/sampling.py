"""Which messages are in a consumer's sample."""

from __future__ import annotations

import random
from collections.abc import Sequence

from penstock.model.job import LeasedJob

Fenced = tuple[int, LeasedJob]
"""A message with the fence of its lease."""


class Sampling:
    """Draws samples. ``chance``: from 0 to below 1, another one each time."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self._random = (chance or random.Random()).random

    def split(self, fenced: Sequence[Fenced], sample_rate: int) -> tuple[list[Fenced], list[Fenced]]:
        """Those in the sample of so many of a hundred, and the others."""
        taken: list[Fenced] = []
        others: list[Fenced] = []
        for one in fenced:
            (taken if self._random() * 100 < sample_rate else others).append(one)
        return taken, others
