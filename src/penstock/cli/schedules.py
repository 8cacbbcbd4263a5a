"""``penstock schedules``: what is started when, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from penstock.cli import options, output
from penstock.cli.reaching import reached, user_name
from penstock.model import limits

if TYPE_CHECKING:
    from penstock.model.schedules import Schedule, ScheduleRun, ScheduleView
    from penstock.ports import BlockingStore

_ACTIONS: Final = ("add", "remove", "run", "pause", "resume", "backfill", "runs")
_WHEN: Final = (
    "cron",
    "timezone",
    "every_s",
    "at",
    "overlap",
    "missed",
    "missed_max",
    "jitter_s",
    "start_at",
    "end_at",
)
_JOB: Final = ("kwargs_text", "queue", "priority", "expires_s", "tags")
_NEXT_SHOWN: Final = 5
_RUNS_SHOWN: Final = 5


@click.command("schedules", context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="[NAME]", required=False)
@click.argument("action", type=click.Choice(_ACTIONS), metavar=f"[{'|'.join(_ACTIONS)}]", required=False)
@click.argument("call", nargs=-1, metavar="[APP TASK JSON…]", type=click.UNPROCESSED)
@options.app_url
@options.as_json
@click.option("--cron", metavar="CRON", help='Five fields, such as "0 3 * * *".')
@click.option("--timezone", metavar="ZONE", help="In whose wall clock, such as Europe/Paris. [UTC]")
@click.option("--every", "every_s", type=options.Seconds(), metavar="SECONDS", help="At this interval.")
@click.option("--at", type=options.Time(), metavar="TIME", help="Once.")
@click.option("--overlap", type=click.Choice(["skip", "queue", "replace"]), help="When an earlier one runs. [skip]")
@click.option("--missed", type=click.Choice(["none", "last", "all"]), help="What of missed slots starts. [last]")
@click.option("--missed-max", type=options.Whole(), metavar="N", help="So many at most of --missed all. [100]")
@click.option("--jitter", "jitter_s", type=options.Seconds(), metavar="SECONDS", help="Later by up to this, by chance.")
@click.option("--start-at", type=options.Time(), metavar="TIME", help="No slot before.")
@click.option("--end-at", type=options.Time(), metavar="TIME", help="No slot after.")
@click.option("--kwargs", "kwargs_text", metavar="JSON", help="Arguments by name: one JSON object.")
@click.option("--queue", metavar="NAME", help="Into this queue.")
@click.option("--priority", type=options.Whole(), metavar="N", help="-100 to 100, higher first.")
@click.option("--expires", "expires_s", type=options.Seconds(), metavar="SECONDS", help="Dropped if not started then.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="May be given several times.")
@click.option("--since", type=options.Time(), metavar="TIME", help="Backfill from here.")
@click.option("--until", type=options.Time(), metavar="TIME", help="Backfill to here. [now]")
@click.option("--limit", type=options.Whole(1, limits.PAGE_SCHEDULES_MAX), metavar="N", help="In one page. [100]")
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
def command(
    name: str | None,
    action: str | None,
    call: tuple[str, ...],
    url: str | None,
    as_json: bool,
    limit: int | None,
    cursor: str | None,
    since: float | None,
    until: float | None,
    **given: Any,
) -> int:
    """List schedules; show one; add, remove, run, pause, resume or backfill it; list its runs.

    penstock schedules nightly add shop.jobs:app shop.report '"short"' --cron "0 3 * * *" --timezone Europe/Paris makes
    one, or changes the one of this name. One that an application declares is restored by remove, and not removed while
    its code has it. Exit status 1: there is no such schedule, or it cannot be done.
    """
    given = {option: value for option, value in given.items() if value not in (None, ())}
    paging = {"limit": limit, "cursor": cursor}
    _check_usage(name, action, call, given, paging, {"since": since, "until": until})
    if action == "add":
        return _add(str(name), call, url, given, as_json)
    with reached(options.configured(url=url)) as client:
        if name is None:
            return _list(client, limit or 100, cursor, as_json)
        if action == "runs":
            return _runs(client, name, limit or 100, cursor, as_json)
        if action is not None:
            return _act(client, name, action, (since, until), as_json)
        return _show(client, name, as_json)


def _check_usage(
    name: str | None,
    action: str | None,
    call: Sequence[str],
    given: Mapping[str, Any],
    paging: Mapping[str, Any],
    bounds: Mapping[str, Any],
) -> None:
    """Pass when the options go with the action.

    Raises:
        click.UsageError: they do not.
    """
    if name in _ACTIONS and action is None:
        raise click.UsageError(f"Name the schedule first: penstock schedules NAME {name}")
    if action == "add" and len(call) < 2:
        raise click.UsageError("Say what it starts: penstock schedules NAME add APP TASK [JSON…]")
    if action != "add" and (call or given):
        what = call[0] if call else f"--{next(iter(given)).removesuffix('_s').replace('_', '-')}"
        raise click.UsageError(f"{what} goes with add: penstock schedules NAME add APP TASK [JSON…]")
    if any(value is not None for value in paging.values()) and not (name is None or action == "runs"):
        raise click.UsageError("--limit and --cursor go with the list of schedules, and with runs.")
    if action == "backfill" and bounds["since"] is None:
        raise click.UsageError("Say from when: penstock schedules NAME backfill --since TIME [--until TIME]")
    if action != "backfill" and any(value is not None for value in bounds.values()):
        raise click.UsageError("--since and --until go with backfill.")


# --- changing -------------------------------------------------------------------------------------------------------
def _add(name: str, call: Sequence[str], url: str | None, given: dict[str, Any], as_json: bool) -> int:
    from penstock.store.opening import open_store
    from penstock.tasks.loading import load_app

    config = options.configured(url=url)
    output.keep_for_answers()
    application = load_app(call[0], config.url if url is not None else None)
    wanted = _wanted(application, name, call[1], call[2:], given)
    client = open_store(application.url)
    try:
        view = client.put_schedule(wanted, by=user_name())
    finally:
        client.close()
    _tell(view, as_json)
    return 0


def _wanted(application: Any, name: str, task: str, values: Sequence[str], given: dict[str, Any]) -> Schedule:
    """The schedule that is asked for, its arguments checked against the task."""
    from penstock.cli.enqueue import json_array, json_object
    from penstock.tasks.schedule_rules import started_by, times_of

    called = application.get(task)
    kwargs_text = given.get("kwargs_text")
    body = called.codec.check_json(json_array(values, quote=not called.sensitive), json_object(kwargs_text))
    args, kwargs = called.decode(body)
    own = {option: given[option] for option in _JOB[1:] if option in given}
    signature = called.options(**own).s(*args, **kwargs) if own else called.s(*args, **kwargs)
    when: Any = {option: given[option] for option in _WHEN if option in given}
    return started_by(times_of(name, when), called.connection, signature)


def _act(
    client: BlockingStore, name: str, action: str, bounds: tuple[float | None, float | None], as_json: bool
) -> int:
    """Do one thing to a schedule, and tell what came of it."""
    import time

    from penstock.gate.schedule_json import run_json, schedule_json

    by = user_name()
    if action == "run":
        run = client.run_schedule(name, by=by)
        output.print_json(run_json(run)) if as_json else output.print_text(_run_text(run))
        return 0 if run.state.value == "started" else 1
    if action == "backfill":
        since, until = bounds
        assert since is not None, "it was asked for"
        count = client.backfill_schedule(name, since, time.time() if until is None else until, by=by)
        said = f"Started {count:,} run{'' if count == 1 else 's'}."
        output.print_json({"name": name, "runs": count}) if as_json else output.print_text(said)
        return 0
    if action == "remove":
        left = client.remove_schedule(name, by=by)
        if as_json:
            shown = None if left is None else schedule_json(left)
            output.print_json({"name": name, "removed": left is None, "schedule": shown})
        else:
            output.print_text("Removed." if left is None else "It is again as its application declares it.")
        return 0
    _tell(client.pause_schedule(name, by=by) if action == "pause" else client.resume_schedule(name, by=by), as_json)
    return 0


def _tell(view: ScheduleView, as_json: bool) -> None:
    from penstock.gate.schedule_json import schedule_json

    if as_json:
        output.print_json(schedule_json(view))
    elif view.is_paused:
        output.print_text("Paused.")
    else:
        output.print_text(
            f"Next: {output.when(view.next_at)}." if view.next_at is not None else "It has no slots left."
        )


# --- looking --------------------------------------------------------------------------------------------------------
def _list(client: BlockingStore, limit: int, cursor: str | None, as_json: bool) -> int:
    from penstock.gate.schedule_json import schedule_json

    page = client.schedules(cursor=cursor, limit=limit)
    views, cursor = list(page.schedules), page.cursor
    while cursor is not None and len(views) < limit:
        page = client.schedules(cursor=cursor, limit=limit - len(views))
        views += page.schedules
        cursor = page.cursor
    if as_json:
        output.print_json({"schedules": [schedule_json(view) for view in views], "cursor": cursor})
        return 0
    if not views:
        output.print_text("No schedules: an application declares them, or penstock schedules NAME add makes one.")
    else:
        output.print_table(["schedule", "starts", "when", "next", "latest", ""], [_row(view) for view in views])
    if cursor is not None:
        output.print_text(f"There are more schedules: --cursor {cursor}")
    return 0


def _row(view: ScheduleView) -> list[str]:
    latest = view.latest
    return [
        view.schedule.name,
        _starts(view.schedule),
        _when_text(view.schedule),
        "paused" if view.is_paused else output.when(view.next_at),
        "" if latest is None else f"{latest.state.value} {output.when(latest.slot)}",
        _remark(view),
    ]


def _starts(schedule: Schedule) -> str:
    if schedule.call is not None:
        return schedule.call.task
    return "" if schedule.plan is None else schedule.plan.name


def _when_text(schedule: Schedule) -> str:
    if schedule.cron is not None:
        return schedule.cron if schedule.timezone == "UTC" else f"{schedule.cron} {schedule.timezone}"
    if schedule.every_s is not None:
        return f"every {output.span(schedule.every_s)}"
    return f"once {output.when(schedule.at)}"


def _remark(view: ScheduleView) -> str:
    """What is unusual about it."""
    by = view.schedule.declared_by
    if view.problem is not None:
        return view.problem
    if view.is_changed:
        return f"changed by hand ({by} declares another)"
    return f"left the code of {by}" if by is not None and not view.is_declared else ""


def _show(client: BlockingStore, name: str, as_json: bool) -> int:
    from penstock.gate.schedule_json import run_json, schedule_json
    from penstock.model.errors import ScheduleNotFound

    view = client.schedule(name)
    if view is None:
        raise ScheduleNotFound(f"There is no schedule {name!r}.")
    runs = client.schedule_runs(name, limit=_RUNS_SHOWN).runs
    following = _next_slots(view)
    if as_json:
        from penstock.gate.job_json import time_text

        shown = schedule_json(view)
        output.print_json(
            {**shown, "next_slots": [time_text(slot) for slot in following], "runs": [run_json(run) for run in runs]}
        )
        return 0
    schedule = view.schedule
    pairs = [
        ("schedule", schedule.name),
        ("starts", _starts(schedule)),
        ("when", _when_text(schedule)),
        ("overlap", schedule.overlap.value),
        ("missed", schedule.missed.value),
        ("jitter", output.span(schedule.jitter_s) if schedule.jitter_s else ""),
        ("from", output.when(schedule.start_at)),
        ("to", output.when(schedule.end_at)),
        ("declared by", schedule.declared_by or ""),
        ("remark", _remark(view)),
        ("next", "paused" if view.is_paused else ", ".join(map(output.when, following))),
    ]
    output.print_pairs((what, text) for what, text in pairs if text)
    if runs:
        _runs_table(runs)
    return 0


def _next_slots(view: ScheduleView) -> list[float]:
    """The next slots, as far as this machine can tell."""
    from penstock.model.errors import InvalidOption
    from penstock.workflow.slots import bounded_after, slots_of

    found = [] if view.next_slot is None else [view.next_slot]
    try:
        slots = slots_of(view.schedule, view.made_at)
    except InvalidOption:
        return found
    while found and len(found) < _NEXT_SHOWN:
        slot = bounded_after(view.schedule, slots, found[-1])
        if slot is None:
            break
        found.append(slot)
    return found


def _runs(client: BlockingStore, name: str, limit: int, cursor: str | None, as_json: bool) -> int:
    from penstock.gate.schedule_json import run_json

    page = client.schedule_runs(name, cursor=cursor, limit=limit)
    if as_json:
        output.print_json({"runs": [run_json(run) for run in page.runs], "cursor": page.cursor})
        return 0
    if not page.runs:
        output.print_text("It has not run yet.")
    else:
        _runs_table(page.runs)
    if page.cursor is not None:
        output.print_text(f"There are more: --cursor {page.cursor}")
    return 0


def _runs_table(runs: Sequence[ScheduleRun]) -> None:
    from penstock.model.ids import id_text

    rows = [
        [
            output.when(run.slot) + ("" if run.until is None else f" to {output.when(run.until)}"),
            run.cause.value,
            run.state.value,
            "" if run.id is None else id_text(run.id),
            output.when(run.ended_at),
            run.note or "",
        ]
        for run in runs
    ]
    output.print_table(["slot", "why", "state", "job or workflow", "ended", ""], rows)


def _run_text(run: ScheduleRun) -> str:
    from penstock.model.ids import id_text

    what = "" if run.id is None else f"{'workflow' if run.is_workflow else 'job'} {id_text(run.id)}"
    return " ".join(filter(None, [what or run.state.value, run.note]))
