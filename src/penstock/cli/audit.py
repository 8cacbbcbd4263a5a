"""``penstock audit``: who did what by hand."""

from __future__ import annotations

import click

from penstock.cli import options, output
from penstock.cli.reaching import reached
from penstock.model import limits


@click.command("audit")
@options.url
@options.as_json
@click.option(
    "--limit", type=options.Whole(1, limits.PAGE_AUDIT_MAX), default=50, show_default=True, help="Entries in one page."
)
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
def command(url: str | None, as_json: bool, limit: int, cursor: str | None) -> None:
    """List what operators have done, newest first: who, when, what, and to how many jobs."""
    from penstock.gate.operator_json import audit_json

    with reached(options.configured(url=url)) as client:
        page = client.audit(cursor=cursor, limit=limit)
    if as_json:
        output.print_json(audit_json(page))
        return
    if not page.entries:
        output.print_text("Nobody has done anything by hand.")
        return
    output.print_table(
        ["when", "who", "what", "to what", "jobs", "note"],
        [
            [output.when(one.at), one.by, one.verb, one.subject, "" if one.count is None else f"{one.count:,}"]
            + [one.note or ""]
            for one in page.entries
        ],
        numbers=["jobs"],
    )
    if page.cursor is not None:
        output.print_text(f"There are more: --cursor {page.cursor}")
