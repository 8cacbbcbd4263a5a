"""``penstock store``: care of a store's file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli import options, output
from penstock.cli.nsq_directory import export_nsqd, import_nsqd
from penstock.cli.reaching import existing_store
from penstock.model.wording import counted
from penstock.process.terminal_text import visible

if TYPE_CHECKING:
    from penstock.model.store_file import CopyStep
    from penstock.store.care.migrating import Migration


def _show(step: CopyStep) -> None:
    """How far a copy is, for a person who waits at a terminal: one line of standard error, written over and over."""
    if not sys.stderr.isatty():
        return
    done = step.pages - step.left
    text = f"copied {done / max(step.pages, 1):.0%}"
    click.echo(f"\r{'' if step.is_done else text:12}\r", err=True, nl=False)


@click.group("store")
def command() -> None:
    """Care of a store's file: check it, back it up, give its space back, upgrade it; bring in an nsqd's messages."""


command.add_command(import_nsqd)
command.add_command(export_nsqd)


@command.command("check")
@options.url
@options.as_json
@click.option(
    "--scratch",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Where the copy is made that is checked while the store is served. [the store's directory]",
)
def check_command(url: str | None, as_json: bool, scratch: Path | None) -> int:
    """Check that nothing is damaged, every job is in one state, and the counts are right.

    A store that is served is copied, some pages at a time, and the copy is checked: that needs as much free space as
    the store has. Exit status 1: something was found.
    """
    from msgspec.structs import asdict

    from penstock.store.care.checking import check

    found = check(existing_store(options.configured(url=url)), scratch, _show)
    if as_json:
        told = found._asdict() | {"ok": not found.findings, "findings": [asdict(one) for one in found.findings]}
        output.print_json(told)
        return 1 if found.findings else 0
    for finding in found.findings:
        output.print_text(f"! {finding.name}: {visible(finding.detail)}")
    if found.instead:
        version = f"The store has schema version {found.schema_version}"
        output.print_text(f"{version}, so only SQLite's own structures were checked. For all of it, {found.instead}.")
    what = counted(len(found.findings), "finding") if found.findings else "Nothing is wrong"
    where = "a copy, as the store is served" if found.is_copy else "the file itself"
    output.print_text(f"{what}: {counted(found.jobs, 'job')} in {found.seconds:.1f} s, {where}.")
    return 1 if found.findings else 0


@command.command("stats")
@options.url
@options.as_json
def stats_command(url: str | None, as_json: bool) -> None:
    """Tell the sizes of the store's files, what is free in them, and the rows by table."""
    from penstock.store.care.telling import statistics_of

    told = statistics_of(existing_store(options.configured(url=url)))
    if as_json:
        output.print_json(
            {
                "schema_version": told.schema_version,
                "files": {
                    "database": told.size_bytes,
                    "log": told.log_bytes,
                    "redo": told.redo_bytes,
                    "reserve": told.reserve_bytes,
                },
                "disk_free_bytes": told.disk_free_bytes,
                "page_bytes": told.page_bytes,
                "pages": told.pages,
                "pages_free": told.pages_free,
                "rows": told.rows,
            }
        )
        return
    free_bytes = told.pages_free * told.page_bytes
    output.print_pairs(
        [
            ("schema version", str(told.schema_version)),
            ("database", output.size(told.size_bytes)),
            ("pages", f"{told.pages:,}, of them {told.pages_free:,} free ({output.size(free_bytes)})"),
            ("log", output.size(told.log_bytes)),
            ("redo log", output.size(told.redo_bytes)),
            ("reserve", output.size(told.reserve_bytes)),
            ("free on the disk", output.size(told.disk_free_bytes)),
        ]
    )
    output.print_table(["table", "rows"], [[name, f"{count:,}"] for name, count in sorted(told.rows.items())], ["rows"])


@command.command("backup")
@click.argument("target", type=click.Path(path_type=Path), metavar="DIRECTORY")
@options.url
@options.as_json
def backup_command(target: Path, url: str | None, as_json: bool) -> None:
    """Make a backup in a new DIRECTORY, while the store is served.

    It has all that was accepted before the backup began. To restore it, copy its files to where the store is to be.
    """
    from penstock.store.care.backing_up import back_up

    made = back_up(existing_store(options.configured(url=url)), target, _show)
    if as_json:
        output.print_json(made._asdict() | {"target": str(made.target)})
        return
    output.print_text(f"{visible(str(made.target))}: {output.size(made.size_bytes)} in {made.seconds:.1f} s.")


@command.command("compact")
@options.url
@options.as_json
def compact_command(url: str | None, as_json: bool) -> None:
    """Give the free pages of the database back to the disk. The store must not be served by `penstock up`.

    The database is written anew beside the old one, which needs as much free space as there is in it. Programs that use
    the store wait meanwhile: about 3 s for a million jobs.
    """
    from penstock.store.care.compacting import compact

    done = compact(existing_store(options.configured(url=url)))
    if as_json:
        output.print_json(done._asdict())
        return
    before, after = output.size(done.before_bytes), output.size(done.after_bytes)
    output.print_text(f"The database had {before} and has {after}; that took {done.seconds:.1f} s.")


@command.command("migrate")
@options.url
@options.as_json
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
def migrate_command(url: str | None, as_json: bool, dry_run: bool) -> int:
    """Upgrade the store to the schema of this Penstock, as opening it would. Exit status 1: it cannot be done now.

    It happens in one transaction: when it is interrupted or finds no room, the store is as it was.
    """
    from penstock.store.care.migrating import migrate, plan

    directory = existing_store(options.configured(url=url))
    found = plan(directory) if dry_run else migrate(directory)
    if as_json:
        output.print_json(found._asdict() | {"can_be_done": found.can_be_done})
    else:
        _print_migration(found)
    return 0 if found.can_be_done else 1


def _print_migration(found: Migration) -> None:
    if found.version > found.target:
        output.print_text(
            f"The store has schema version {found.version}, this Penstock knows up to {found.target}: upgrade Penstock."
        )
        return
    if not found.steps:
        output.print_text(f"The store has schema version {found.version}, as this Penstock wants it.")
        return
    output.print_text(
        f"Schema version {found.version} to {found.target}, which needs {output.size(found.needed_bytes)} of free "
        f"space; there are {output.size(found.free_bytes)}."
    )
    if found.rewrites:
        output.print_text("Most of the file is written anew: about 6 s for a million jobs.")
    if not found.can_be_done:
        output.print_text("There is not enough room; nothing was changed.")
    elif found.is_done:
        output.print_text(f"Done in {found.seconds:.1f} s.")
