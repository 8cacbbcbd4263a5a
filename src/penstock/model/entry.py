"""Jobs as they are enqueued and what the store answers.

`penstock.model.job` hands these on: callers import them from there.
"""

from __future__ import annotations

from msgspec import Struct

from penstock.model.flow import UniqueRule
from penstock.model.numbers import Seconds as Seconds  # noqa: PLC0414 - handed on: `penstock.model.job` has it from here
from penstock.model.numbers import Whole as Whole  # noqa: PLC0414 - handed on: `penstock.model.job` has it from here
from penstock.model.states import State


class JobEntry(Struct, array_like=True, frozen=True, gc=False):
    """What is a job's own among jobs enqueued alike.

    Attributes:
        id: UUIDv7, 16 bytes.
        body: the arguments: one byte that names the format (``m`` msgpack, ``j`` JSON), then ``[args, kwargs]``.
        checksum: `checksum` of ``body``, made where the body was made, verified at every lease.
        idempotency_key: scoped to the task; None: none.
        identity: by what a key compares calls: checksum and length of the canonical form of the arguments, which is the
            same for equal calls. None: those of ``body``.
        values: the texts of the names that limits and fairness of its task or queue use, see
            `penstock.model.flow`. None: they use none.
        searchable: the texts of the arguments that the job can be found by, by their names. None: there are none.
        unique_key: among the jobs of its task, the one with this key is the same job, by its group's ``unique``: the
            text that `penstock.model.flow_texts.joined` makes of those of the rule's names. None: no other is the same.
            Where the group has no such rule nothing looks at it.
    """

    id: bytes
    body: bytes
    checksum: int
    idempotency_key: str | None = None
    identity: tuple[int, int] | None = None
    values: dict[str, str] | None = None
    searchable: dict[str, str] | None = None
    unique_key: str | None = None

    def told_by(self) -> tuple[int, int]:
        """What is remembered with its key."""
        return self.identity or (self.checksum, len(self.body))

    def is_call(self, first: tuple[int, int]) -> bool:
        """Whether it asks for what the job asked for that its key was first used for: ``first`` is that one's
        `told_by`. Earlier versions remembered the body's own."""
        return first in (self.told_by(), (self.checksum, len(self.body)))


class JobGroup(Struct, array_like=True, frozen=True):
    """Jobs that are alike in all but their arguments. The unit of `Store.enqueue`.

    Attributes:
        delay_s: not before this long from now, by the store's clock. None: at once.
        run_at: not before this time. None: at once. At most one of the two is given.
        expires_s: not leased for the first time within this time of being accepted: expired. None: never.
        unique: of those of its jobs that have a unique key there is one for each key. None: they may be any number.
        each: a job of these calls its function several times: see `penstock.model.job.JobExtra.each`.
    """

    task: str
    jobs: list[JobEntry]
    queue: str = "default"
    priority: Whole = 0
    delay_s: Seconds | None = None
    run_at: Seconds | None = None
    expires_s: Seconds | None = None
    headers: dict[str, str] | None = None
    tags: list[str] | None = None
    unique: UniqueRule | None = None
    each: bool = False


class Enqueued(Struct, array_like=True, frozen=True, gc=False):
    """The store's answer for a job that is not simply new and ready.

    Attributes:
        index: its place in the request, counted over all groups.
        id: the job it is, or duplicates.
        state: the state of that job; None: its record is gone.
        duplicate: nothing was added.
        conflict: nothing was added: the key belongs to a job with other arguments, or to a job that keeps others away.
        replaced: that job has the arguments of this one now.
        unique: it is the unique key that the job was found by, not its id and not its idempotency key.
    """

    index: int
    id: bytes
    state: State | None
    duplicate: bool = False
    conflict: bool = False
    replaced: bool = False
    unique: bool = False


class EnqueueAnswer(Struct, array_like=True, frozen=True):
    """Attributes:
    accepted: how many new jobs are durable now; 0 when ``atomic`` was asked for and one conflicted.
    exceptions: those that are not simply new and ready, by index.
    """

    accepted: int
    exceptions: list[Enqueued]
