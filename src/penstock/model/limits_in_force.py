"""Which limits hold: those that tasks and queues declare, and live ones over them. Pure; every store decides so.

A limit belongs to a *scope*, a queue or a task, written ``queue:NAME`` or ``task:NAME``. What tasks and queues declare
is recorded when a worker registers them; the newest record of a name stands. A live limit takes the place of the
declared one of its scope that is of the same kind and has the same ``per``, whatever is registered meanwhile, until it
is taken away. All other declared ones of the scope stay in force.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from penstock.model import limits
from penstock.model.acceptance import check_records, check_task
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, QueueRecord, RateRule, Rule
from penstock.model.flow_acceptance import check_flow, check_names_needed, names_in
from penstock.model.job import TaskRecord
from penstock.model.topics import check_queue_or_channel

Source = Literal["declared", "live"]
"""Where a limit comes from: a task or a queue declares it, or somebody has put it over that."""

_PER: Final = re.compile(r"[^\W\d]\w*(\.\w+)*|header:\S+")
_QUEUE: Final = "queue"
_TASK: Final = "task"


class LimitView(Struct, array_like=True, frozen=True):
    """A limit that is in force, for people and programs that ask.

    Attributes:
        in_use: leases that count against it now; of a rate, tokens that were taken and have not come in again. With
            ``per``: of all keys together, jobs that are ready count as leased, and it is counted up to
            `limits.LIMIT_WAITING_MAX`.
        waiting: jobs that wait where it holds: the ready ones of its queue or task, and those that are blocked by it.
            Counted up to `limits.LIMIT_WAITING_MAX`.
        next_free_at: of a rate whose tokens are spent, when the next job may be leased (Unix seconds). None: now, or
            with the end of one that runs.
        declared: of a live one, what is declared in its place and comes back when it is taken away; None: nothing.
    """

    scope: str
    rule: Rule
    source: Source
    in_use: int = 0
    waiting: int = 0
    next_free_at: float | None = None
    declared: Rule | None = None


class InForce(NamedTuple):
    """A limit of a scope that holds now. ``declared``: see `LimitView`."""

    rule: Rule
    source: Source
    declared: Rule | None = None


class LimitsInForce:
    """All of them, by scope."""

    def __init__(self) -> None:
        self._declared: dict[str, tuple[Rule, ...]] = {}
        self._live: dict[str, tuple[Rule, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._declared) or bool(self._live)

    def declare(self, scope: str, rules: Sequence[Rule]) -> bool:
        """A task or a queue declares these, and no others any more. Answers whether that changes anything."""
        if tuple(rules) == self._declared.get(scope, ()):
            return False
        if rules:
            self._declared[scope] = tuple(rules)
        else:
            del self._declared[scope]
        return True

    def put(self, scope: str, rules: Sequence[Rule]) -> None:
        """Put live limits over what is declared. Live ones of another kind or ``per`` stay.

        Raises:
            InvalidOption: they may not be put, or there are too many live ones; nothing has changed.
        """
        check_scope(scope)
        if not rules:
            raise InvalidOption(f"{scope}: name at least one limit. Restoring takes live ones away.", field="limits")
        check_rules(scope, rules, is_live=True)
        new = {_kind(rule): rule for rule in (*self._live.get(scope, ()), *rules)}
        if scope not in self._live and len(self._live) >= limits.LIVE_LIMITS_MAX:
            raise InvalidOption(
                f"{limits.LIVE_LIMITS_MAX} queues and tasks have live limits already (LIVE_LIMITS_MAX); "
                "restore some first.",
                field="scope",
            )
        check_rules(scope, list(new.values()))
        self._live[scope] = tuple(new.values())

    def restore(self, scope: str, per: str | None = None) -> bool:
        """Take live limits away: those with this ``per``, or all of the scope when none is given. Answers whether there
        were some.

        Raises:
            InvalidOption: that is no scope.
        """
        check_scope(scope)
        before = self._live.get(scope, ())
        kept = tuple(rule for rule in before if per is not None and rule.per != per)
        if kept:
            self._live[scope] = kept
        else:
            self._live.pop(scope, None)
        return len(kept) < len(before)

    def scopes(self) -> list[str]:
        """Those that have limits, by name."""
        return sorted({*self._declared, *self._live})

    def live(self, scope: str) -> tuple[Rule, ...]:
        """The live limits of a scope."""
        return self._live.get(scope, ())

    def of(self, scope: str) -> list[InForce]:
        """The limits of a scope: those without ``per`` first, concurrency before rates."""
        declared = {_kind(rule): rule for rule in self._declared.get(scope, ())}
        found = {kind: InForce(rule, "declared") for kind, rule in declared.items()}
        for rule in self._live.get(scope, ()):
            found[_kind(rule)] = InForce(rule, "live", declared.get(_kind(rule)))
        return sorted(found.values(), key=lambda one: _order(one.rule))

    def rules(self, scope: str) -> Iterator[Rule]:
        """As `of`, the rules alone."""
        return (one.rule for one in self.of(scope))


def rule_text(rule: Rule) -> str:
    """A limit in words: ``2 at a time per tenant``, ``500 in 1 s per header:user, 1,000 at once``."""
    per = "" if rule.per is None else f" per {rule.per}"
    if isinstance(rule, ConcurrencyRule):
        return f"{rule.count:,} at a time{per}" + (", in order" if rule.order == "fifo" else "")
    burst = "" if rule.burst in (None, rule.count) else f", {rule.burst:,} at once"
    return f"{rule.count:,} in {rule.per_s:g} s{per}{burst}"


def queue_scope(name: str) -> str:
    """The scope of a queue."""
    return f"{_QUEUE}:{name}"


def task_scope(name: str) -> str:
    """The scope of a task."""
    return f"{_TASK}:{name}"


def check_scope(scope: str) -> tuple[str | None, str | None]:
    """The queue, or the task, that a scope names. The other one is None.

    Raises:
        InvalidOption: it names neither.
    """
    kind, separator, name = scope.partition(":")
    if not separator or kind not in (_QUEUE, _TASK):
        raise InvalidOption(f"{scope[:80]!r} is no scope: write queue:NAME or task:NAME.", field="scope")
    if kind == _QUEUE:
        check_queue_or_channel(name, "scope")
        return name, None
    check_task(name)
    return None, name


def check_rules(what: str, rules: Sequence[Rule], *, is_live: bool = False) -> None:
    """Pass when these may be the limits of a scope.

    Args:
        what: whose they are, for the text of the error.
        rules: all of them.
        is_live: they are asked for by their numbers, not as the option ``limits`` of a task or queue. Says what the
            error names as its ``field``.

    Raises:
        InvalidOption: they may not.
    """
    if len(rules) > limits.LIMITS_OF_SCOPE_MAX:
        raise InvalidOption(
            f"{what}: {len(rules)} limits; at most {limits.LIMITS_OF_SCOPE_MAX} (LIMITS_OF_SCOPE_MAX).", field="limits"
        )
    seen = set[tuple[str, str | None]]()
    for rule in rules:
        _check_rule(what, rule, is_live=is_live)
        kind, per = _kind(rule)
        if (kind, per) in seen:
            for_whom = "" if per is None else f" per {per!r}"
            raise InvalidOption(f"{what}: two {kind} limits{for_whom}; write one of them.", field="limits")
        seen.add((kind, per))


def check_registration(tasks: Sequence[TaskRecord], queues: Sequence[QueueRecord]) -> None:
    """Pass when a worker may register these tasks and queues.

    Raises:
        InvalidOption: one has a name, a number or a limit that it may not have.
    """
    check_records(tasks)
    for task in tasks:
        if task.flow is not None:
            check_rules(task_scope(task.name), task.flow.limits)
            check_flow(task_scope(task.name), task.flow)
    for queue in queues:
        check_queue_record(queue)


def check_new_queue_records(known: Collection[str], records: Sequence[QueueRecord]) -> None:
    """Pass when these queues may be recorded beside those that are, of which these are the names.

    Raises:
        InvalidOption: there would be too many.
    """
    new = {record.name for record in records if record.name not in known}
    if new and len(known) + len(new) > limits.QUEUE_RECORDS_MAX:
        raise InvalidOption(
            f"{limits.QUEUE_RECORDS_MAX} queues are declared already (QUEUE_RECORDS_MAX).", field="queues"
        )


def check_queue_record(record: QueueRecord) -> None:
    """Pass when this may be declared of a queue.

    Raises:
        InvalidOption: it has a name, a number or a limit that it may not have.
    """
    check_queue_or_channel(record.name)
    check_rules(queue_scope(record.name), record.limits)
    check_names_needed(queue_scope(record.name), names_in(record.limits))
    kept = record.retention
    numbers = () if kept is None else (kept.records, kept.dead, kept.size_bytes)
    if any(number is not None and number < 0 for number in numbers):
        raise InvalidOption(f"queue {record.name}: what is kept is a number, 0 or more.", field="retention")


def _check_rule(what: str, rule: Rule, *, is_live: bool) -> None:
    try:
        _check_numbers(what, rule)
    except InvalidOption as error:
        if is_live:
            raise
        raise InvalidOption(error.message, field="limits") from None


def _check_numbers(what: str, rule: Rule) -> None:
    if isinstance(rule, ConcurrencyRule):
        _check_count(what, "a limit", rule.count, "concurrency")
        if rule.order == "fifo" and rule.per is None:
            raise InvalidOption(f"{what}: order='fifo' is of the jobs of one key; write per=… too.", field="order")
    else:
        _check_count(what, "a rate", rule.count, "rate")
        if not math.isfinite(rule.per_s) or not 0.0 < rule.per_s <= limits.RATE_PER_S_MAX:
            raise InvalidOption(
                f"{what}: a rate per {rule.per_s:g} seconds; write per_s=1.0 for a second, 60 for a minute, at most "
                f"{limits.RATE_PER_S_MAX:.0f}.",
                field="per_s",
            )
        if rule.burst is not None:
            _check_count(what, "a burst", rule.burst, "burst")
    if rule.per is not None and (len(rule.per) > limits.LIMIT_NAME_CHARS_MAX or not _PER.fullmatch(rule.per)):
        raise InvalidOption(
            f"{what}: {rule.per[:80]!r} is no name: per= takes a parameter, such as 'tenant', a path into one, such as "
            "'order.customer', or a header, such as 'header:user'.",
            field="per",
        )


def _check_count(what: str, which: str, count: int, field: str) -> None:
    if not 1 <= count <= limits.LIMIT_COUNT_MAX:
        raise InvalidOption(
            f"{what}: {which} of {count}; write 1 to {limits.LIMIT_COUNT_MAX}. To let nothing run, pause it.",
            field=field,
        )


def _kind(rule: Rule) -> tuple[str, str | None]:
    """What a scope has at most one of."""
    return ("rate" if isinstance(rule, RateRule) else "concurrency"), rule.per


def _order(rule: Rule) -> tuple[bool, str, bool]:
    return rule.per is not None, rule.per or "", isinstance(rule, RateRule)
