"""The graph of a workflow as a picture: its steps in layers, with what each waits for.

Where steps stand is told by a library (fast-sugiyama, of the extra ``penstock[graph]``). What is drawn is plain SVG:
without scripts, and with every text escaped.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import pairwise
from math import ceil, sqrt
from typing import Final, NamedTuple

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.ids import id_text
from penstock.model.workflow_views import StepState, StepView, WorkflowView

_WIDTH: Final = 210
_HEIGHT: Final = 58
_ACROSS: Final = 240
"""From one step to the next in its layer."""
_DOWN: Final = 110
"""From one layer to the next."""
_MARGIN: Final = 24
_HEAD: Final = 44
_LINE_CHARS: Final = 30
_TITLE_CHARS: Final = 300
_FONT: Final = 'font-family="system-ui, sans-serif" font-size="12"'
_ARROW: Final = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#777"/></marker></defs>'
)
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COLOURS: Final = {
    StepState.WAITING: ("#f4f4f4", "#8a8a8a"),
    StepState.RUNNING: ("#dcebff", "#2f6fd0"),
    StepState.SUCCEEDED: ("#def3e1", "#2c8a43"),
    StepState.FAILED: ("#fbdedc", "#c4342b"),
    StepState.CANCELLED: ("#f6e7d2", "#a9752a"),
    StepState.SKIPPED: ("#ffffff", "#b5b5b5"),
}
"""Fill and line by state."""


class _Point(NamedTuple):
    x: float
    y: float


class _Line(NamedTuple):
    """From one step to another. ``is_inside``: the second stands inside of the first, or in for it."""

    first: int
    second: int
    is_inside: bool


def picture(view: WorkflowView, steps: Sequence[StepView]) -> str:
    """All steps of a workflow as SVG. Members of groups are counted, not drawn. What stands inside of a step, or in for
    it, hangs on it by a dashed line.

    Raises:
        InvalidOption: there are too many steps for a picture, or what lays it out is not installed.
    """
    if len(steps) > limits.PICTURE_STEPS_MAX:
        raise InvalidOption(
            f"The workflow has {len(steps):,} steps, and a picture has {limits.PICTURE_STEPS_MAX:,} at most: "
            "list them instead, without --svg."
        )
    lines = _lines(steps)
    places, ways = _laid_out([step.number for step in steps], lines)
    width = round(max((place.x for place in places.values()), default=0) * _ACROSS + _WIDTH + 2 * _MARGIN)
    height = round(max((place.y for place in places.values()), default=0) * _DOWN + _HEIGHT + _HEAD + 2 * _MARGIN)
    frame = f'width="{width}" height="{height}"'
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} viewBox="0 0 {width} {height}" {_FONT}>',
        f"<title>{_text(view.name, _TITLE_CHARS)} {id_text(view.id)}</title>",
        _ARROW,
        f'<rect {frame} fill="#fff"/>',
        f'<text x="{_MARGIN}" y="{_MARGIN + 8}" font-size="15" font-weight="600">{_text(view.name, 100)}</text>',
        f'<text x="{_MARGIN}" y="{_MARGIN + 26}" fill="#555">{_state_of(view)}</text>',
        *(_drawn_line(line, ways[line]) for line in lines),
        *(part for step in steps for part in _drawn_step(step, places[step.number])),
        "</svg>",
    ]
    return "\n".join(drawn) + "\n"


# --- what is connected -----------------------------------------------------------------------------------------------
def _lines(steps: Sequence[StepView]) -> list[_Line]:
    """What is drawn between steps."""
    there = {step.number for step in steps}
    owners = {step.number: step.owner for step in steps}
    found = []
    for step in steps:
        needs = [need for need in step.needs if need in there]
        found += [_Line(need, step.number, is_inside=False) for need in needs]
        if step.owner in there and step.owner is not None and not any(owners[need] == step.owner for need in needs):
            found.append(_Line(step.owner, step.number, is_inside=True))
    return found


def _laid_out(numbers: Sequence[int], lines: Sequence[_Line]) -> tuple[dict[int, _Point], dict[_Line, list[_Point]]]:
    """Where each step stands, and through which points each line goes, in steps across and layers down."""
    places: dict[int, _Point] = {}
    ways: dict[tuple[int, int], list[_Point]] = {}
    left = 0.0
    for positions, width, height, edges in _layouts(lines):
        points = {node: _Point(left + x, height - y) for node, (x, y) in positions}
        places |= {int(node): point for node, point in points.items() if isinstance(node, str)}
        ways |= _ways(points, edges)
        left += width + 1
    alone = [number for number in numbers if number not in places]
    below = 1 + max((place.y for place in places.values()), default=-1.0)
    across = ceil(sqrt(len(alone))) or 1
    places |= {number: _Point(at % across, below + at // across) for at, number in enumerate(alone)}
    return places, {line: ways[line.first, line.second] for line in lines}


_Layout = tuple[Iterable[tuple[int | str, tuple[float, float]]], float, float, Iterable[tuple[int | str, int | str]]]
"""Of steps that are connected: where each stands, the width and the height of it all, and what each is connected with.
A step is its number as a text; a place where a line goes through a layer has a number."""


def _layouts(lines: Sequence[_Line]) -> Iterator[_Layout]:
    try:
        from fast_sugiyama import from_edges
    except ImportError:
        raise InvalidOption(
            "A picture needs a library that lays it out: pip install 'penstock[graph]'.", field="--svg"
        ) from None
    edges = [(str(line.first), str(line.second)) for line in lines]
    for positions, width, height, through in (
        from_edges(edges, vertex_spacing=1.0, dummy_vertices=True) if edges else ()
    ):
        yield positions, width, height, through or ()


def _ways(
    points: dict[int | str, _Point], edges: Iterable[tuple[int | str, int | str]]
) -> dict[tuple[int, int], list[_Point]]:
    """The points of each line, by the steps that it connects."""
    behind: defaultdict[int | str, list[int | str]] = defaultdict(list)
    for source, target in edges:
        behind[source].append(target)
    found = {}
    for node in [node for node in behind if isinstance(node, str)]:
        for after in behind[node]:
            way, at = [points[node]], after
            while not isinstance(at, str):
                way.append(points[at])
                (at,) = behind[at]
            found[int(node), int(at)] = [*way, points[at]]
    return found


# --- what is drawn ---------------------------------------------------------------------------------------------------
def _drawn_line(line: _Line, way: Sequence[_Point]) -> str:
    """A line from the lower edge of the first step to the upper edge of the second."""
    points = [_Point(_MARGIN + at.x * _ACROSS + _WIDTH / 2, _MARGIN + _HEAD + at.y * _DOWN) for at in way]
    points[0] = points[0]._replace(y=points[0].y + _HEIGHT)
    points[1:-1] = [point._replace(y=point.y + _HEIGHT / 2) for point in points[1:-1]]
    path = f"M{points[0].x:.1f} {points[0].y:.1f}"
    for start, end in pairwise(points):
        middle = (start.y + end.y) / 2
        path += f"C{start.x:.1f} {middle:.1f} {end.x:.1f} {middle:.1f} {end.x:.1f} {end.y:.1f}"
    dashes = ' stroke-dasharray="5 4"' if line.is_inside else ' marker-end="url(#arrow)"'
    return f'<path d="{path}" fill="none" stroke="#777"{dashes}/>'


def _drawn_step(step: StepView, place: _Point) -> Iterator[str]:
    x, y = _MARGIN + place.x * _ACROSS, _MARGIN + _HEAD + place.y * _DOWN
    fill, line = _COLOURS[step.state]
    yield f'<g id="step-{step.number}"><title>{_title(step)}</title>'
    if step.kind == "group":
        shape = f'width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{fill}" stroke="{line}"'
        yield f'<rect x="{x + 4:.1f}" y="{y + 4:.1f}" {shape}/>'
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{fill}" stroke="{line}" '
        'stroke-width="1.5"/>'
    )
    middle = x + _WIDTH / 2
    texts = ((19, "#111", "600", step.name), (35, "#444", "400", _what(step)), (50, line, "400", step.state.value))
    for down, colour, weight, text in texts:
        yield (
            f'<text x="{middle:.1f}" y="{y + down:.1f}" text-anchor="middle" fill="{colour}" font-weight="{weight}">'
            f"{_text(text, _LINE_CHARS)}</text>"
        )
    yield "</g>"


def _what(step: StepView) -> str:
    """The task of a step, or how many members a group has and how they ended."""
    if step.members is None:
        return step.task or ""
    there, succeeded, failed, cancelled = step.members
    total = f"{step.total:,}" if step.total is not None else f"{there:,}, open"
    others = [f"{count:,} {what}" for count, what in ((failed, "failed"), (cancelled, "cancelled")) if count]
    return ", ".join([f"{succeeded:,} of {total}", *others])


def _title(step: StepView) -> str:
    """What is shown of a step when it is pointed at."""
    parts = [f"{step.number}: {step.name}", _what(step), step.state.value, step.reason or ""]
    if step.error is not None:
        parts.append(f"{step.error.type}: {step.error.message}")
    return _text("\n".join(filter(None, parts)), _TITLE_CHARS)


def _state_of(view: WorkflowView) -> str:
    paused = ", paused" if view.paused else ""
    return f"{id_text(view.id)}: {view.state.value}{paused}"


def _text(text: str, chars_max: int) -> str:
    """Text as it may stand in XML, its beginning where it is long."""
    text = _NOT_IN_XML.sub("\ufffd", text)
    return escape(text if len(text) <= chars_max else f"{text[: chars_max - 1]}…")
