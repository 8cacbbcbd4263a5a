"""A wish to stop that a signal may bring at any moment.

`threading.Event` will not do: its `set` takes the lock that `wait` holds for a moment, and a handler runs in the middle
of the very thread that waits.
"""

from __future__ import annotations

import os
import select


class Stopping:
    """Set once, by a signal handler or anybody."""

    def __init__(self) -> None:
        self._is_set = False
        self._woken, self._waker = os.pipe()

    def set(self) -> None:
        """Have everybody stop."""
        self._is_set = True
        os.write(self._waker, b".")

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Let so much time pass, or less when it is set. Answers whether it is."""
        select.select([self._woken], [], [], seconds)
        return self._is_set
