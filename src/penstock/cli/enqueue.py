"""``penstock enqueue APP TASK``: one job by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from penstock.cli import options, output
from penstock.gate.json_nesting import nested_too_deep
from penstock.model.ids import parse_id
from penstock.model.states import State
from penstock.process.terminal_text import visible_json

if TYPE_CHECKING:
    from penstock.tasks.app import Penstock

_SHOWN_CHARACTERS_MAX: Final = 100


@click.command("enqueue", context_settings={"ignore_unknown_options": True})
@options.app_argument
@click.argument("task", metavar="TASK")
@click.argument("values", nargs=-1, metavar="[JSON…]", type=click.UNPROCESSED)
@options.app_url
@options.as_json
@click.option("--kwargs", "kwargs_text", metavar="JSON", help="Arguments by name: one JSON object.")
@click.option("--queue", metavar="NAME", help="Into this queue.")
@click.option("--priority", type=options.Whole(), metavar="N", help="-100 to 100, higher first.")
@click.option("--delay", "delay_s", type=options.Seconds(), metavar="SECONDS", help="Not before this long from now.")
@click.option(
    "--expires", "expires_s", type=options.Seconds(), metavar="SECONDS", help="Dropped when not started by then."
)
@click.option("--key", "idempotency_key", metavar="KEY", help="Idempotency key.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="May be given several times.")
@click.option("--wait", is_flag=True, help="Wait for it, and print what it returned.")
@click.option("--timeout", "timeout_s", type=options.Seconds(), metavar="SECONDS", help="Wait at most this long.")
def command(
    app: str,
    task: str,
    values: tuple[str, ...],
    url: str | None,
    as_json: bool,
    kwargs_text: str | None,
    wait: bool,
    timeout_s: float | None,
    **given: Any,
) -> int:
    """Enqueue one job of APP's task TASK. Each further argument is a JSON value: 3, '"cat.png"', '[1, 2]', null.

    With --wait its id goes to standard error, what it returned to standard output. Exit status 1: it did not succeed.
    """
    from penstock.tasks.loading import load_app

    config = options.configured(url=url)
    output.keep_for_answers()
    application = load_app(app, config.url if url is not None else None)
    called = application.get(task)
    body = called.codec.check_json(json_array(values, quote=not called.sensitive), json_object(kwargs_text))
    args, kwargs = called.decode(body)
    chosen = {name: value for name, value in given.items() if value not in {None, ()}}
    job = called.options(**chosen).enqueue(*args, **kwargs)
    if wait or timeout_s is not None:
        # Printed at once, and to standard error: whoever stops waiting still knows which job it was.
        output.print_error(f"Waiting for job {job.id}.")
        return _wait(application, job.id, timeout_s, as_json)
    if as_json:
        state = job.state.value if job.state is not None else None
        output.print_json({"id": job.id, "state": state, "duplicate": job.duplicate, "durability": job.durability})
    else:
        met = " (a job that waits: it has these arguments now)" if job.replaced else " (a duplicate: nothing was added)"
        output.print_text(job.id + (met if job.duplicate else ""))
    return 0


def json_array(texts: Sequence[str], *, quote: bool) -> bytes:
    """The positional arguments as one JSON array. ``quote``: an error may show what is wrong with one.

    Raises:
        click.UsageError: one is not JSON.
    """
    for index, text in enumerate(texts, 1):
        try:
            if nested_too_deep(text.encode()):
                raise click.UsageError(f"Argument {index} is nested too deep.")
            msgspec.json.decode(text)
        except UnicodeEncodeError:
            raise click.UsageError(f"Argument {index} is not valid UTF-8.") from None
        except msgspec.DecodeError:
            if not quote:
                raise click.UsageError(f"Argument {index} is not JSON (a string needs its quotes).") from None
            short = text if len(text) <= _SHOWN_CHARACTERS_MAX else text[: _SHOWN_CHARACTERS_MAX - 1] + "…"
            quoted = msgspec.json.encode(short).decode()
            raise click.UsageError(
                f"Argument {index} is not JSON: {short} (a string needs its quotes: '{quoted}')"
            ) from None
    return f"[{','.join(texts)}]".encode()


def json_object(text: str | None) -> bytes:
    """The arguments by name.

    Raises:
        click.UsageError: it is not a JSON object.
    """
    if text is None:
        return b"{}"
    try:
        if nested_too_deep(text.encode()):
            raise click.UsageError("--kwargs is nested too deep.")
        msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise click.UsageError("--kwargs takes one JSON object, such as '{\"width\": 400}'.") from None
    return text.encode()


def _wait(application: Penstock, job_id: str, timeout_s: float | None, as_json: bool) -> int:
    """Wait for the job; print what it returned, or why it did not."""
    from penstock.cli.waiting import result_document, result_text, wait_for
    from penstock.gate.job_json import view_json
    from penstock.store.opening import open_store

    client = open_store(application.url)
    try:
        view = wait_for(client, parse_id(job_id), timeout_s)
    finally:
        client.close()
    if as_json:
        output.print_json(view_json(view) | result_document(view))
    elif view.state is State.SUCCEEDED:
        output.print_text(visible_json(result_text(view)))
    else:
        why = f": {view.error.type}: {view.error.message}" if view.error else ""
        output.print_error(f"The job is {view.state.value}{why}. penstock job {job_id} shows more.")
    return 0 if view.state is State.SUCCEEDED else 1
