"""How many files and sockets this process may have open at once."""

from __future__ import annotations

import contextlib
import resource

__all__ = ["raise_limit"]


def raise_limit() -> int:
    """Raise this process's soft limit to the hard one, and answer how many descriptors it may have.

    Only for a process that runs nobody else's code and starts none: programs that use ``select()`` break with
    descriptors from 1,024 on, and the soft limit is there for them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems report a hard limit that cannot be set. Then the soft one stays.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1 << 30
