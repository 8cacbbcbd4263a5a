"""A memory barrier on other processors, by the kernel (Linux's ``membarrier``).

Two processes share two words of memory. Each writes one and then reads the other. Both may read the old value, because
a processor keeps what it has written to itself for a moment. A memory barrier between the write and the read prevents
that, in both processes. A lane does this for every job and must not pay for a barrier; its supervisor does it rarely,
and has the kernel put the barrier into the lane's processor as well. `penstock.worker.scoreboard` says what the two
words are.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Final

_NUMBERS: Final = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "ppc64le": 365, "s390x": 356, "loongarch64": 283}
"""The system call's number, by machine, for 64-bit programs."""
_GLOBAL_EXPEDITED: Final = 1 << 1
_REGISTER_GLOBAL_EXPEDITED: Final = 1 << 2
_64_BIT: Final = sys.maxsize > 2**32


def register() -> bool:
    """From now on the barriers of `everywhere` include this process. Answers whether they do. Fast as long as the
    process has one thread, so call it before others are started."""
    return _call(_REGISTER_GLOBAL_EXPEDITED)


def everywhere() -> bool:
    """Put a barrier into this process and into every thread of every process that has called `register`. What they
    wrote before is visible here afterwards, and they see what was written here before. Takes some microseconds. Answers
    False where the system cannot do it."""
    return _call(_GLOBAL_EXPEDITED)


def _call(command: int) -> bool:
    system_call = _system_call()
    return system_call is not None and system_call(command) == 0


@cache
def _system_call() -> Callable[[int], int] | None:
    number = _NUMBERS.get(os.uname().machine)
    if sys.platform != "linux" or number is None or not _64_BIT:
        return None
    try:
        call = ctypes.CDLL(None, use_errno=True).syscall
    except (OSError, AttributeError):
        return None
    call.restype = ctypes.c_long
    return lambda command: int(call(ctypes.c_long(number), ctypes.c_int(command), ctypes.c_uint(0), ctypes.c_int(0)))
