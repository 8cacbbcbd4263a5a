"""``penstock tasks``: what workers have recorded."""

from __future__ import annotations

import click
import msgspec

from penstock.cli import options, output
from penstock.cli.store import reached


@click.command("tasks")
@options.url
@options.as_json
def command(url: str | None, as_json: bool) -> None:
    """List the tasks that workers have recorded in the store."""
    with reached(options.configured(url=url)) as client:
        records = client.tasks()
    if as_json:
        output.print_json({"tasks": [msgspec.structs.asdict(record) for record in records]})
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
