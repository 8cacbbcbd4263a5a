"""The token buckets of keys that a rate counts for (`penstock.model.token_bucket`), each a row of `key_bucket`.

A bucket without a row is full. It gets its row with the first token that is taken, and loses it when it is full again.
In the epoch of one owner it fills by the clock that never goes backwards, between two owners by the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from penstock.model import limits
from penstock.model.flow import RateRule, Rule
from penstock.model.keyed_limits import Key
from penstock.model.token_bucket import TokenBucket
from penstock.store.sqlite.in_memory import Books

_SOON_S: Final = 1e-5
"""A moment that is so close has come."""
_KIND_ROWS_MAX: Final = 10_000
"""Buckets of one rate that are deleted at once."""
_TOGETHER_S: Final = 0.01
"""Tokens of a key that come in within this time are given out together: each time costs a transaction."""


class KeyBuckets:
    """All of them. What was last asked is in memory; every change is written at once."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._database = books.database
        self._clock = books.clock
        self._known: dict[Key, TokenBucket] = {}
        self._renewed: Key | None = Key("", "")

    def forget(self) -> None:
        """Nothing is known but what is in the file."""
        self._known.clear()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, key: Key, rule: RateRule) -> TokenBucket:
        """The bucket of a key."""
        found = self._known.get(key)
        if found is None:
            row = self._database.row("key_bucket", *key)
            found = self._known[key] = self._bucket(rule, row)
        return found

    def _bucket(self, rule: RateRule, row: tuple[Any, ...] | None) -> TokenBucket:
        now = self._clock.monotonic()
        if row is None:
            return TokenBucket(rule, now)
        level, at, monotonic, epoch = row
        since = monotonic if epoch == self._books.epoch else now - max(0.0, self._clock.time() - at)
        return TokenBucket(rule, min(now, since), level)

    def change(self, rule_of: Callable[[Key], Rule | None], kinds: Collection[str]) -> None:
        """Other rates are in force from now on for keys of these kinds. Tokens that are missing are still missing. A
        bucket that is full is full, and one of a rate that is not in force any more comes again full."""
        now = self._clock.monotonic()
        for key, bucket in [one for one in self._known.items() if one[0].kind in kinds]:
            rule = rule_of(key)
            if isinstance(rule, RateRule) and bucket.tokens(now) < bucket.burst:
                bucket.change(rule, now)
                self._save(key, bucket)
            else:
                del self._known[key]
                self.drop(key)

    def forget_kind(self, kind: str) -> None:
        """A rate is not in force any more: its buckets go. Where there are very many, the last of them go with time."""
        self._database.run("delete_buckets_of_kind", kind, _KIND_ROWS_MAX)

    def take(self, key: Key, rule: RateRule, number: int) -> None:
        """So many jobs of a key are leased."""
        bucket = self.of(key, rule)
        bucket.take(number, self._clock.monotonic())
        self._save(key, bucket)

    def give_back(self, key: Key, rule: RateRule, number: int) -> None:
        """So many jobs of a key were leased and came back before they had started."""
        bucket = self.of(key, rule)
        bucket.give_back(number, self._clock.monotonic())
        self._save(key, bucket)

    def _save(self, key: Key, bucket: TokenBucket) -> None:
        now = self._clock.monotonic()
        at = (self._clock.time(), now, self._books.epoch, bucket.next_at(bucket.burst, now))
        self._database.run("save_key_bucket", *key, bucket.level(now), *at)

    # --- as time passes ----------------------------------------------------------------------------------------------
    def look_at(self, key: Key, rule: RateRule, taken: int, *, waits: bool) -> None:
        """Note when to look at a key next: when the next job that waits may be ready, else when the bucket is full. One
        that is full needs no row. ``taken``: ready jobs that will take a token each."""
        bucket, now = self.of(key, rule), self._clock.monotonic()
        if bucket.tokens(now) >= bucket.burst:
            self.drop(key)
            return
        wanted = taken + 1 if waits and taken < bucket.burst else bucket.burst
        self._database.run("look_at_bucket", max(now + _TOGETHER_S, bucket.next_at(wanted, now)), *key)

    def due(self) -> list[Key]:
        """Keys that are to be looked at now."""
        now = self._clock.monotonic() + _SOON_S
        return [Key(*row) for row in self._database.rows("buckets_due", now, limits.TICK_STEP_JOBS)]

    def next_at(self) -> float | None:
        """When a key is to be looked at next, in monotonic seconds."""
        found = self._database.value("next_bucket")
        return None if found is None else float(found)

    def texts(self, kind: str, most: int) -> list[str]:
        """The texts of so many keys of a rate whose buckets are not full."""
        return [text for (text,) in self._database.rows("buckets_of_kind", kind, most)]

    def drop(self, key: Key) -> None:
        """A bucket is full, or its rate is not in force any more."""
        self._database.run("delete_key_bucket", *key)

    def of_former_owners(self) -> list[Key]:
        """Some keys whose times are those of a former owner, to be renewed. Each is answered once."""
        if self._renewed is None:
            return []
        rows = self._database.rows("old_buckets", *self._renewed, self._books.epoch, limits.TICK_STEP_JOBS)
        found = [Key(*row) for row in rows]
        self._renewed = found[-1] if found else None
        return found

    def renew(self, key: Key, rule: RateRule) -> None:
        """Let the times of a bucket be those of this owner."""
        self._save(key, self.of(key, rule))
