"""``docs/states.md``, made from the transition table: ``python -m penstock.testing.states_page`` prints it."""

from __future__ import annotations

from penstock.model.states import MEANING, MOVES, TERMINAL, WAITING, Event, Move, State

_HEAD = """\
# The states of a job

<!-- Made from src/penstock/model/states.py by `python -m penstock.testing.states_page`. Do not edit. -->

Every move that any store makes is in the table below; a move that is not there raises `IllegalTransition` and changes
nothing.
"""

_NOTHING = "*"
"""How Mermaid writes a job that does not exist, between square brackets."""


def _names(states: frozenset[State | None]) -> list[str]:
    """States in the order of the enumeration, a job that does not exist first."""
    return (["nothing"] if None in states else []) + [state.value for state in State if state in states]


def _kind(state: State) -> str:
    if state in WAITING:
        return "waiting"
    return "finished" if state in TERMINAL else "running"


def _arrows(event: Event, move: Move) -> list[str]:
    """The arrows of one move, without those that lead back to where they come from."""
    return [
        f"    {_node(source)} --> {_node(target)}: {event.value}"
        for source in _names(move.sources)
        for target in _names(move.targets)
        if source != target
    ]


def _node(name: str) -> str:
    return f"[{_NOTHING}]" if name == "nothing" else name


def states_page() -> str:
    """The whole page, as Markdown."""
    lines = [_HEAD, "| state | kind | meaning |", "|---|---|---|"]
    lines += [f"| `{state.value}` | {_kind(state)} | {MEANING[state]} |" for state in State]
    lines += ["", "## Moves", "", "| event | from | to | who | what has happened |", "|---|---|---|---|---|"]
    for event, move in MOVES.items():
        sources, targets = (", ".join(_names(states)) for states in (move.sources, move.targets))
        lines.append(f"| `{event.value}` | {sources} | {targets} | {move.actor} | {move.meaning} |")
    lines += ["", "## Diagram", "", "The dot is a job that does not exist yet, or a record that is gone."]
    lines += ["", "```mermaid", "stateDiagram-v2"]
    for event, move in MOVES.items():
        lines += _arrows(event, move)
    return "\n".join([*lines, "```", ""])


def main() -> None:
    """Print the page."""
    print(states_page(), end="")  # noqa: T201 - printing is what this command is for


if __name__ == "__main__":
    main()
