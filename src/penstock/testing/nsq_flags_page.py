"""``docs/nsq-flags.md``, made from the options: ``python -m penstock.testing.nsq_flags_page`` prints it."""

from __future__ import annotations

from typing import Any

from penstock.nsq.flags import Flag, default_text, flags_of
from penstock.nsq.options import DoorOptions, LookupOptions

_HEAD = """\
# The flags of nsqd and nsqlookupd

<!-- Made from src/penstock/nsq/options.py by `python -m penstock.testing.nsq_flags_page`. Do not edit. -->

Every flag that NSQ 1.3.0 has, with its default but for the addresses, which are this machine's own here; and Penstock's
own flags. A flag is `-name value`, `-name=value`, or either with two dashes; one that is true or false takes its value
only behind `=`. `-config FILE` reads a file in TOML, where each option has the name of the second column; flags go
before it. `-version` prints the version, `-h` this list. Durations are in Go's notation: `250ms`, `60s`, `1h30m`; in
the file a bare number is milliseconds.

What changes nothing here is taken all the same, and said once in the log.
"""


def nsq_flags_page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([_HEAD, *_table("nsqd", DoorOptions), *_table("nsqlookupd", LookupOptions)])


def _table(program: str, options: type[Any]) -> list[str]:
    rows = [f"## {program}", "", "| flag | in the file | default | what it says |", "|---|---|---|---|"]
    rows += [_row(name, found, options) for name, found in flags_of(options).items()]
    return [*rows, ""]


def _row(name: str, found: Flag, options: type[Any]) -> str:
    word = f" {found.kind.word}" if found.kind.word else ""
    default = default_text(options, name)
    told = f"{found.told}; changes nothing here: {found.unused}" if found.unused else found.told
    told = told.replace("|", "\\|")
    return f"| `-{found.name}{word}` | `{found.key}` | {f'`{default}`' if default else ''} | {told} |"


def main() -> None:
    """Print the page."""
    print(nsq_flags_page(), end="")  # noqa: T201 - printing is what this command is for


if __name__ == "__main__":
    main()
