"""What a task declares of its jobs' flow, checked against the parameters of its function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from penstock.model.errors import InvalidOption
from penstock.model.flow import FairRule, Rule, TaskFlow, UniqueRule
from penstock.model.flow_acceptance import check_flow, names_in, parameter_in
from penstock.model.flow_texts import HEADER
from penstock.model.limits_in_force import check_rules
from penstock.tasks.arguments.codec import Codec
from penstock.tasks.arguments.named_places import check_names as check_texts
from penstock.tasks.names import refuse, shown


def declared_flow(
    task: str,
    *,
    limits: tuple[Rule, ...],
    unique: UniqueRule | None = None,
    fair: FairRule | None,
    searchable: tuple[str, ...],
    sensitive: tuple[str, ...],
) -> TaskFlow | None:
    """What a task declares, by itself; None: nothing. `check_names` holds it against the function.

    Raises:
        InvalidOption: two options contradict each other, or one is not what it may be.
    """
    if not (limits or unique or fair or searchable or sensitive):
        return None
    flow = TaskFlow(limits=limits, unique=unique, fair=fair, searchable=searchable, sensitive=sensitive)
    check_rules(task, limits)
    check_flow(task, flow)
    if fair is not None and fair.weights and parameter_in(fair.by) in sensitive:
        raise InvalidOption(
            f"{task}: fair has weights by {fair.by!r}, which is sensitive: weights are recorded as they stand here."
            " Leave them out, or take it out of sensitive.",
            field="fair",
        )
    return flow


def check_names(task: str, flow: TaskFlow, codec: Codec) -> None:
    """Pass when the function has what the rules name.

    Raises:
        InvalidOption: it lacks a parameter, or its type lacks a field; the message names those it has. Or an annotation
            cannot be resolved.
    """
    codec.texts("limits", check_texts("limits", names_in(flow.limits)))
    if flow.fair is not None:
        codec.texts("fair", check_texts("fair", [flow.fair.by]))
    if flow.unique is not None:
        codec.texts("unique", check_texts("unique", flow.unique.names))
    codec.texts("searchable", check_texts("searchable", flow.searchable))
    has = [name for name, _ in codec.default_texts()]
    for name in flow.sensitive:
        if name not in has:
            what = "a header" if name.startswith(HEADER) else "no parameter of it"
            raise InvalidOption(
                f"{task}: sensitive has {name!r}, which is {what}: name whole parameters; it has"
                f" {', '.join(has) or 'none'}.",
                field="sensitive",
            )


def checked_names(option: str, given: object) -> tuple[str, ...]:
    """The names in an option such as ``searchable``, each once.

    Raises:
        InvalidOption: it is no list of texts.
    """
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        refuse(option, f'is {shown(given)}: give a list of names, such as ["order_id"]')
    found = tuple(given)
    for name in found:
        if not isinstance(name, str):
            refuse(option, f'has {shown(name)}: give names of parameters, such as "order_id"')
    return tuple(dict.fromkeys(found))
