"""``penstock store import-nsqd`` and ``export-nsqd``: messages out of an nsqd's data directory, and into one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli import options, output
from penstock.cli.reaching import reached
from penstock.model import limits
from penstock.model.wording import counted
from penstock.process.terminal_text import visible

if TYPE_CHECKING:
    from penstock.nsq.data_directory.exporting import DirectoryExport
    from penstock.nsq.data_directory.importing import DirectoryImport
    from penstock.nsq.data_directory.queue_reading import LostBytes

__all__ = ["export_nsqd", "import_nsqd"]

_WIDTH = 78


def _show(queue: str, messages: int) -> None:
    """How far it is, for a person who waits at a terminal: one line of standard error, written over and over."""
    if sys.stderr.isatty():
        click.echo(f"\r{visible(queue)}: {messages:,}"[:_WIDTH].ljust(_WIDTH), err=True, nl=False)


def _end_of_showing() -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{'':{_WIDTH}}\r", err=True, nl=False)


@click.command("import-nsqd")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIRECTORY")
@options.url
@options.as_json
@click.option("--dry-run", is_flag=True, help="Only count what would be imported, and what is lost.")
@click.option(
    "--bad-files",
    type=click.Choice(["none", "damaged", "all"]),
    default="damaged",
    show_default=True,
    help="What to take of files that nsqd has put aside as .bad: from the first damage on, or all.",
)
def import_nsqd(directory: Path, url: str | None, as_json: bool, dry_run: bool, bad_files: str) -> int:
    """Import an nsqd's data DIRECTORY: topics, channels, which are paused, and every message that is to be delivered.

    The nsqd must have been stopped (SIGTERM). Nothing in DIRECTORY is changed. An import that was interrupted is run
    again and goes on. Exit status 1: something there is damaged or missing; it is named, and all else is imported.
    """
    from penstock.nsq.data_directory.importing import import_directory
    from penstock.nsq.data_directory.queue_reading import BadFiles
    from penstock.store.opening import open_store

    store = None if dry_run else open_store(options.configured(url=url).url)
    try:
        done = import_directory(store, directory, bad_files=BadFiles(bad_files), show=_show)
    finally:
        _end_of_showing()
        if store is not None:
            store.close()
    if as_json:
        output.print_json(_import_json(done, dry_run=dry_run))
    else:
        _print_import(done, dry_run=dry_run)
    return 1 if done.has_losses else 0


def _import_json(done: DirectoryImport, *, dry_run: bool) -> dict[str, object]:
    queues = [
        {
            "queue": queue.queue,
            "imported": queue.imported,
            "known": queue.known,
            "lost": [_lost_json(lost) for lost in queue.lost],
            "lost_more": queue.lost_more,
            "notes": queue.notes,
        }
        for queue in done.queues
    ]
    told = {"topics": done.topics, "channels": done.channels, "dry_run": dry_run}
    return {**told, "queues": queues, "notes": done.notes, "ok": not done.has_losses}


def _lost_json(lost: LostBytes) -> dict[str, object]:
    return {"file": lost.file, "offset": lost.offset, "bytes": lost.size, "why": lost.why.value}


def _print_import(done: DirectoryImport, *, dry_run: bool) -> None:
    rows = [
        [visible(queue.queue), f"{queue.imported:,}", f"{queue.known:,}", f"{len(queue.lost) + queue.lost_more:,}"]
        for queue in done.queues
    ]
    if rows:
        columns = ["to import" if dry_run else "imported", "before", "lost"]
        output.print_table(["queue", *columns], rows, columns)
    for note in done.notes:
        output.print_text(visible(note))
    for queue in done.queues:
        for note in queue.notes:
            output.print_text(f"{visible(queue.queue)}: {visible(note)}")
        for lost in queue.lost:
            size = counted(lost.size, "byte") if lost.size else "how much is not known"
            place = f"! {visible(lost.file)}, from byte {lost.offset}: {size} lost, "
            output.print_text(f"{place}{lost.why.value}.")
        if queue.lost_more:
            output.print_text(f"! {visible(queue.queue)}: {queue.lost_more:,} more like these.")
    there = f"{counted(done.topics, 'topic')}, {counted(done.channels, 'channel')}"
    count = counted(sum(queue.imported for queue in done.queues), "message")
    output.print_text(f"{there}, {count}{' to import' if dry_run else ' imported'}.")


@click.command("export-nsqd")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIRECTORY")
@options.url
@options.as_json
@click.option(
    "--max-bytes-per-file",
    type=options.Whole(1, 1 << 40),
    default=limits.NSQ_EXPORT_FILE_BYTES,
    show_default=True,
    help="What a file of a queue has at most.",
)
@click.option(
    "--max-msg-size",
    type=options.Whole(1, limits.JOB_BODY_BYTES_MAX),
    default=limits.NSQ_EXPORT_MESSAGE_BYTES,
    show_default=True,
    help="The -max-msg-size of the nsqd that is to run there.",
)
def export_nsqd(directory: Path, url: str | None, as_json: bool, max_bytes_per_file: int, max_msg_size: int) -> None:
    """Write the store's topics, channels and messages into a new data DIRECTORY for nsqd 1.3.

    The store keeps all of it: stop what publishes and what consumes first, or both have the messages. Messages in
    flight and deferred ones are written like those that wait, as nsqd does when it stops.
    """
    from penstock.nsq.data_directory.exporting import export_directory

    with reached(options.configured(url=url)) as client:
        try:
            done = export_directory(
                client, directory, file_bytes_max=max_bytes_per_file, message_bytes_max=max_msg_size, show=_show
            )
        finally:
            _end_of_showing()
    if as_json:
        queues = [
            {
                "queue": queue.queue,
                "exported": queue.exported,
                "deferred": queue.deferred,
                "in_flight": queue.in_flight,
                "dead_left": queue.dead,
            }
            for queue in done.queues
        ]
        output.print_json({"topics": done.topics, "channels": done.channels, "queues": queues, "notes": done.notes})
    else:
        _print_export(done)


def _print_export(done: DirectoryExport) -> None:
    columns = ["exported", "deferred", "in flight", "dead, left"]
    rows = [
        [visible(one.queue), f"{one.exported:,}", f"{one.deferred:,}", f"{one.in_flight:,}", f"{one.dead:,}"]
        for one in done.queues
    ]
    if rows:
        output.print_table(["queue", *columns], rows, columns)
    for note in done.notes:
        output.print_text(visible(note))
    there = f"{counted(done.topics, 'topic')}, {counted(done.channels, 'channel')}"
    output.print_text(f"{there}, {counted(sum(one.exported for one in done.queues), 'message')} exported.")
