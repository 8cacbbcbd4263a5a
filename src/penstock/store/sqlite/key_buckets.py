"""The token buckets of keys that a rate counts for (`penstock.model.token_bucket`), each a row of `key_bucket`.

A bucket without a row is full. It gets its row with the first token that is taken, and loses it when it is full again.
In the epoch of one owner it fills by the clock that never goes backwards, between two owners by the wall clock.

There may be very many rows of one rate. When the rate changes they are left as they are, and it is noted in the file
what the rate was so far: a row that was written before is read with that. In steps all of them are written anew
(`KeyBuckets.to_renew`); then the note goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, nextafter
from typing import Any, Final

import msgspec

from penstock.model import limits
from penstock.model.flow import RateRule, Rule
from penstock.model.keyed_limits import Key
from penstock.model.token_bucket import TokenBucket, carried_over, fill_alike
from penstock.store.sqlite.in_memory import Books

_BEFORE_ALL: Final = Key("", "")
_SOON_S: Final = 1e-5
"""A moment that is so close has come."""
_RENEWED_AT_ONCE: Final = 200
"""Rows that are written anew in one step. Each takes longer than what other chores do to a job."""
_TOGETHER_S: Final = 0.01
"""Tokens of a key that come in within this time are given out together: each time costs a transaction."""
_FORMER_MAX: Final = 16
"""Former rules of one rate that are noted. Beyond: one of them is taken never to have held."""
_NOTE: Final = "former_rates"
"""In `meta` while some rows may have been written before a change of their rate."""


class FormerRate(msgspec.Struct, array_like=True, frozen=True):
    """What a rate was until it changed. ``rule`` None: there was none. The rest says when: in Unix seconds, and in the
    monotonic seconds of the owner with this epoch."""

    rule: RateRule | None
    at: float
    monotonic: float
    epoch: int


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(dict[str, list[FormerRate]]).decode


class KeyBuckets:
    """All of them. What was last asked is in memory; every change is written at once."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._database = books.database
        self._clock = books.clock
        self._known: dict[str, dict[str, TokenBucket]] = {}
        self._known_count = 0
        self._first_fences: dict[str, dict[str, int | None]] = {}
        self._first_fences_count = 0
        self._returns_from: float = 0
        self._renewed: Key | None = _BEFORE_ALL
        self.load()

    def load(self) -> None:
        """Read which rates have changed: at the opening, and after a rollback."""
        packed = self._database.value("get_meta", _NOTE)
        self._former: dict[str, list[FormerRate]] = _decode(packed) if packed else {}
        self._renewed_to = ""
        if self._renewed is not None:
            self._renewed = _BEFORE_ALL

    def forget(self, most: int) -> None:
        """Nothing is known but what is in the file, and, of so many buckets, which leases may give tokens back."""
        if self._first_fences_count + self._known_count > most:
            self._first_fences.clear()
            self._first_fences_count = 0
        for kind, buckets in self._known.items():
            firsts = self._first_fences.setdefault(kind, {})
            before = len(firsts)
            firsts.update((text, bucket.first_fence) for text, bucket in buckets.items())
            self._first_fences_count += len(firsts) - before
        self._known.clear()
        self._known_count = 0

    def __len__(self) -> int:
        return self._known_count

    def of(self, key: Key, rule: RateRule) -> TokenBucket:
        """The bucket of a key."""
        kind, text = key
        known = self._known.setdefault(kind, {})
        found = known.get(text)
        if found is None:
            found = known[text] = self._bucket(key, rule, self._database.row("key_bucket", *key))
            self._known_count += 1
        return found

    def _bucket(self, key: Key, rule: RateRule, row: tuple[Any, ...] | None) -> TokenBucket:
        if row is None:
            return TokenBucket(rule, self._clock.monotonic())
        level, at, monotonic, epoch = row
        former = [
            (one.rule, self._here(one.at, one.monotonic, one.epoch))
            for one in self._former.get(key.kind, ())
            if (epoch, monotonic) <= (one.epoch, one.monotonic)
        ]
        bucket = carried_over(level, self._here(at, monotonic, epoch), former, rule)
        if not former:
            # Who took the tokens that are missing is known as far as it was in memory.
            bucket.first_fence = self._first_fences.get(key.kind, {}).get(key.text, self._books.next_fence)
        return bucket

    def _here(self, at: float, monotonic: float, epoch: int) -> float:
        """A time by the clock of this owner."""
        now = self._clock.monotonic()
        return min(now, monotonic if epoch == self._books.epoch else now - max(0.0, self._clock.time() - at))

    # --- rates that change -------------------------------------------------------------------------------------------
    def change(self, former: Mapping[str, Rule | None], rule_of: Callable[[Key], Rule | None]) -> None:
        """Other limits are in force from now on for keys of some kinds. Tokens that are missing are still missing. A
        bucket that is full is full, and one of a rate that is not in force any more comes again full.

        Args:
            former: what was in force for each of these kinds so far; None: nothing was.
            rule_of: what is in force for a key now.
        """
        is_any = False
        for kind, rule in former.items():
            key = Key(kind, "")
            following = rule_of(key)
            if not key.is_of_rate:
                continue
            was = rule if isinstance(rule, RateRule) else None
            if was is not None and isinstance(following, RateRule) and fill_alike(was, following):
                continue
            self._known_count -= len(self._known.pop(kind, ()))
            self._first_fences_count -= len(self._first_fences.pop(kind, ()))
            if self.texts(kind, 1):
                self._note(kind, was)
                is_any = True
        if is_any:
            self._save_notes()

    def _note(self, kind: str, rule: RateRule | None) -> None:
        """Note what a rate was until now."""
        former = FormerRate(rule, self._clock.time(), self._moment(kind), self._books.epoch)
        if next(iter(self._former), None) == kind:
            # Rows of this kind are being renewed. All of them have to be once more.
            self._renewed_to = ""
        notes = self._former.setdefault(kind, [])
        if rule is None:
            # After a time without a rate all are full, whatever was before.
            notes.clear()
        notes.append(former)
        if len(notes) > _FORMER_MAX:
            del notes[1]

    def _save_notes(self) -> None:
        if self._former:
            self._database.run("put_meta", _NOTE, _encode(self._former))
        else:
            self._database.run("delete_meta", _NOTE)

    def _moment(self, kind: str) -> float:
        """Now, and later than the last change of a rate, though both be done at one time of the clock."""
        now, former = self._clock.monotonic(), self._former.get(kind)
        if former and former[-1].epoch == self._books.epoch:
            return max(now, nextafter(former[-1].monotonic, inf))
        return now

    # --- tokens ------------------------------------------------------------------------------------------------------
    def take(self, key: Key, rule: RateRule, number: int, fence: int) -> None:
        """So many jobs of a key are leased. ``fence``: of the first lease of these."""
        bucket = self.of(key, rule)
        bucket.take(number, self._clock.monotonic(), fence)
        self._save(key, bucket)

    def give_back(self, key: Key, rule: RateRule, fence: int) -> None:
        """The job of this lease came back before it had started."""
        if fence >= self._returns_from:
            bucket = self.of(key, rule)
            bucket.give_back(fence, self._clock.monotonic())
            self._save(key, bucket)

    def note_review(self, *, is_over: bool) -> None:
        """A review of all jobs takes more than one step, or such a one is over. Jobs that it has not come to are leased
        without a token, so no lease from before its end gives one back."""
        if not is_over:
            self._returns_from = inf
        elif self._returns_from == inf:
            self._returns_from = self._books.next_fence

    def _save(self, key: Key, bucket: TokenBucket) -> None:
        now = self._clock.monotonic()
        at = (self._clock.time(), self._moment(key.kind), self._books.epoch, bucket.next_at(bucket.burst, now))
        self._database.run("save_key_bucket", *key, bucket.level(now), *at)

    # --- as time passes ----------------------------------------------------------------------------------------------
    def look_at(self, key: Key, rule: RateRule, taken: int, *, waits: bool) -> None:
        """Note when to look at a key next: when the next job that waits may be ready, else when the bucket is full. One
        that is full needs no row. ``taken``: ready jobs that will take a token each."""
        bucket, now = self.of(key, rule), self._clock.monotonic()
        if bucket.is_full(now):
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
        return [text for (text,) in self._database.rows("buckets_of_kind", kind, "", most)]

    def drop(self, key: Key) -> None:
        """A bucket is full, or its rate is not in force any more."""
        self._database.run("delete_key_bucket", *key)

    def to_renew(self) -> list[Key]:
        """Some keys whose rows were written by a former owner, or before a change of their rate, to be renewed. Each is
        answered once, and those of a rate that is not in force any more are to be dropped."""
        return self._of_changed_rates() or self._of_former_owners()

    def _of_changed_rates(self) -> list[Key]:
        are_done = False
        found: list[Key] = []
        for kind in list(self._former)[: limits.TICK_STEP_JOBS]:
            rows = self._database.rows("buckets_of_kind", kind, self._renewed_to, _RENEWED_AT_ONCE)
            if rows:
                found = [Key(kind, text) for (text,) in rows]
                # The least text behind the last one.
                self._renewed_to = f"{found[-1].text}\0"
                break
            del self._former[kind]
            self._renewed_to = ""
            are_done = True
        if are_done:
            self._save_notes()
        return found

    def _of_former_owners(self) -> list[Key]:
        if self._renewed is None:
            return []
        rows = self._database.rows("old_buckets", *self._renewed, self._books.epoch, _RENEWED_AT_ONCE)
        found = [Key(*row) for row in rows]
        self._renewed = found[-1] if found else None
        return found

    def renew(self, key: Key, rule: RateRule) -> None:
        """Let the row of a bucket be of this owner, and of the rate that is in force. It says when the bucket is full;
        where somebody waits, `look_at` must follow."""
        bucket = self.of(key, rule)
        if bucket.is_full(self._clock.monotonic()):
            self.drop(key)
        else:
            self._save(key, bucket)
