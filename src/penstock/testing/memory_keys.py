"""Idempotency keys of the in-memory store."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.model import limits
from penstock.model.job import JobEntry
from penstock.testing.agenda import Agenda


@dataclass(frozen=True, slots=True)
class FirstUse:
    """The job a key was first used for, and what tells its call from another."""

    id: bytes
    call: tuple[int, int]
    until: float

    def is_same(self, entry: JobEntry) -> bool:
        """Whether this entry has the same arguments."""
        return entry.is_call(self.call)


class Keys:
    """Keys by task, each remembered for a time from its first use, past the job's record."""

    def __init__(self) -> None:
        self._uses: dict[tuple[str, str], FirstUse] = {}
        self._age: Agenda[tuple[str, str], tuple[float, str, str]] = Agenda()

    def find(self, task: str, key: str | None, now: float) -> FirstUse | None:
        """The first use that still counts, if any."""
        use = self._uses.get((task, key)) if key is not None else None
        return use if use is not None and now < use.until else None

    def stands_for(self, key: str, now: float) -> set[bytes]:
        """The jobs and messages that a key stands for, whatever it is scoped to."""
        return {use.id for (_, one), use in self._uses.items() if one == key and now < use.until}

    def remember(
        self,
        task: str,
        entry: JobEntry,
        now: float,
        job_id: bytes | None = None,
        *,
        counts_s: float = limits.IDEMPOTENCY_S,
    ) -> None:
        """Note the first use of an entry's key; an entry without a key is no error. ``job_id``: the job that was
        answered for it; None: its own. ``counts_s``: how long it counts."""
        if entry.idempotency_key is None:
            return
        until = now + counts_s
        self._uses[task, entry.idempotency_key] = FirstUse(job_id or entry.id, entry.told_by(), until)
        self._age.put((task, entry.idempotency_key), (until, task, entry.idempotency_key))

    def forget(self, now: float, limit: int) -> None:
        """Forget at most ``limit`` keys whose time is up."""
        for _ in range(limit):
            first = self._age.first()
            if first is None or first[0][0] > now:
                return
            self._age.drop(first[1])
            del self._uses[first[1]]

    def forget_all(self, task: str) -> None:
        """Forget all keys of one task (or topic)."""
        for scope in [scope for scope in self._uses if scope[0] == task]:
            self._age.drop(scope)
            del self._uses[scope]

    def next_at(self) -> float | None:
        """When the next key's time is up."""
        first = self._age.first()
        return None if first is None else first[0][0]
