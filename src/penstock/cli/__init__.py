"""The command line: ``penstock``. One file a command, imported when it is called for.

Exit status: 0 done; 1 the thing asked for failed; 2 wrong usage; 3 the store or server cannot be reached or opened;
130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main", "nsqd", "nsqlookupd"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. ``arguments``: without the program's name; None: those of this process."""
    if sys.platform == "win32":
        sys.stderr.write("Penstock runs on Linux and macOS; on Windows use WSL.\n")
        return 2
    from penstock.process import standard_streams

    # First of all: if a standard stream is closed, a socket opened later would get its number.
    standard_streams.open_missing()
    from penstock.cli.exit_status import run

    return run(arguments)


def nsqd() -> int:
    """The console script ``penstock-nsqd``: ``penstock nsqd`` with the name that NSQ's daemon can be replaced by."""
    return main(["nsqd", *sys.argv[1:]])


def nsqlookupd() -> int:
    """The console script ``penstock-nsqlookupd``, as `nsqd`."""
    return main(["nsqlookupd", *sys.argv[1:]])
