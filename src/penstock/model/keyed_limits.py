"""Limits that count for each key: which of them a job meets, what it needs to become ready, and what is said of one
that waits for that. Pure: every store decides so, and keeps by itself who holds what.

A key is one text that a name has among jobs: ``acme`` of ``tenant``. A job that becomes ready takes a *slot* of each
key that it meets, all or none: of a concurrency limit for as long as it is ready or leased, of a rate until it is
leased, which spends a token. A job that cannot have them all waits in `State.BLOCKED` for the first key, in the order
of `Key`, that has none left; so no two jobs ever wait for each other. It is ready as soon as that key has a slot for
it, in the order of `place_in_key`. A job that is new to a key for which others wait stands behind them, though there
may be room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from penstock.model.flow import ConcurrencyRule, RateRule, Rule
from penstock.model.line_limit import rate_in_words

_HEADER: Final = "header:"
KeyedRule = tuple[str, Rule]
"""A limit that counts for each key, with what its keys have in common (`Key.kind`)."""
Order = TypeVar("Order", bound=tuple[int, int, int])


_OF_RATES: Final = "rate\n"
_OF_LIMITS: Final = ("concurrency\n", _OF_RATES)


class Kind(StrEnum):
    """What a blocked job waits for. The values are stored."""

    PAUSED = "paused"
    """Its line is paused: its slots are for others meanwhile."""
    CONCURRENCY = "concurrency"
    RATE = "rate"


class Key(NamedTuple):
    """What jobs wait for side by side: a key of a limit, or a paused line.

    Attributes:
        kind: of a limit one of `Kind`, its scope and its name, one a line; of a paused line `Kind.PAUSED`. Another one
        is
            nothing that is known here.
        text: the text that the name has among the jobs; of a paused line its queue and its task, one a line.
    """

    kind: str
    text: str

    @property
    def is_of_limit(self) -> bool:
        """Whether it is a key of a limit."""
        return self.kind.startswith(_OF_LIMITS)

    @property
    def is_of_rate(self) -> bool:
        """Whether it is a key of a rate."""
        return self.kind.startswith(_OF_RATES)

    @property
    def scope(self) -> str:
        """Of a limit: whose it is."""
        return self.kind.split("\n", 2)[1]

    @property
    def name(self) -> str:
        """Of a limit: the name whose text this is."""
        return self.kind.split("\n", 2)[2]


class Need(NamedTuple):
    """A key that a job must have a slot of, and the rule that says how many there are."""

    key: Key
    rule: Rule


def keyed_rules(rules: Iterable[tuple[str, Rule]]) -> list[KeyedRule]:
    """Of the limits of some scopes those that count for each key, in the order in which jobs need them."""
    # Of one kind, a scope has one rule for a name.
    found = {kind_of(scope, rule): rule for scope, rule in rules if rule.per is not None}
    return sorted(found.items(), key=_kind_first)


def needs_of(rules: Iterable[KeyedRule], values: Mapping[str, str]) -> list[Need]:
    """What a job with these values needs, in order. ``rules``: as `keyed_rules` has them."""
    return [
        Need(Key(kind, values[rule.per]), rule) for kind, rule in rules if rule.per is not None and rule.per in values
    ]


def key_of_line(queue: str, task: str) -> Key:
    """What jobs wait for whose line is paused."""
    return Key(Kind.PAUSED, f"{queue}\n{task}")


def keeps_slot(rule: Rule) -> bool:
    """Whether a job that is to run again later keeps its slot, so that no other of its key comes first."""
    return isinstance(rule, ConcurrencyRule) and rule.order == "fifo"


def place_in_key(place: Order, rule: Rule | None) -> tuple[int, int, int]:
    """Where a job stands among those that wait for a key, from its place in its line: urgency, rank, arrival."""
    return (0, 0, place[2]) if rule is not None and keeps_slot(rule) else place


def reason_of(key: Key, rule: Rule | None, taken: int) -> str:
    """Why a job waits, for people.

    Args:
        key: what it waits for.
        rule: as it is in force; None: it is so no more, and the job is ready soon.
        taken: how many slots of the key are taken.
    """
    if not key.is_of_limit:
        return key.kind
    whose = f"{key.name.removeprefix(_HEADER)} {key.text}"
    if isinstance(rule, ConcurrencyRule):
        return f"{taken} of {rule.count} running for {whose}"
    if isinstance(rule, RateRule):
        return f"over the rate of {whose}: {rate_in_words(rule)}"
    return f"next in turn for {whose}"


def shown_key(key: Key) -> str | None:
    """The key of a blocked job, for people; None: it waits for its line to be resumed."""
    return None if key.kind == Kind.PAUSED else key.text


def kind_of(scope: str, rule: Rule) -> str:
    """What the keys of a limit have in common (`Key.kind`)."""
    kind = Kind.CONCURRENCY if isinstance(rule, ConcurrencyRule) else Kind.RATE
    return f"{kind}\n{scope}\n{rule.per}"


def _kind_first(rule: KeyedRule) -> str:
    return rule[0]
