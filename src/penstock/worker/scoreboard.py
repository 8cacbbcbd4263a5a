"""The scoreboard: what one lane of an executor runs now, in memory shared with its supervisor.

The executor writes; the supervisor reads whenever it likes, also while a job holds the interpreter, also after the
process was killed. So a job that kills its executor in its first microsecond is still known to have started.

Layout, in words of 8 bytes: the fence of the job that was started last, the fence up to which jobs are recalled,
whether memory barriers reach the executor, and a spare word. Then four words for each slot (a lane has as many slots as
jobs can run in it at a time): the fence of the job that runs (0: none), when it started (monotonic seconds), its
attempt, and the fence of a job that is asked to end. The supervisor writes what is recalled and who is asked to end;
the executor writes the rest. A word is written in one piece.

A recall takes jobs back that have not started. The supervisor writes up to which fence jobs are recalled, and then
reads which job the lane started last. To start a job, the lane writes its fence, and then reads up to where jobs are
recalled. So for each job at least one side sees what the other has written: either the supervisor sees that the job has
started and does not give it to another executor, or the lane sees that it is recalled and does not start it.

That holds only if a write is visible to the other side before the writer reads, which processors do not promise by
themselves. The lane starts too many jobs to pay for a memory barrier each time. So the supervisor, between its write
and its read, has the kernel put a barrier into the lane's processor as well (`memory_barrier.everywhere`). Where that
cannot be done, it waits for `SETTLE_S` instead, which is many thousand times as long as a processor keeps a write to
itself.
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
"""How long the supervisor waits after a recall where the system has no memory barriers for other processes: its write
is visible by then, and what a lane had decided before has been written too."""


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
    """One scoreboard, as either side uses it.

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
        written = words[attempt_word]

        def start(fence: int, attempt: int, started: float) -> bool:
            nonlocal written
            # Nobody else writes this word, and most jobs are at their first attempt.
            if attempt != written:
                words[attempt_word] = written = attempt
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
        """Note that memory barriers reach this executor. The executor calls it, before it starts a job."""
        self.words[_REACHED] = 1

    def recall_to(self, fence: int) -> bool:
        """Recall the jobs up to this fence that have not started: the lane will not start them.

        Answers True when `latest` shows right away which jobs have started. Otherwise it shows that after `SETTLE_S`.
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
        """Ask the job in a slot to end. It sees that when it calls `penstock.tasks.context.Context.cancelled`."""
        self.words[_HEAD_WORDS + slot * _SLOT_WORDS + 3] = fence

    def asked_to_end(self, slot: int, fence: int) -> bool:
        """Whether this job in this slot has been asked to end."""
        return self.words[_HEAD_WORDS + slot * _SLOT_WORDS + 3] == fence

    def close(self) -> None:
        """Let go of the memory. A second close does nothing."""
        self.words.release()
        self.times.release()
        self._memory.close()
