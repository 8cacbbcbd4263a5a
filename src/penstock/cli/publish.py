"""``penstock publish TOPIC [BODY]``: messages by hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from penstock.cli import options, output
from penstock.model import limits
from penstock.model.wording import counted

if TYPE_CHECKING:
    from penstock.tasks.app import Penstock

_LINES_AT_ONCE: Final = 1_000


@click.command("publish")
@click.argument("topic", metavar="TOPIC")
@click.argument("body", metavar="[BODY]", required=False)
@options.url
@options.as_json
@click.option("--lines", is_flag=True, help="Each line of standard input is a message.")
@click.option("--key", metavar="KEY", help="Travels in the header 'key': for consumers that keep order by key.")
@click.option("--header", "headers", multiple=True, metavar="NAME=TEXT", callback=options.named_texts, help="A header.")
@click.option("--delay", "delay_s", type=options.Seconds(), metavar="SECONDS", help="Not before this long from now.")
@click.option("--idempotency-key", metavar="KEY", help="A second message with it, within a day, adds nothing.")
def command(
    topic: str,
    body: str | None,
    url: str | None,
    as_json: bool,
    lines: bool,
    key: str | None,
    headers: dict[str, str] | None,
    delay_s: float | None,
    idempotency_key: str | None,
) -> None:
    """Publish one message to TOPIC: BODY as it is, or all of standard input. A topic that is not there is made.

    With --lines, each line of standard input is a message; they are published a thousand at a time.
    """
    from penstock.tasks.app import Penstock

    if lines and body is not None:
        raise click.UsageError("Give BODY, or --lines, not both.")
    if lines and idempotency_key is not None:
        raise click.UsageError("--idempotency-key goes with one message.")
    with Penstock(options.configured(url=url).url) as app:
        if lines:
            _publish_lines(app, topic, as_json, headers=headers, key=key, delay_s=delay_s)
            return
        text = sys.stdin.buffer.read(limits.JOB_BODY_BYTES_MAX + 1) if body is None else body.encode()
        done = app.publish(topic, text, headers=headers, key=key, delay_s=delay_s, idempotency_key=idempotency_key)
    if as_json:
        shown = {"id": done.message_id, "channels": done.channels, "duplicate": done.duplicate}
        output.print_json({**shown, "durability": done.durability})
    else:
        output.print_text(f"{done.message_id}{_told(done.channels, is_duplicate=done.duplicate)}")


def _publish_lines(
    app: Penstock, topic: str, as_json: bool, *, headers: dict[str, str] | None, key: str | None, delay_s: float | None
) -> None:
    count, channels = 0, 0
    while batch := [line for _, line in zip(range(_LINES_AT_ONCE), sys.stdin.buffer, strict=False)]:
        bodies = [line.removesuffix(b"\n") for line in batch]
        done = app.publish_many(topic, bodies, headers=headers, key=key, delay_s=delay_s)
        count, channels = count + len(done), done[-1].channels
    if as_json:
        output.print_json({"published": count, "channels": channels})
    else:
        output.print_text(f"{counted(count, 'message')}{_told(channels)}" if count else "There was no line.")


def _told(channels: int, *, is_duplicate: bool = False) -> str:
    """What became of it besides."""
    if is_duplicate:
        return " (a duplicate: nothing was added)"
    return f" ({counted(channels, 'channel')})" if channels else " (kept for the first channel)"
