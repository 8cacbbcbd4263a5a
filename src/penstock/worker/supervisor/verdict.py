"""Which jobs are to blame for the death of an executor. Pure. `supervisor.Supervisor.dead` asks."""

from __future__ import annotations

from penstock.model.losses import Loss


def verdict(status: int | None, begun: int, ended: int) -> Loss:
    """How the jobs count as lost that had begun in a dead executor and whose end was not reported.

    A job may kill its executor after it has returned. So when jobs had ended there before, one of those may be to blame
    just as well, and the job that ran is not blamed alone.

    Args:
        status: how the executor exited, below 0 a signal. None: nobody saw it, because the forkserver is gone as well;
            then its end is why the executor ended.
        begun: jobs that had begun in it and of which no end was heard.
        ended: jobs that had ended in it before.
    """
    if status is None:
        return Loss.STRAY
    return Loss.BLAMED if begun == 1 and not ended else Loss.SHARED
