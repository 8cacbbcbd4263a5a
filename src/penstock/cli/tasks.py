"""``penstock tasks``: what workers have recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from penstock.cli import options, output
from penstock.cli.reaching import reached

if TYPE_CHECKING:
    from penstock.model.job import TaskRecord


@click.command("tasks")
@options.url
@options.as_json
def command(url: str | None, as_json: bool) -> None:
    """List the tasks that workers have recorded in the store."""
    with reached(options.configured(url=url)) as client:
        records = client.tasks()
    if as_json:
        output.print_json({"tasks": [_document(record) for record in records]})
        return
    if not records:
        output.print_text("No worker has recorded a task yet.")
        return
    output.print_table(
        ["task", "queue", "priority", "attempts", "expires", "result kept", "record kept", "tags"],
        [
            [record.name, record.queue, str(record.priority), str(record.max_attempts), output.span(record.expires_s)]
            + [output.span(record.keep_result_s), output.span(record.keep_record_s), ", ".join(record.tags)]
            for record in records
        ],
        numbers=["priority", "attempts"],
    )


def _document(record: TaskRecord) -> dict[str, Any]:
    from penstock.gate.limits_json import flow_json

    return {**msgspec.structs.asdict(record), "flow": None if record.flow is None else flow_json(record.flow)}
