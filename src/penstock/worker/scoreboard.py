"""The scoreboard: what one lane of an executor runs now, in memory shared with its supervisor.

The executor writes; the supervisor reads whenever it likes, also while a job holds the interpreter, also after the
process was killed. So a job that kills its executor in its first microsecond is still known to have started.

Layout, in words of 8 bytes: the fence of the latest job started, the fence up to which jobs are recalled, whether the
executor is reached by barriers, a spare word, then for each slot (a job that can run at a time): its fence (0: none),
when it started (monotonic seconds), its attempt, and the fence of a job asked to end. The supervisor writes what is
recalled and asked. A word is written in one piece; fences decide, should two sides ever disagree.

To recall, the supervisor writes how far, then reads the latest started. To start, a lane writes the fence, then reads
how far is recalled. So of any job one side at least sees what the other has done: it is either not given to others,
or not started here. That holds only if each side's write is seen before it reads, which no processor promises. The
lane starts too many jobs to see to it; so the supervisor, between its write and its read, has the kernel put a barrier
into the lane's processor too (`memory_barrier.everywhere`). Where that cannot be done it lets `SETTLE_S` pass instead,
many thousand times what a processor keeps a write to itself.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable

from penstock.worker import memory_barrier
from penstock.worker.messages import Occupied

_WORD_BYTES = 8
_SLOT_WORDS = 4
_HEAD_WORDS = 4
_LATEST = 0
RECALLED = 1
"""The word of the fence up to which jobs are recalled."""
_REACHED = 2
SETTLE_S = 0.02
"""After this a write has been seen everywhere, and what a lane read before it has led to what it did."""


def scoreboard_fd(slots: int) -> int:
    """An anonymous file of the right size, to be passed to another process. The caller closes it."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("penstock-scoreboard", os.MFD_CLOEXEC)
    else:
        fd, path = tempfile.mkstemp(prefix="penstock-scoreboard-")
        os.unlink(path)
    os.ftruncate(fd, (_HEAD_WORDS + slots * _SLOT_WORDS) * _WORD_BYTES)
    return fd


class Scoreboard:
    """Both sides' view of one scoreboard.

    ``words`` and ``times`` are the same memory as integers and as floats. Lanes start a job through `starter`, and
    write the end of one to ``words`` themselves.
    """

    def __init__(self, fd: int, slots: int) -> None:
        self.slots = slots
        size = (_HEAD_WORDS + slots * _SLOT_WORDS) * _WORD_BYTES
        self._memory = mmap.mmap(fd, size)
        self.words = memoryview(self._memory).cast("q")
        self.times = memoryview(self._memory).cast("d")

    @property
    def latest(self) -> int:
        """The fence of the job started last; 0 before the first."""
        return self.words[_LATEST]

    def starter(self, slot: int) -> Callable[[int, int, float], bool]:
        """The function by which a lane starts each job in this slot, given its fence, its attempt, and the time.

        The function answers whether the job may run. False: the job is recalled, and must be returned unstarted.
        A lane calls it with rising fences. It is a closure and no method since every job of every lane passes here.
        """
        words, times = self.words, self.times
        fence_word = self.slot_base(slot)
        started_word, attempt_word = fence_word + 1, fence_word + 2

        def start(fence: int, attempt: int, started: float) -> bool:
            words[attempt_word] = attempt
            times[started_word] = started
            words[fence_word] = words[_LATEST] = fence
            # Only now, when the supervisor can see the start: see above, of recalls.
            if fence > words[RECALLED]:
                return True
            words[fence_word] = 0
            return False

        return start

    @staticmethod
    def slot_base(slot: int) -> int:
        """The word of a slot's fence; then start, attempt, and the fence asked to end. A lane that is done with a job
        writes 0 there."""
        return _HEAD_WORDS + slot * _SLOT_WORDS

    def reached(self) -> None:
        """The executor is reached by barriers. It says so before it starts a job."""
        self.words[_REACHED] = 1

    def recall_to(self, fence: int) -> bool:
        """Jobs up to this fence that have not started are not to start. Lanes look at ``words[RECALLED]``.

        Answers whether `latest` tells now which have started; otherwise only after `SETTLE_S`.
        """
        self.words[RECALLED] = fence
        return self.words[_REACHED] == 1 and memory_barrier.everywhere()

    def occupied(self) -> list[Occupied]:
        """The slots in which a job runs."""
        words, times = self.words, self.times
        found = []
        for slot in range(self.slots):
            base = _HEAD_WORDS + slot * _SLOT_WORDS
            fence = words[base]
            if fence:
                found.append(Occupied(slot, fence, times[base + 1], words[base + 2]))
        return found

    def ask_to_end(self, slot: int, fence: int) -> None:
        """Ask the job in a slot to end; it sees that through its context."""
        self.words[_HEAD_WORDS + slot * _SLOT_WORDS + 3] = fence

    def asked_to_end(self, slot: int, fence: int) -> bool:
        """Whether this job in this slot has been asked to end."""
        return self.words[_HEAD_WORDS + slot * _SLOT_WORDS + 3] == fence

    def close(self) -> None:
        """Let go of the memory. A second close does nothing."""
        self.words.release()
        self.times.release()
        self._memory.close()
