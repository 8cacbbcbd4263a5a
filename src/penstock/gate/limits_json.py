"""Limits as JSON: what ``/v1/limits`` and ``penstock limits --json`` show, and the change that an operator asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, structs

from penstock.gate.job_json import time_text
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, Order, RateRule, Rule, TaskFlow
from penstock.model.limits_in_force import LimitView


def limits_json(views: Iterable[LimitView]) -> dict[str, Any]:
    """The limits in force, as ``GET /v1/limits`` shows them."""
    return {"limits": [limit_json(view) for view in views]}


def limit_json(view: LimitView) -> dict[str, Any]:
    """One limit."""
    return {
        "scope": view.scope,
        **rule_json(view.rule),
        "source": view.source,
        "declared": None if view.declared is None else rule_json(view.declared),
        "in_use": view.in_use,
        "waiting": view.waiting,
        "next_free_at": time_text(view.next_free_at),
    }


def rule_json(rule: Rule) -> dict[str, Any]:
    """A limit by itself, in the words of a `LimitChange`."""
    if isinstance(rule, ConcurrencyRule):
        return {"per": rule.per, "concurrency": rule.count, "order": rule.order}
    burst = rule.count if rule.burst is None else rule.burst
    return {"per": rule.per, "rate": rule.count, "per_s": rule.per_s, "burst": burst}


def flow_json(flow: TaskFlow) -> dict[str, Any]:
    """What a task declares of its jobs' flow, as ``penstock tasks --json`` shows it."""
    unique, fair = flow.unique, flow.fair
    return {
        "limits": [rule_json(rule) for rule in flow.limits],
        "unique": None if unique is None else structs.asdict(unique),
        "fair": None if fair is None else structs.asdict(fair),
        "searchable": flow.searchable,
        "sensitive": flow.sensitive,
    }


class LimitChange(Struct, forbid_unknown_fields=True):
    """Live limits that an operator asks for: of how many run at a time, of how many start in a time, or of both.

    Attributes:
        scope: ``queue:NAME`` or ``task:NAME``; None: it is said elsewhere, such as in a path.
        per: for each text of this name; None: for all together.
        concurrency: so many jobs at a time.
        order: of the jobs of one key, with ``per`` and ``concurrency``.
        rate: so many jobs in ``per_s`` seconds.
        per_s: None: 1.
        burst: so many at once; None: ``rate``.
    """

    scope: str | None = None
    per: str | None = None
    concurrency: int | None = None
    order: Order | None = None
    rate: int | None = None
    per_s: float | None = None
    burst: int | None = None

    def rules(self) -> list[Rule]:
        """The limits, one of each kind at most. Whether their numbers may be is the store's to say.

        Raises:
            InvalidOption: there is none, or a field stands without the one that it belongs to.
        """
        for field in ("per_s", "burst"):
            if self.rate is None and getattr(self, field) is not None:
                raise InvalidOption(f"{field} belongs to a rate: give rate too.", field=field)
        if self.order is not None and self.concurrency is None:
            raise InvalidOption("order belongs to a concurrency: give concurrency too.", field="order")
        if self.concurrency is None and self.rate is None:
            raise InvalidOption(
                "Name a limit: concurrency (jobs at a time), rate (jobs in per_s seconds), or both. To take live limits"
                " away, restore them.",
                field="concurrency",
            )
        found: list[Rule] = []
        if self.concurrency is not None:
            found.append(ConcurrencyRule(self.concurrency, self.per, self.order or "priority"))
        if self.rate is not None:
            found.append(RateRule(self.rate, 1.0 if self.per_s is None else self.per_s, self.burst, self.per))
        return found
