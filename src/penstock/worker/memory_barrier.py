"""A memory barrier on other processors, by the kernel (Linux's ``membarrier``).

Two processes that each write one word and then read the other's may both read the old one: a processor keeps a write to
itself for a moment. The one that does this often can be spared every cost when the other has the kernel put a barrier
into it. That is what the scoreboard's recall does.
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
    """Have `everywhere` reach this process. Answers whether it does. Cheap while the process has one thread."""
    return _call(_REGISTER_GLOBAL_EXPEDITED)


def everywhere() -> bool:
    """A barrier here, and in every thread of every registered process: what they have written is seen from here, and
    what was written here is seen by all they read from now on. Some microseconds. False: this system cannot do it."""
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
