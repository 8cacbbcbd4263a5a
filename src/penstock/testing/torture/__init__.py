"""The kill loop: a whole node under load, its processes killed and stopped at random, then an audit of what became
of every job.

* `schedule` (pure) what is struck when, from a seed · `nemesis` strikes
* `tree` the node under test · `tasks` its jobs · `producers`, `lossy` and `messages` the load
* `records` what producers and jobs write down for the auditor, each in files of its own
* `rows` what the store's file says · `audit` (pure) compares all that · `report` tells it
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Run ``penstock torture`` with these arguments.

    Returns:
        0: every check held; 1: one did not, and its jobs are listed; 2: wrong usage; 130: interrupted.
    """
    from penstock.testing.torture.command import run

    return run(argv)
