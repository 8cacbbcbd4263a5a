"""What tasks may declare of fairness and search, and how many names of arguments they may use, checked with the same
words where an application declares them and where a store records them. Pure.

Limits: `penstock.model.limits_in_force`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.flow import FairRule, Rule, TaskFlow, UniqueRule
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


def check_flow(task: str, flow: TaskFlow) -> None:
    """Pass when a task may declare this, its limits aside.

    Raises:
        InvalidOption: it may not; the message names the task.
    """
    if flow.fair is not None:
        check_fair(task, flow.fair)
    if flow.unique is not None:
        check_unique(task, flow.unique)
    check_names_needed(task, names_in(flow.limits, flow.fair))
    _check_searchable(task, flow.searchable, flow.sensitive)


def check_unique(what: str, rule: UniqueRule) -> None:
    """Pass when jobs can be unique by this rule. ``what``: whose it is, for the text of the error.

    Raises:
        InvalidOption: its period is out of range, it has too many names, or no states.
    """
    if rule.period_s is not None and not 0 < rule.period_s <= limits.DELAY_S_MAX:
        raise InvalidOption(
            f"{what}: the period of a unique job is {rule.period_s} seconds: give more than 0, at most"
            f" {limits.DELAY_S_MAX:.0f}; leave it out to go by the job's state alone.",
            field="unique",
        )
    if not rule.states:
        raise InvalidOption(f"{what}: a unique job keeps others away in one state at least.", field="unique")
    if len(rule.names) > limits.JOB_VALUES_MAX:
        raise InvalidOption(
            f"{what}: a unique key is made of {len(rule.names)} names; the limit (JOB_VALUES_MAX) is"
            f" {limits.JOB_VALUES_MAX}.",
            field="unique",
        )


def check_fair(what: str, rule: FairRule) -> None:
    """Pass when tenants can take turns like this. ``what``: whose it is, for the text of the error.

    Raises:
        InvalidOption: its name is too long, or a weight is out of range.
    """
    if not rule.by or len(rule.by) > limits.LIMIT_NAME_CHARS_MAX:
        raise InvalidOption(
            f"{what}: fair is by {rule.by[:80]!r}: name the parameter that says whose job it is, such as 'tenant', in"
            f" at most {limits.LIMIT_NAME_CHARS_MAX} characters.",
            field="fair",
        )
    if len(rule.weights) > limits.FAIR_WEIGHTS_MAX:
        raise InvalidOption(
            f"{what}: {len(rule.weights)} weights of tenants; at most {limits.FAIR_WEIGHTS_MAX} (FAIR_WEIGHTS_MAX). "
            "Leave out those of 1, which is what a tenant has without one.",
            field="fair",
        )
    least, most = limits.FAIR_WEIGHT_MIN, limits.FAIR_WEIGHT_MAX
    for tenant, weight in rule.weights.items():
        if not math.isfinite(weight) or not least <= weight <= most:
            raise InvalidOption(
                f"{what}: the weight {weight:g} for {tenant[:80]!r}; write {least:g} to {most:g}. A tenant"
                " without one has 1.",
                field="fair",
            )


def check_names_needed(what: str, names: Sequence[str]) -> None:
    """Pass when so many texts may travel with each job on behalf of one task or queue.

    Raises:
        InvalidOption: they are too many.
    """
    if len(names) > limits.FLOW_NAMES_DECLARED_MAX:
        raise InvalidOption(
            f"{what}: its limits and fairness count by {len(names)} names; at most {limits.FLOW_NAMES_DECLARED_MAX}"
            " (FLOW_NAMES_DECLARED_MAX).",
            field="limits",
        )
    _check_sizes(what, names, limits.JOB_VALUE_NAME_BYTES_MAX, "limits")


def _check_sizes(what: str, names: Sequence[str], bytes_max: int, field: str) -> None:
    for name in names:
        if not 0 < len(name.encode("utf-8", "replace")) <= bytes_max:
            raise InvalidOption(f"{what}: the name {name[:80]!r} has 1 to {bytes_max} bytes.", field=field)


def _check_searchable(what: str, searchable: Sequence[str], sensitive: Sequence[str]) -> None:
    if len(searchable) > limits.FLOW_NAMES_DECLARED_MAX:
        raise InvalidOption(
            f"{what}: searchable has {len(searchable)} names; at most {limits.FLOW_NAMES_DECLARED_MAX}"
            " (FLOW_NAMES_DECLARED_MAX).",
            field="searchable",
        )
    _check_sizes(what, searchable, limits.JOB_VALUE_NAME_BYTES_MAX, "searchable")
    for name in searchable:
        if parameter_in(name) in sensitive:
            raise InvalidOption(
                f"{what}: searchable has {name!r}, and {parameter_in(name)!r} is sensitive. What is sensitive is never"
                " searched: take it out of one of the two.",
                field="searchable",
            )
