"""``penstock limits``: how many jobs may run, and start, at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from penstock.cli import options, output
from penstock.cli.reaching import reached, user_name
from penstock.model import limits
from penstock.model.errors import InvalidOption

if TYPE_CHECKING:
    from penstock.gate.limits_json import LimitChange
    from penstock.model.limit_changes import KnownScopes
    from penstock.model.limits_in_force import LimitView
    from penstock.ports import BlockingStore

_ACTIONS: Final = ("set", "restore")


@click.command("limits")
@click.argument("scope", metavar="[SCOPE]", required=False)
@click.argument("action", type=click.Choice(_ACTIONS), metavar=f"[{'|'.join(_ACTIONS)}]", required=False)
@options.url
@options.as_json
@click.option("--per", metavar="NAME", help="For each value of this argument or header, such as tenant or header:user.")
@click.option("--concurrency", type=options.Whole(), metavar="N", help="So many jobs at a time.")
@click.option("--order", type=click.Choice(["priority", "fifo"]), help="Of the jobs of one value of --per.")
@click.option("--rate", type=options.Whole(), metavar="N", help="So many jobs in --per-s seconds.")
@click.option("--per-s", "per_s", type=options.Seconds(), metavar="SECONDS", help="What --rate counts over. [1]")
@click.option("--burst", type=options.Whole(), metavar="N", help="So many at once after a quiet time. [--rate]")
def command(
    scope: str | None,
    action: str | None,
    url: str | None,
    as_json: bool,
    per: str | None,
    concurrency: int | None,
    order: str | None,
    rate: int | None,
    per_s: float | None,
    burst: int | None,
) -> None:
    """List the limits in force; show those of one SCOPE; set live ones, or restore what is declared.

    SCOPE is queue:NAME or task:NAME. A live limit wins over what the application declares, also when workers start
    anew, until it is restored.
    """
    from penstock.gate.limits_json import LimitChange, limits_json

    change = LimitChange(scope, per, concurrency, order, rate, per_s, burst)  # type: ignore[arg-type]  # click's choice
    if scope in _ACTIONS:
        raise click.UsageError(f"Name the scope first: penstock limits SCOPE {scope}. It is queue:NAME or task:NAME.")
    _check_usage(action, change)
    with reached(options.configured(url=url)) as client:
        if action == "set":
            _set(client, change)
        elif action == "restore":
            client.restore_limits(str(scope), per, by=user_name())
        views = [view for view in client.limits() if scope is None or view.scope == scope]
        if scope is not None and not views:
            # More often a name that was mistyped than a queue that has no limits.
            _known(client, scope).check_there(scope)
    if as_json:
        output.print_json(limits_json(views))
        return
    if not views:
        output.print_text("No limits." if scope is None else "It has no limits.")
        return
    output.print_table(
        ["scope", "limit", "from", "in use", "waiting", "next start"],
        [_row(view) for view in views],
        numbers=["in use", "waiting"],
    )


def _check_usage(action: str | None, change: LimitChange) -> None:
    """Pass when the options go with the action.

    Raises:
        click.UsageError: they do not.
    """
    given = [name for name in ("concurrency", "order", "rate", "per_s", "burst") if getattr(change, name) is not None]
    if action != "set" and given:
        raise click.UsageError(f"--{given[0].replace('_', '-')} goes with set: penstock limits SCOPE set …")
    if action is None and change.per is not None:
        raise click.UsageError("--per goes with set and restore.")
    if action == "set":
        try:
            change.rules()
        except InvalidOption as error:
            raise click.UsageError(error.message) from None


def _set(client: BlockingStore, change: LimitChange) -> None:
    scope, rules = str(change.scope), change.rules()
    _known(client, scope).check(scope, rules)
    client.put_limits(scope, rules, by=user_name())


def _known(client: BlockingStore, scope: str) -> KnownScopes:
    from penstock.model.limit_changes import KnownScopes
    from penstock.model.limits_in_force import check_scope

    queue, _ = check_scope(scope)
    with_jobs = [] if queue is None else [view.name for view in client.queues(names=[queue]).queues]
    return KnownScopes(client.tasks(), client.declared_queues(), with_jobs)


def _row(view: LimitView) -> list[str]:
    from penstock.model.limits_in_force import rule_text

    source: str = view.source
    if view.source == "live":
        source += " (declared: none)" if view.declared is None else f" (declared: {rule_text(view.declared)})"
    return [
        view.scope,
        rule_text(view.rule),
        source,
        f"{view.in_use:,}",
        f"{view.waiting:,}" + ("+" if view.waiting >= limits.LIMIT_WAITING_MAX else ""),
        output.when(view.next_free_at),
    ]
