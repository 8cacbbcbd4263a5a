"""The picture of a run: no-op jobs worked off a second, a bar a subject, on a logarithmic scale.

Colour says what an acknowledged job survives; it is written at the bar too. Light and dark both, without a script.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from benchmarks.document import Document, Figure
from benchmarks.ranking import OWN, Standing, standings, survival, value
from benchmarks.record import BROKER_KILL, POWER_CUT, WORKER_KILL
from benchmarks.rows import NOOP

WIDTH = 860
LEFT = 170
RIGHT = 250
BAR = 20
GAP = 8
TOP = 92
BOTTOM = 46

_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2933 }
  .title { font-size: 18px; font-weight: 600 }
  .soft { fill: #52606d; font-size: 12px }
  .own { font-weight: 700 }
  .grid { stroke: #d9dee4 }
  .all { fill: #0b7a4b } .some { fill: #c08a00 } .none { fill: #8a97a6 }
  .ground { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6ebf0 } .soft { fill: #9fb0c0 } .grid { stroke: #36424e } .ground { fill: #10161c }
    .all { fill: #35c484 } .some { fill: #e0b040 } .none { fill: #71808f }
  }
"""
_LEGEND = (("all", "survives everything"), ("some", "survives some of it"), ("none", "survives none of it"))


def plot(record: Document) -> str:
    """The picture as SVG. Without a figure to show it says so."""
    standing = next((one for one in standings(record) if one.row == NOOP and one.figures), None)
    if standing is None:
        return _framed(60, ['<text x="20" y="36">Nothing was measured.</text>'])
    height = TOP + len(standing.figures) * (BAR + GAP) + BOTTOM
    return _framed(height, [*_heading(), *_scale(standing, height), *_bars(standing)])


def _framed(height: int, body: list[str]) -> str:
    lines = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="No-op jobs worked off a second">\n<style>{_STYLE}</style>\n'
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>\n{lines}\n</svg>\n'
    )


def _heading() -> Iterator[str]:
    yield '<text class="title" x="20" y="32">No-op jobs worked off a second, two processes each</text>'
    yield '<text class="soft" x="20" y="52">each step of the scale is ten times the one before</text>'
    x = 20
    for name, text in _LEGEND:
        yield f'<rect class="{name}" x="{x}" y="63" width="11" height="11" rx="2"/>'
        yield f'<text class="soft" x="{x + 16}" y="73">{text}</text>'
        x += 145
    yield f'<text class="soft" x="{x}" y="73">(kill of the worker, kill of the broker, power cut)</text>'


def decades(standing: Standing) -> tuple[int, int]:
    """The powers of ten that a scale runs from and to."""
    values = [one.value for one in standing.figures if one.value > 0]
    if not values:
        return 0, 1
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def _along(standing: Standing, figure: float) -> float:
    """How far to the right a value lies."""
    low, high = decades(standing)
    share = (math.log10(max(figure, 10.0**low)) - low) / (high - low)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _scale(standing: Standing, height: int) -> Iterator[str]:
    low, high = decades(standing)
    for power in range(low, high + 1):
        x = _along(standing, 10.0**power)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - BOTTOM}"/>'
        yield f'<text class="soft" x="{x:.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{10**power:,}</text>'


def _bars(standing: Standing) -> Iterator[str]:
    for index, one in enumerate(standing.figures):
        y = TOP + index * (BAR + GAP)
        own = " own" if one.subject == OWN else ""
        name = "Penstock" if own else escape(one.subject)
        x = _along(standing, one.value)
        yield f'<text class="{own.strip()}" x="{LEFT - 10}" y="{y + 15}" text-anchor="end">{name}</text>'
        yield f'<rect class="{shade(one)}" x="{LEFT}" y="{y}" width="{max(2.0, x - LEFT):.1f}" height="{BAR}" rx="3"/>'
        yield (
            f'<text class="{own.strip()}" x="{x + 8:.1f}" y="{y + 15}">{value(one)}'
            f'<tspan class="soft" dx="8">{survival(one.survives)}</tspan></text>'
        )


def shade(one: Figure) -> str:
    """The class of a bar: what survives."""
    survives = set(one.survives)
    if survives >= {WORKER_KILL, BROKER_KILL, POWER_CUT}:
        return "all"
    return "some" if survives else "none"
