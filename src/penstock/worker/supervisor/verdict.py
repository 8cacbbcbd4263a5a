"""Who is to blame for the death of an executor. Pure: what was found in its lanes is handed in."""

from __future__ import annotations

from penstock.model.losses import Loss


def verdict(status: int | None, begun: int, ended: int) -> Loss:
    """What is held against the jobs that had begun in an executor and of which no end was heard.

    A job may kill its executor after it has returned, so one that ended before is no less to blame than one that runs.

    Args:
        status: how the executor exited, below 0 a signal. None: nobody saw it, since whoever watches executors, their
            forkserver, is gone itself; then that is why they ended.
        begun: jobs that had begun in it and of which no end was heard.
        ended: jobs that had ended in it before.
    """
    if status is None:
        return Loss.STRAY
    return Loss.BLAMED if begun == 1 and not ended else Loss.SHARED
