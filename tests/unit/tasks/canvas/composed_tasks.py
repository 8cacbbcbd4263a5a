"""Tasks for the tests of canvases, and a look at what a canvas was built to."""

from __future__ import annotations

import msgspec

from penstock import Concurrency, Penstock, Results, Unique

app = Penstock("nowhere")
other_app = Penstock("elsewhere")


@app.task
def fetch(url: str) -> str:
    return url


@app.task
def parse(text: str, lang: str = "en") -> list[int]:
    return [len(text), len(lang)]


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def publish(paths: list[str]) -> int:
    return len(paths)


@app.task
def publish_some(paths: list[str | None]) -> int:
    return len(paths)


@app.task
def stream(paths: Results[str]) -> int:
    return len(paths)


@app.task
def join(a: int, b: int) -> int:
    return a + b


@app.task
def spread(*values: int, **named: int) -> int:
    return sum(values) + sum(named.values())


@app.task
def anything(value) -> object:
    return value


@app.task
def told(error: dict[str, str | None], what: str = "") -> None:
    return None


@app.task
def clean_up() -> None:
    return None


@app.task(limits=[Concurrency(2, per="tenant")], searchable=("what",))
def limited(what: str, tenant: str) -> str:
    return what + tenant


@app.task(unique=Unique())
def unique(what: str) -> str:
    return what


@other_app.task
def foreign(value: str) -> str:
    return value


def body(job):
    """The arguments in a job's body."""
    return msgspec.msgpack.decode(job.body[1:])


def steps(canvas):
    """Each step of what a canvas is built to: its name, its arguments (of a group: how many members), what it takes,
    and what it waits for besides."""
    plan = canvas.build().plan
    return [
        (
            step.name,
            step.group.total if step.call is None else body(step.call.jobs[0]),
            [take.step if take.name is None else (take.name, take.step) for take in step.takes],
            step.after,
        )
        for step in plan.steps
    ]


def members(canvas):
    """The members of groups that are plain calls: by group, the first place, and the arguments of each."""
    return [
        (added.step, added.first, [body(job) for group in added.groups for job in group.jobs])
        for added in canvas.build().members
    ]


def blocks(canvas):
    """Of each step, the block it is in (owner, first, last, place), or None; and whether its value is the block's."""
    return [
        (
            None if step.block is None else (step.block.owner, step.block.first, step.block.last, step.block.place),
            step.into,
        )
        for step in canvas.build().plan.steps
    ]
