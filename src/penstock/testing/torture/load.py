"""What a producer asks for next, and how it writes down what it asked and what it was told. No I/O but the journal."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from penstock.testing.torture import tasks
from penstock.testing.torture.records import Acked, Attempted, CancelAsked, Line, RecordFile

KEYED_SHARE: Final = 0.3
"""Of all requests, those with an idempotency key. Keys are drawn from one pool, so they repeat."""
CANCELLED_SHARE: Final = 0.05
"""Of the jobs that leave a record and whose producer cancels at all, those that it cancels once they are acked."""
DELAYED_SHARE: Final = 0.1
DELAY_S_MAX: Final = 3.0
_KEYS_AT_ONCE: Final = 25


@dataclass(frozen=True, slots=True)
class Wish:
    """A job to ask for.

    Attributes:
        key: idempotency key; None: none.
        delay_s: not before this long from now; None: at once.
    """

    token: str
    task: str
    key: str | None
    delay_s: float | None

    @property
    def may_be_repeated(self) -> bool:
        """Whether it is one job however often it is asked for."""
        return self.key is not None or self.task in tasks.UNIQUE


class Load:
    """The wishes of one life of one producer, and its journal.

    Args:
        log: directory of all records.
        name: of this life; no two are alike.
        door: how it enqueues. Keys are shared by all who use one door: what comes as JSON is kept as it came, so the
            same arguments through two doors are two requests.
    """

    def __init__(self, log: Path, name: str, seed: int, door: str) -> None:
        self.name = name
        self._door = door
        self.random = Random(f"{seed}-{name}")
        self._executions = log / "executions"
        self._journal = RecordFile(log / "attempts" / name)
        self._count = 0

    def wish(self, task: str | None = None) -> Wish:
        """The next one. ``task``: of this task and without a key; None: any."""
        self._count += 1
        draw = self.random
        delay_s = draw.uniform(0.0, DELAY_S_MAX) if draw.random() < DELAYED_SHARE else None
        if task is None and draw.random() < KEYED_SHARE:
            # The pool moves on slowly, so that a key comes back while its job waits, while it runs and when it is gone.
            key = f"{self._door}-key-{self._count // _KEYS_AT_ONCE}-{draw.randrange(_KEYS_AT_ONCE)}"
            return Wish(key, tasks.MIX[zlib.crc32(key.encode()) % len(tasks.MIX)], key, delay_s)
        name = task or draw.choice(tasks.MIX)
        if task is None and name in tasks.UNIQUE:
            # As with keys; but all doors share these, and nothing but the store knows that a job is there already.
            token = f"{name}-{self._count // _KEYS_AT_ONCE}-{draw.randrange(_KEYS_AT_ONCE)}"
            return Wish(token, name, None, delay_s)
        return Wish(f"{self.name}-{self._count}", name, None, delay_s)

    def arguments(self, wish: Wish) -> dict[str, Any]:
        """The arguments of the job: a function of the token, so that a repeat is the same request."""
        return self.arguments_of(wish.task, wish.token)

    def arguments_of(self, task: str, token: str) -> dict[str, Any]:
        """As `arguments`, of a job of this task with this token."""
        return tasks.arguments(self._executions, task, token)

    def attempted(self, *wishes: Wish) -> None:
        """To be called before they are asked for."""
        self._journal.write(*[Attempted(wish.token, wish.task) for wish in wishes])

    def acked(self, *answered: tuple[Wish, str]) -> None:
        """To be called when they were answered, before anything else is asked for. Ids in hexadecimal."""
        self._journal.write(*[Acked(wish.token, job_id) for wish, job_id in answered])

    def write(self, *lines: Line) -> None:
        """Write down what is not about wishes."""
        self._journal.write(*lines)

    def cancelling(self, wish: Wish) -> bool:
        """Whether to cancel this job now; if so, that is written down already."""
        if wish.task in tasks.FORGETS or self.random.random() >= CANCELLED_SHARE:
            return False
        self._journal.write(CancelAsked(wish.token))
        return True
