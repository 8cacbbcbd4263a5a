"""``docs/calls.md``, made from the table of calls: ``python -m penstock.testing.calls_page`` prints it."""

from __future__ import annotations

import inspect
from typing import Final

from penstock.ports import Effect, effect_of
from penstock.store.wire.calls import CALLS, Call, OwnerCalls

_HEAD: Final = """\
# The calls of a store

<!-- Made from src/penstock/ports/ by `python -m penstock.testing.calls_page`. Do not edit. -->

What each call promises is written at its definition in `penstock.ports`; an event loop has the same calls as coroutines
(`AsyncStore`). On the wire a request is an array of the call's parameters in this order, packed with msgpack. A number
stands for the call, made from its name.

A call that is applied once is answered with its first answer when it is made again because that was lost.
"""
_EFFECTS: Final = {
    Effect.READS: "reads",
    Effect.REPEATABLE: "changes; may be repeated",
    Effect.ONCE: "changes; applied once",
}


def _signature(call: Call) -> str:
    parameters = [each for each in inspect.signature(call.port).parameters.values() if each.name != "self"]
    bare = inspect.Signature([each.replace(annotation=inspect.Parameter.empty) for each in parameters])
    return f"{call.name}{bare}"


def _summary(call: Call) -> str:
    text = " ".join(inspect.getdoc(call.port).split("\n\n")[0].split())  # type: ignore[union-attr]  # all have one
    return text.partition(". ")[0].removesuffix(".").replace("``", "`").replace("|", "\\|")


def _rows(calls: list[Call]) -> list[str]:
    lines = ["| call | what it does | effect | waits | number |", "|---|---|---|---|---|"]
    for call in calls:
        waits = "yes" if call.parks else ""
        effect = _EFFECTS[effect_of(call.name)]
        lines.append(f"| `{_signature(call)}` | {_summary(call)} | {effect} | {waits} | {call.kind} |")
    return lines


def calls_page() -> str:
    """The whole page, as Markdown."""
    of_owner = [call for call in CALLS.values() if hasattr(OwnerCalls, call.name)]
    of_store = [call for call in CALLS.values() if call not in of_owner]
    lines = [_HEAD, *_rows(of_store), "", "## What may be asked of the owner of a directory", "", *_rows(of_owner), ""]
    return "\n".join(lines)


def main() -> None:
    """Print the page."""
    print(calls_page(), end="")  # noqa: T201 - printing is what this command is for


if __name__ == "__main__":
    main()
