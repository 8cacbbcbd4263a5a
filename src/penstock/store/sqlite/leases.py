"""What is known in memory of a lease."""

from __future__ import annotations

import msgspec

from penstock.model.job import Progress


class Lease(msgspec.Struct, gc=False):
    """One lease. ``deadline`` is monotonic seconds; ``started_at`` Unix seconds, None until reported.

    ``queue`` and ``task`` are those of its line. ``expires``: it has an expiry and, as far as is known, was never
    started. ``party``: of those that refused it, from whose line it was leased; 0: it has no row among the refused.
    ``interest``: who has to be told when it ends. ``step``: the row of the step of a workflow that it belongs to, with
    its ``place`` there; ``result_bytes``: the size of its result, once it has succeeded.
    """

    seq: int
    id: bytes
    line: int
    queue: int
    task: int
    attempts: int
    holder: bytes
    deadline: float
    started_at: float | None = None
    cancel: bool = False
    progress: Progress | None = None
    expires: bool = False
    party: int = 0
    interest: int = 0
    step: int | None = None
    place: int | None = None
    result_bytes: int = 0
