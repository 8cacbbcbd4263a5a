"""``penstock topics``: topics with their channels, and what can be done about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from penstock.cli import acting, holding, options, output
from penstock.cli.reaching import reached, user_name
from penstock.model import limits
from penstock.model.actions import Verb

if TYPE_CHECKING:
    from penstock.model.topics import TopicView
    from penstock.ports import BlockingStore

_ACTIONS: Final = ("create", "delete", "pause", "resume", "replay")


@click.command("topics")
@click.argument("name", metavar="[TOPIC[:CHANNEL]]", required=False)
@click.argument("action", type=click.Choice(_ACTIONS), metavar=f"[{'|'.join(_ACTIONS)}]", required=False)
@options.url
@options.as_json
@click.option("--limit", type=options.Whole(1, limits.PAGE_QUEUES_MAX), help="Topics in one page. [500]")
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
@click.option("--since", type=options.Time(), metavar="TIME", help="Of `replay`: published then or later; 2h: ago.")
@click.option("--until", type=options.Time(), metavar="TIME", help="Of `replay`: published before this time.")
@acting.throttled
def command(  # noqa: PLR0917 - one for each option
    name: str | None,
    action: str | None,
    url: str | None,
    as_json: bool,
    limit: int | None,
    cursor: str | None,
    since: float | None,
    until: float | None,
    dry_run: bool,
    per_s: float | None,
    note: str | None,
    wait: bool,
) -> int:
    """List topics; show one; create, delete, pause or resume a topic or a channel; replay a channel.

    A paused topic gives out nothing in any of its channels, which get what is published; resumed, it leaves channels
    paused that were paused by themselves. A channel is a queue as well: penstock queues TOPIC:CHANNEL empties it.
    Deleting throws away what is in it. A replay delivers messages once more that were finished, as far as records of
    them are kept; it says since when there are any. Exit status 1: there is no such topic or channel.
    """
    pace = acting.Pace(dry_run, per_s, note, wait)
    is_replay = action == "replay"
    if not is_replay and (pace != acting.Pace(note=note) or since is not None or until is not None):
        raise click.UsageError("--since, --until, --dry-run, --per-s and --wait go with replay.")
    if note is not None and action not in ("replay", "pause"):
        raise click.UsageError("--note goes with replay and pause.")
    if action is None and name in _ACTIONS:
        raise click.UsageError(f"Name the topic or the channel first: penstock topics TOPIC[:CHANNEL] {name}")
    if name is not None and (limit is not None or cursor is not None):
        raise click.UsageError("--limit and --cursor go with the list of topics.")
    with reached(options.configured(url=url)) as client:
        if name is None:
            return _list(client, limit or limits.PAGE_QUEUES, cursor, as_json)
        topic, colon, channel = name.partition(":")
        if is_replay:
            from penstock.model.filter import Filter

            where = Filter(queue=name, since=since, until=until)
            return acting.tell(acting.act(client, Verb.REPLAY, where, pace), as_json)
        if action == "delete":
            if colon:
                client.delete_channel(topic, channel, by=user_name())
            else:
                client.delete_topic(topic, by=user_name())
            _say_deleted(name, as_json)
            return 0
        if action in ("pause", "resume"):
            holding.hold(client, action, note, queue=name if colon else f"{topic}:")
        if action == "create":
            if colon:
                client.create_channel(topic, channel)
            else:
                client.create_topic(topic)
        (view,) = client.topics(topic=topic).topics
        _show(view, channel if colon else None, as_json)
    return 0


def _list(client: BlockingStore, limit: int, cursor: str | None, as_json: bool) -> int:
    from penstock.gate.topic_routes import topic_json
    from penstock.store.paging import full_topics

    page = full_topics(client, cursor=cursor, limit=limit)
    views, cursor = page.topics, page.cursor
    if as_json:
        output.print_json({"topics": [topic_json(view) for view in views], "cursor": cursor})
        return 0
    if not views:
        output.print_text("No topics yet: publishing to one makes it, and so does a worker with a consumer of it.")
    else:
        _table(views)
    if cursor is not None:
        output.print_text(f"There are more topics: --cursor {cursor}")
    return 0


def _table(views: list[TopicView]) -> None:
    rows: list[list[str]] = []
    for view in views:
        name = f"{view.name} (paused)" if view.paused else view.name
        if not view.channels:
            rows.append([name, "", f"{view.messages_total:,}", "", "", f"{view.kept:,} kept", "", "", ""])
        for at, channel in enumerate(view.channels):
            counts = channel.counts
            rows.append(
                [
                    "" if at else name,
                    channel.name,
                    "" if at else f"{view.messages_total:,}",
                    f"{counts.scheduled:,}",
                    f"{counts.blocked:,}",
                    f"{counts.ready:,}",
                    f"{counts.running:,}",
                    f"{counts.dead:,}",
                    f"{channel.consumers:,}" + (f" ({channel.reason})" if channel.reason else ""),
                ]
            )
    columns = ["topic", "channel", "published", "scheduled", "blocked", "ready", "running", "dead", "consumers"]
    output.print_table(columns, rows, numbers=columns[2:8])


def _show(view: TopicView, channel: str | None, as_json: bool) -> None:
    from penstock.gate.topic_routes import topic_json
    from penstock.model.topics import no_channel

    if channel is not None:
        chosen = [one for one in view.channels if one.name == channel]
        if not chosen:
            raise no_channel(view.name, channel, [one.name for one in view.channels])
        view.channels[:] = chosen
    if as_json:
        output.print_json(topic_json(view))
    else:
        _table([view])


def _say_deleted(name: str, as_json: bool) -> None:
    if as_json:
        output.print_json({"name": name, "deleted": True})
    else:
        output.print_text("Deleted.")
