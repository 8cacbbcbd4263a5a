"""``penstock workflows``: workflows, how they are, and what can be done about them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from penstock.cli import options, output
from penstock.cli.reaching import reached, user_name
from penstock.model import limits
from penstock.model.errors import InvalidArguments, PenstockError, ResultTimeout
from penstock.model.workflow_views import WorkflowState

if TYPE_CHECKING:
    from penstock.model.workflow_views import StepView, WorkflowView
    from penstock.ports import BlockingStore

_ACTS: Final = ("cancel", "pause", "resume", "retry")
_ACTIONS: Final = (*_ACTS, "fork", "signal", "delete")
_TAKES: Final = {"fork": "STEP", "signal": "EVENT [JSON]"}
_PAGE: Final = 20
_STEPS: Final = 100
_PAGE_MAX: Final = 1_000
_SEARCH_S: Final = 10.0
"""How long a search goes on to fill its page."""
_STANDARD_OUTPUT: Final = "-"


@click.command("workflows")
@click.argument("workflow_id", metavar="[ID]", required=False)
@click.argument("action", type=click.Choice(_ACTIONS), metavar=f"[{'|'.join(_ACTIONS)}]", required=False)
@click.argument("arguments", metavar="[STEP | EVENT [JSON]]", nargs=-1)
@options.url
@options.as_json
@click.option("--state", type=click.Choice([state.value for state in WorkflowState]), help="List those in this state.")
@click.option("--name", metavar="NAME", help="List those of this name.")
@click.option("--limit", type=options.Whole(1, _PAGE_MAX), help="Workflows in one page [20], or steps of one [100].")
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
@click.option(
    "--svg",
    is_flag=False,
    flag_value=_STANDARD_OUTPUT,
    metavar="[FILE]",
    help="Draw the graph of the workflow, to standard output without a FILE. Needs penstock[graph].",
)
@click.option("--wait", is_flag=True, help="Wait until it is over.")
@click.option("--timeout", "timeout_s", type=options.Seconds(), help="Wait at most this long (seconds).")
def command(  # noqa: PLR0917 - one for each option
    workflow_id: str | None,
    action: str | None,
    arguments: tuple[str, ...],
    url: str | None,
    as_json: bool,
    state: str | None,
    name: str | None,
    limit: int | None,
    cursor: str | None,
    svg: str | None,
    wait: bool,
    timeout_s: float | None,
) -> int:
    """List workflows, newest first; show one with its steps, and why these wait; act on it.

    \b
    cancel   cancel all of it
    pause    start no step until it is resumed; what was handed out goes on
    resume   start steps again
    retry    let a failed or cancelled one go on from where it failed
    fork     start a copy of it in which STEP, and all that needs it, runs anew
    signal   deliver EVENT to the job that waits for it, or keep it; ID may be that of a lone job
    delete   throw away the record of one that is over, with those of its jobs

    A STEP is named or numbered. Exit status 1: there is no such workflow or step, what was asked does not go with its
    state, or it was waited for and did not succeed.
    """
    waited = wait or timeout_s is not None
    _check_usage(workflow_id, action, arguments, {"--state": state, "--name": name}, svg, waited=waited)
    if action is not None and (limit is not None or cursor is not None):
        raise click.UsageError("--limit and --cursor go with the list of workflows, or of the steps of one.")
    with reached(options.configured(url=url)) as client:
        if workflow_id is None:
            return _list(client, WorkflowState(state) if state else None, name, limit or _PAGE, cursor, as_json)
        key = _parsed_id(workflow_id)
        if action in ("fork", "signal", "delete"):
            return _do(client, key, action, arguments, as_json)
        if action is not None:
            _act(client, key, action)
        if svg is not None:
            return _draw(client, key, svg)
        view = _wait_for(client, key, timeout_s) if waited else one_workflow(client, key)
        if action is not None and not waited:
            _say(view, as_json)
            return 0
        _show(client, view, limit or _STEPS, cursor, as_json)
    return 1 if waited and view.state is not WorkflowState.SUCCEEDED else 0


def _check_usage(
    workflow_id: str | None,
    action: str | None,
    arguments: tuple[str, ...],
    searching: dict[str, str | None],
    svg: str | None,
    *,
    waited: bool,
) -> None:
    """Pass when the arguments and the options go together.

    Raises:
        click.UsageError: they do not.
    """
    if workflow_id in _ACTIONS:
        raise click.UsageError(f"Name the workflow first: penstock workflows ID {workflow_id}")
    given = [option for option, value in searching.items() if value is not None]
    if given and workflow_id is not None:
        raise click.UsageError(f"{given[0]} goes with the list of workflows.")
    most = {"fork": 1, "signal": 2}.get(action or "", 0)
    if len(arguments) > most or (most and not arguments):
        takes = _TAKES.get(action or "", "nothing more")
        raise click.UsageError(f"{action} takes {takes}: penstock workflows ID {action} {_TAKES.get(action or '', '')}")
    if svg is not None and (workflow_id is None or action is not None):
        raise click.UsageError("--svg draws one workflow: penstock workflows ID --svg FILE")
    if waited and (workflow_id is None or svg is not None or action in ("fork", "signal", "delete", "pause")):
        raise click.UsageError("--wait and --timeout go with one workflow: shown, cancelled, resumed or retried.")


def _parsed_id(text: str) -> bytes:
    from penstock.model.ids import parse_id

    try:
        return parse_id(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a workflow's id (a UUID).", param_hint="ID") from None


def one_workflow(client: BlockingStore, workflow: bytes) -> WorkflowView:
    """The workflow.

    Raises:
        WorkflowNotFound: there is no record of it.
    """
    from penstock.tasks.canvas.workflow_acts import no_workflow

    view = client.workflow(workflow)
    if view is None:
        raise no_workflow(workflow)
    return view


def _wait_for(client: BlockingStore, workflow: bytes, timeout_s: float | None) -> WorkflowView:
    """The workflow once it is over.

    Raises:
        WorkflowNotFound: there is no record of it (any more).
        ResultTimeout: it is not over in time.
    """
    from penstock.tasks.canvas.workflow_acts import OVER, no_workflow

    one_workflow(client, workflow)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = limits.WAIT_S_MAX if deadline is None else min(limits.WAIT_S_MAX, deadline - time.monotonic())
        view = client.wait_workflow(workflow, wait_s=max(0.0, left_s))
        if view is None:
            raise no_workflow(workflow)
        if view.state in OVER:
            return view
        if left_s <= 0:
            raise ResultTimeout(f"The workflow is still {view.state.value} after {timeout_s:g} s.")


# --- acting ----------------------------------------------------------------------------------------------------------
def _act(client: BlockingStore, workflow: bytes, action: str) -> None:
    """Cancel, pause, resume or retry it.

    Raises:
        WorkflowNotFound: there is no record of it.
        Conflict: it is not in a state in which that can be done.
    """
    from penstock.tasks.canvas.workflow_acts import check_act

    check_act(action, one_workflow(client, workflow))
    getattr(client, f"{action}_workflow")(workflow, by=user_name())


def _do(client: BlockingStore, workflow: bytes, action: str, arguments: tuple[str, ...], as_json: bool) -> int:
    from penstock.gate.workflow_json import signalled_json
    from penstock.model.ids import id_text, new_id
    from penstock.tasks.canvas.workflow_acts import check_act

    document: dict[str, Any]
    if action == "delete":
        check_act("delete", one_workflow(client, workflow))
        client.delete_workflow(workflow, by=user_name())
        document, said = {"id": id_text(workflow), "deleted": True}, "Deleted."
    elif action == "fork":
        one_workflow(client, workflow)
        started = client.fork_workflow(workflow, _step(client, workflow, arguments[0]).number, new_id(), by=user_name())
        document = {"id": id_text(started.id), "forked_from": id_text(workflow), "duplicate": started.duplicate}
        said = f"Started {document['id']}."
    else:
        signalled = client.signal(workflow, arguments[0], _payload(*arguments), by=user_name())
        document = signalled_json(signalled)
        said = "Delivered." if signalled.delivered else f"Kept: no job waits for it yet ({signalled.kept} are kept)."
    if as_json:
        output.print_json(document)
    else:
        output.print_text(said)
    return 0


def _step(client: BlockingStore, workflow: bytes, text: str) -> StepView:
    """The step of this name or number. Raises WorkflowNotFound."""
    from penstock.tasks.canvas.step_search import StepSearch, step_of

    search = StepSearch(workflow, step_of(text))
    while search.is_open:
        page = client.steps(workflow, cursor=search.cursor, limit=search.limit)
        search.look(page.steps, page.cursor)
    return search.found()


def _payload(event: str, text: str = "null") -> bytes:
    """The payload of a signal as it is stored.

    Raises:
        InvalidArguments: it is not JSON.
        InvalidOption: that is no name for an event.
    """
    import msgspec

    from penstock.model.step_history import check_name
    from penstock.tasks.arguments.step_values import UNTYPED

    check_name(event, "an event")
    try:
        value = msgspec.json.decode(text.encode())
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidArguments(
            f"The payload is not JSON ({error}); text is quoted twice: signal {event} '\"yes\"'."
        ) from None
    return UNTYPED.recorded(value, f"the event {event!r}")[0]


def _say(view: WorkflowView, as_json: bool) -> None:
    from penstock.gate.workflow_json import workflow_json

    if as_json:
        output.print_json(workflow_json(view))
    else:
        paused = ", paused" if view.paused else ""
        output.print_text(f"The workflow is {view.state.value}{paused}.")


def _draw(client: BlockingStore, workflow: bytes, path: str) -> int:
    from penstock.cli.workflow_picture import picture

    view = one_workflow(client, workflow)
    steps: list[StepView] = []
    cursor: str | None = None
    while True:
        page = client.steps(workflow, cursor=cursor, limit=_PAGE_MAX)
        steps += page.steps
        cursor = page.cursor
        if cursor is None or len(steps) > limits.PICTURE_STEPS_MAX:
            break
    drawn = picture(view, steps)
    if path == _STANDARD_OUTPUT:
        output.print_text(drawn.rstrip())
        return 0
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(drawn)
    except OSError as error:
        raise PenstockError(f"{path} cannot be written: {error.strerror}.") from None
    output.print_text(f"Drawn: {path}")
    return 0


# --- looking ---------------------------------------------------------------------------------------------------------
def _list(
    client: BlockingStore, state: WorkflowState | None, name: str | None, limit: int, cursor: str | None, as_json: bool
) -> int:
    from penstock.gate.workflow_json import workflow_json
    from penstock.model.page_filling import PageFilling

    end = time.monotonic() + _SEARCH_S
    filling: PageFilling[WorkflowView] = PageFilling(limit, cursor)
    while filling.is_open and (filling.cursor == cursor or time.monotonic() < end):
        page = client.workflows(state=state, name=name, cursor=filling.cursor, limit=filling.left)
        filling.add(page.workflows, page.cursor)
    views, cursor = filling.items, filling.cursor
    if as_json:
        shown = [workflow_json(view, with_traceback=False) for view in views]
        output.print_json({"workflows": shown, "cursor": cursor})
        return 0
    if views:
        now = time.time()
        output.print_table(
            ["id", "name", "state", "steps", "members", "age", "took", "error"],
            [_row(view, now) for view in views],
            numbers=["steps", "members", "age", "took"],
        )
    elif cursor is None:
        output.print_text("No workflows match." if state or name else "No workflows yet: enqueue a canvas.")
    if cursor is not None:
        output.print_text(f"There may be more: --cursor {cursor}")
    return 0


def _row(view: WorkflowView, now: float) -> list[str]:
    from penstock.model.ids import id_text

    steps, (members, *ended) = sum(view.steps.values()), view.members
    return [
        id_text(view.id),
        view.name,
        view.state.value + (", paused" if view.paused else ""),
        f"{view.steps.get('succeeded', 0):,}/{steps:,}",
        f"{sum(ended):,}/{members:,}" if members else "",
        output.span(max(0.0, now - view.created_at)),
        output.span(None if view.finished_at is None else view.finished_at - view.created_at),
        view.error.type if view.error else "",
    ]


def _show(client: BlockingStore, view: WorkflowView, limit: int, cursor: str | None, as_json: bool) -> None:
    from penstock.cli.workflow_shown import print_workflow, read_workflow

    print_workflow(read_workflow(client, view, limit, cursor), as_json)
