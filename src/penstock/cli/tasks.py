"""``penstock tasks``: what workers have recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from penstock.cli import acting, holding, options, output
from penstock.cli.reaching import reached

if TYPE_CHECKING:
    from penstock.model.holds import Hold
    from penstock.model.job import TaskRecord


_ACTIONS: Final = ("pause", "resume", "drain", "empty")


@click.command("tasks")
@click.argument("name", metavar="[NAME]", required=False)
@click.argument("action", type=click.Choice(_ACTIONS), metavar=f"[{'|'.join(_ACTIONS)}]", required=False)
@options.url
@options.as_json
@acting.throttled
def command(
    name: str | None,
    action: str | None,
    url: str | None,
    as_json: bool,
    dry_run: bool,
    per_s: float | None,
    note: str | None,
    wait: bool,
) -> int:
    """List the tasks that workers have recorded in the store; pause, resume, drain or empty one, in all queues.

    What the words mean: penstock queues --help.
    """
    if name is not None and action is None:
        raise click.UsageError(f"Say what to do with it: penstock tasks {name} [{'|'.join(_ACTIONS)}]")
    if wait and action != "empty":
        raise click.UsageError("--wait goes with empty.")
    pace = acting.Pace(dry_run, per_s, note, wait)
    holding.check_usage(action, pace)
    with reached(options.configured(url=url)) as client:
        if name is not None and action == "empty":
            where = acting.filter_of(task=name)
            return holding.empty(client, where, as_json, pace)
        if name is not None and action is not None:
            holding.hold(client, action, note, task=name)
        records = [record for record in client.tasks() if name in (None, record.name)]
        holds = [hold for hold in client.holds() if hold.queue is None and name in (None, hold.task)]
    if as_json:
        from penstock.gate.operator_json import hold_json

        held = [hold_json(hold) for hold in holds]
        output.print_json({"tasks": [_document(record) for record in records], "holds": held})
    elif name is not None:
        output.print_text(f"{name}: {holding.held_text(holds) or 'not held'}")
    else:
        _print(records, holds)
    return 0


def _print(records: list[TaskRecord], holds: list[Hold]) -> None:
    if not records:
        output.print_text("No worker has recorded a task yet.")
        return
    output.print_table(
        ["task", "queue", "priority", "attempts", "expires", "result kept", "record kept", "tags", "held"],
        [
            [record.name, record.queue, str(record.priority), str(record.max_attempts), output.span(record.expires_s)]
            + [output.span(record.keep_result_s), output.span(record.keep_record_s), ", ".join(record.tags)]
            + [holding.held_text(hold for hold in holds if hold.task == record.name)]
            for record in records
        ],
        numbers=["priority", "attempts"],
    )


def _document(record: TaskRecord) -> dict[str, Any]:
    from penstock.gate.limits_json import flow_json

    return {**msgspec.structs.asdict(record), "flow": None if record.flow is None else flow_json(record.flow)}
