"""One workflow as ``penstock workflows ID`` shows it: how it is, its steps, what happened when, what jobs recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from penstock.cli import output
from penstock.model.ids import id_text
from penstock.model.page_filling import PageFilling
from penstock.model.workflow_views import StepState, StepView, WorkflowState, WorkflowView
from penstock.process.terminal_text import visible

if TYPE_CHECKING:
    from penstock.model.durable_steps import History
    from penstock.model.job import JobView
    from penstock.ports import BlockingStore

_HISTORIES_MAX: Final = 20
"""Jobs of which is shown what they recorded."""


class ShownWorkflow(NamedTuple):
    """What was read of a workflow.

    Attributes:
        steps: a page of them; ``cursor`` goes on.
        result: encoded; None: there is none (yet), or it is not kept.
        histories: what jobs of these steps have recorded, by the number of the step.
        values: what it has published.
    """

    view: WorkflowView
    steps: list[StepView]
    cursor: str | None
    result: bytes | None
    histories: dict[int, History]
    values: dict[str, tuple[bytes, float]]


def read_workflow(client: BlockingStore, view: WorkflowView, limit: int, cursor: str | None) -> ShownWorkflow:
    """Read what is shown of a workflow, with ``limit`` of its steps from ``cursor`` on."""
    from penstock.tasks.canvas.waiting_steps import with_reasons

    filling: PageFilling[StepView] = PageFilling(limit, cursor)
    while filling.is_open:
        page = client.steps(view.id, cursor=filling.cursor, limit=filling.left)
        filling.add(page.steps, page.cursor)
    steps = filling.items
    succeeded = view.state is WorkflowState.SUCCEEDED
    results = client.results(view.id, None).results if succeeded else []
    numbers = {step.job: step.number for step in steps if step.job is not None}
    jobs = client.get(list(numbers)) if numbers else []
    steps = with_reasons(steps, jobs)
    recorded = [job.id for job in jobs if job is not None and job.recorded]
    histories = {numbers[job]: client.history(job) for job in recorded[:_HISTORIES_MAX]}
    result = results[0] if results else None
    return ShownWorkflow(view, steps, filling.cursor, result, histories, client.published(view.id))


def print_workflow(shown: ShownWorkflow, as_json: bool) -> None:
    """Print it."""
    if as_json:
        output.print_json(_document(shown))
        return
    _print_view(shown)
    if shown.steps:
        output.print_text("")
        _print_steps(shown.steps)
    if shown.cursor is not None:
        output.print_text(f"There are more steps: --cursor {shown.cursor}")
    for number, history in shown.histories.items():
        name = next(step.name for step in shown.steps if step.number == number)
        output.print_text(f"\nRecorded by step {visible(name)}:")
        print_history(history)
    moments = _moments(shown)
    if moments:
        output.print_text("\nTime line:")
        output.print_pairs((output.when(at), what) for at, what in moments)


def _document(shown: ShownWorkflow) -> dict[str, Any]:
    from penstock.gate.job_json import time_text
    from penstock.gate.workflow_json import history_json, said_in_json, step_json, values_json, workflow_json

    said = said_in_json(shown.result, "the workflow")
    result = {} if said is None else {"result_note": said} if isinstance(said, str) else {"result": said}
    return {
        "workflow": workflow_json(shown.view),
        "steps": [step_json(step) for step in shown.steps],
        "cursor": shown.cursor,
        "recorded": {str(number): history_json(history) for number, history in shown.histories.items()},
        "values": values_json(shown.values),
        "timeline": [{"at": time_text(at), "what": what} for at, what in _moments(shown)],
        **result,
    }


def _print_view(shown: ShownWorkflow) -> None:
    from penstock.gate.workflow_json import said_in_json

    view = shown.view
    total, succeeded, failed, cancelled = view.members
    steps = ", ".join(f"{count:,} {state}" for state, count in view.steps.items())
    members = f"{total:,}: {succeeded:,} succeeded, {failed:,} failed, {cancelled:,} cancelled" if total else ""
    ended = view.finished_at
    pairs = [
        ("id", id_text(view.id)),
        ("name", view.name),
        ("state", view.state.value + (", paused" if view.paused else "")),
        ("steps", steps),
        ("members", members),
        ("created", output.when(view.created_at)),
        ("deadline", output.when(view.deadline_at)),
        ("finished", output.when(ended)),
        ("took", output.span(None if ended is None else ended - view.created_at)),
        ("kept until", output.when(view.keep_until)),
        ("results", output.size(view.result_bytes) if view.result_bytes else ""),
        ("forked from", "" if view.forked_from is None else id_text(view.forked_from)),
        ("result", _text(said_in_json(shown.result, "the workflow"))),
        ("error", f"{view.error.type}: {view.error.message}" if view.error else ""),
        *((f"value {name}", _text(said_in_json(data, name))) for name, (data, _) in sorted(shown.values.items())),
    ]
    output.print_pairs(pair for pair in pairs if pair[1])


def _text(said: Any) -> str:
    """JSON as text, or why there is none."""
    return "" if said is None else f"({said})" if isinstance(said, str) else bytes(said).decode()


def _print_steps(steps: list[StepView]) -> None:
    is_open = (StepState.WAITING, StepState.RUNNING)
    names = {step.number: step.name for step in steps if step.state in is_open}
    rows = [
        [
            str(step.number),
            step.name,
            step.task or step.kind,
            step.state.value,
            _members(step),
            output.span(_took(step)),
            _waits_for(step, names),
            f"{step.error.type}: {step.error.message}" if step.error else "",
        ]
        for step in steps
    ]
    columns = ["", "step", "task", "state", "members", "took", "why it waits", "error"]
    kept = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    output.print_table(
        [columns[at] for at in kept], [[row[at] for at in kept] for row in rows], numbers=["", "members", "took"]
    )


def _members(step: StepView) -> str:
    """How many members of a group have ended, and how many of them not well."""
    if step.members is None:
        return ""
    there, succeeded, failed, cancelled = step.members
    total = f"{step.total:,}" if step.total is not None else f"{there:,}+"
    bad = [f"{count:,} {what}" for count, what in ((failed, "failed"), (cancelled, "cancelled")) if count]
    return ", ".join([f"{succeeded:,}/{total}", *bad])


def _waits_for(step: StepView, open_steps: dict[int, str]) -> str:
    """Why a step waits, with the names of the steps that it waits for where these are shown."""
    from penstock.tasks.canvas.waiting_steps import needs_named

    if step.reason is None or step.state is not StepState.WAITING:
        return step.reason or ""
    return step.reason + needs_named(step.needs, open_steps)


def _took(step: StepView) -> float | None:
    both = step.started_at is not None and step.finished_at is not None
    return (step.finished_at or 0.0) - (step.started_at or 0.0) if both else None


def _moments(shown: ShownWorkflow) -> list[tuple[float, str]]:
    """What happened when, the earliest first, as far as the steps that are shown go."""
    view = shown.view
    found = [(view.created_at, "started")]
    for step in shown.steps:
        if step.started_at is not None:
            found.append((step.started_at, f"{step.name}: started"))
        if step.finished_at is not None:
            found.append((step.finished_at, f"{step.name}: {step.state.value}"))
    if view.finished_at is not None:
        found.append((view.finished_at, view.state.value))
    return sorted(found, key=lambda moment: moment[0])


# --- what a job recorded ---------------------------------------------------------------------------------------------
def print_history(history: History) -> None:
    """What a job has recorded of its durable steps, without the values of these."""
    from penstock.gate.workflow_json import record_state

    rows = []
    for record in history.records:
        tries = f"tried {record.tries} times" if record.tries else ""
        until = output.when(record.until) if record.until is not None else ""
        error = f"{record.error.type}: {record.error.message}" if record.error else ""
        state = record_state(record, history.now)
        rows.append([str(record.place), record.name, record.kind.value, state, until, error or tries])
    output.print_table(["place", "name", "kind", "state", "until", "error"], rows, numbers=["place"])
    if history.cursor is not None:
        output.print_text("There are more.")


def workflow_pairs(client: BlockingStore, view: JobView) -> list[tuple[str, str]]:
    """What a job has to do with workflows: which one it is of, as which step and member, and what it became."""
    found = [("became", "" if view.became is None else f"workflow {id_text(view.became)}")]
    if view.workflow is not None and view.step is not None:
        from penstock.workflow.views import cursor_after_step

        cursor = cursor_after_step(view.step - 1) if view.step else None
        page = client.steps(view.workflow, cursor=cursor, limit=1)
        name = "".join(f" {step.name!r}" for step in page.steps if step.number == view.step)
        place = "" if view.place is None else f", member {view.place}"
        found += [("workflow", id_text(view.workflow)), ("step", f"{view.step}{name}{place}")]
    return [pair for pair in found if pair[1]]
