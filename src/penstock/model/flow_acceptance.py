"""What limits, fairness and names of arguments may be, checked with the same words at every door: where an application
declares them, where an operator sets them over HTTP or the command line, and where a store records them. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import ConcurrencyRule, FairRule, QueueRecord, RateRule, Retention, Rule, TaskFlow
from penstock.model.flow_texts import HEADER


def names_in(rules: Iterable[Rule], fair: FairRule | None = None) -> tuple[str, ...]:
    """The names that these limits and this fairness need the texts of, each once."""
    found = [rule.per for rule in rules if rule.per is not None]
    if fair is not None:
        found.append(fair.by)
    return tuple(dict.fromkeys(found))


def parameter_in(name: str) -> str | None:
    """The parameter that a name leads into: ``order`` of ``order.customer``. None: it means a header."""
    return None if name.startswith(HEADER) else name.partition(".")[0]


def check_name(name: str, field: str) -> None:
    """Pass when this may name a parameter, a path into one, or a header.

    Raises:
        InvalidOption: it may not.
    """
    text = name.removeprefix(HEADER)
    root, *path = name.split(".")
    is_parameter = root.isidentifier() and all(step.isidentifier() and not step.startswith("_") for step in path)
    if (
        not (is_parameter if text == name else text)
        or "\0" in name
        or not 0 < _size_bytes(name) <= limits.FLOW_NAME_BYTES_MAX
    ):
        raise InvalidOption(
            f'{field} has the name {name[:100]!r}: write a parameter of the task ("tenant"), a path into one'
            f' ("order.customer") or a header ("header:user"), of at most {limits.FLOW_NAME_BYTES_MAX} bytes.',
            field=field,
        )


def check_rules(rules: Sequence[Rule], field: str = "limits") -> None:
    """Pass when these may be the limits of one queue or task.

    Raises:
        InvalidOption: one is out of range, two are of one kind for the same ``per``, or they are too many.
    """
    if len(rules) > limits.FLOW_RULES_MAX:
        raise InvalidOption(
            f"{field} has {len(rules)} limits; a queue or a task has at most {limits.FLOW_RULES_MAX} (FLOW_RULES_MAX).",
            field=field,
        )
    seen: set[tuple[type, str | None]] = set()
    for rule in rules:
        check_rule(rule, field)
        kind = (type(rule), rule.per)
        if kind in seen:
            word = "Concurrency" if isinstance(rule, ConcurrencyRule) else "Rate"
            per = "without per=" if rule.per is None else f"with per={rule.per!r}"
            raise InvalidOption(f"{field} has two {word} limits {per}: keep the one that is meant.", field=field)
        seen.add(kind)


def check_rule(rule: Rule, field: str = "limits") -> None:
    """Pass when a limit is one that can be kept.

    Raises:
        InvalidOption: a number in it is out of range, or its name is none.
    """
    most = limits.FLOW_COUNT_MAX
    if not 1 <= rule.count <= most:
        raise InvalidOption(
            f"{field} has a limit of {rule.count}: give 1 to {most:,}. To let nothing run, pause the queue.",
            field=field,
        )
    if rule.per is not None:
        check_name(rule.per, field)
    if isinstance(rule, RateRule):
        _check_rate(rule, field)
    elif rule.order == "fifo" and (rule.per is None or rule.count != 1):
        raise InvalidOption(
            f'{field} has order="fifo", which is for the jobs of one key, one after another: write'
            ' Concurrency(1, per="customer", order="fifo").',
            field=field,
        )


def _check_rate(rule: RateRule, field: str) -> None:
    if not 0 < rule.per_s <= limits.FLOW_PER_S_MAX:
        raise InvalidOption(
            f"{field} has a rate per {rule.per_s} seconds: give more than 0, at most {limits.FLOW_PER_S_MAX:.0f}.",
            field=field,
        )
    if rule.burst is not None and not 1 <= rule.burst <= limits.FLOW_COUNT_MAX:
        raise InvalidOption(
            f"{field} has a burst of {rule.burst}: give 1 to {limits.FLOW_COUNT_MAX:,}; leave it out for as many as"
            " the rate has in its time.",
            field=field,
        )


def check_fair(rule: FairRule, field: str = "fair") -> None:
    """Pass when tenants can take turns like this.

    Raises:
        InvalidOption: its name is none, or a weight is out of range.
    """
    check_name(rule.by, field)
    if len(rule.weights) > limits.FAIR_WEIGHTS_MAX:
        raise InvalidOption(
            f"{field} has {len(rule.weights)} weights; at most {limits.FAIR_WEIGHTS_MAX} (FAIR_WEIGHTS_MAX): leave out"
            " those of 1, which is what a tenant has without one.",
            field=field,
        )
    least, most = limits.FAIR_WEIGHT_MIN, limits.FAIR_WEIGHT_MAX
    for tenant, weight in rule.weights.items():
        if not math.isfinite(weight) or not least <= weight <= most:
            raise InvalidOption(
                f"{field} has the weight {weight} for {tenant[:100]!r}: give {least:g} to {most:g}; one turn where"
                " others have one is 1.",
                field=field,
            )


def check_flow(task: str, flow: TaskFlow) -> None:
    """Pass when a task may have declared this.

    Raises:
        InvalidOption: it may not; the message names the task.
    """
    try:
        check_rules(flow.limits)
        if flow.fair is not None:
            check_fair(flow.fair)
        check_names_needed(names_in(flow.limits, flow.fair))
        check_searchable(flow.searchable, flow.sensitive)
    except InvalidOption as error:
        raise InvalidOption(f"{task}: {error.message}", field=error.field) from None


def check_names_needed(names: Sequence[str], field: str = "limits") -> None:
    """Pass when so many texts may travel with each job on behalf of one task or queue.

    Raises:
        InvalidOption: they are too many.
    """
    if len(names) > limits.FLOW_NAMES_DECLARED_MAX:
        raise InvalidOption(
            f"{field} needs {len(names)} names of each job; a task or a queue has at most"
            f" {limits.FLOW_NAMES_DECLARED_MAX} (FLOW_NAMES_DECLARED_MAX).",
            field=field,
        )


def check_searchable(searchable: Sequence[str], sensitive: Sequence[str]) -> None:
    """Pass when jobs may be found by these names, while those parameters are never shown.

    Raises:
        InvalidOption: they are too many, one is no name, or one is sensitive.
    """
    if len(searchable) > limits.FLOW_NAMES_DECLARED_MAX:
        raise InvalidOption(
            f"searchable has {len(searchable)} names; at most {limits.FLOW_NAMES_DECLARED_MAX}"
            " (FLOW_NAMES_DECLARED_MAX).",
            field="searchable",
        )
    for name in searchable:
        check_name(name, "searchable")
        parameter = parameter_in(name)
        if parameter in sensitive:
            raise InvalidOption(
                f"searchable has {name!r}, and {parameter!r} is sensitive: what is sensitive is never searched. Take it"
                " out of one of the two.",
                field="searchable",
            )


def check_queue_record(record: QueueRecord) -> None:
    """Pass when an application may declare this of a queue.

    Raises:
        InvalidOption: it may not; the message names the queue.
    """
    try:
        check_rules(record.limits)
        check_names_needed(names_in(record.limits))
        if record.age_s is not None and not 0 < record.age_s <= limits.DELAY_S_MAX:
            raise InvalidOption(
                f"age_s is {record.age_s}: give the seconds of waiting that count as one more priority, more than 0.",
                field="age_s",
            )
        if record.retention is not None:
            check_retention(record.retention)
    except InvalidOption as error:
        raise InvalidOption(f"The queue {record.name!r}: {error.message}", field=error.field) from None


def check_retention(retention: Retention) -> None:
    """Pass when so much may be kept.

    Raises:
        InvalidOption: a number is negative.
    """
    for name in ("records", "dead", "size_bytes"):
        value = getattr(retention, name)
        if value is not None and value < 0:
            raise InvalidOption(f"retention has {name}={value}: give 0 or more, or leave it out.", field="retention")


def _size_bytes(text: str) -> int:
    """The UTF-8 length; 0 where there is none, of half a character."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0
