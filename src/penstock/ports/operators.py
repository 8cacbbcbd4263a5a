"""What a store offers to operators beside single jobs: holds on queues and tasks, bulk actions, the audit log.

It is a part of the contract of a store (`penstock.ports.Store`). ``by`` is who asks, for the audit log: the user of a
command line, or how a gate calls the sender of a request. It is told, not proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.model import limits
from penstock.model.actions import Action, ActionRequest
from penstock.model.audit import AuditPage
from penstock.model.holds import Hold, QueuesPage
from penstock.model.job import JobEntry
from penstock.model.states import State
from penstock.ports.effects import reads


class OperatorStore(Protocol):
    """The calls for operators. Each is one atomic step, and is in the audit log when it has changed something."""

    def pause(
        self, *, queue: str | None = None, task: str | None = None, by: str = "", note: str | None = None
    ) -> None:
        """Give out no jobs of a queue, of a task, or of a task in a queue, until `resume`. New ones are taken in.

        It bounds leases: what has been leased runs to its end, also where it waits in an executor that is busy. A
        parked lease is not woken by what is paused. Paused again, the later ``by`` and ``note`` are shown. Jobs that
        hold slots of keys are blocked meanwhile, so that others of their keys run.

        ``queue`` may be ``topic:``, which is a topic as a whole: the channels that it has and will have give out
        nothing, and get what is published. Resumed, those that were paused by themselves stay so.

        Raises:
            TopicNotFound: there is no such topic.
            QueueNotFound: there is no such queue: it has neither jobs nor records, and no task is registered for it.
            UnknownTask: no such task was ever registered, and there was never a job of it.
            InvalidOption: neither is named, or too many are held (`limits.HOLDS_MAX`).
        """
        ...

    def drain(
        self, *, queue: str | None = None, task: str | None = None, by: str = "", note: str | None = None
    ) -> None:
        """Take in no new jobs, and work off those that are there, until `resume`.

        Refused with `QueueDraining` are an enqueue and a move into it. Not refused is what comes of jobs that were
        accepted before: their retries, their children, and those that an operator revives.

        Raises:
            QueueNotFound, UnknownTask, InvalidOption: as `pause`.
        """
        ...

    def resume(self, *, queue: str | None = None, task: str | None = None, by: str = "") -> None:
        """Lift the holds that `pause` and `drain` have put on exactly this. It is no error when there are none.

        Raises:
            InvalidOption: neither a queue nor a task is named.
        """
        ...

    @reads
    def holds(self) -> list[Hold]:
        """The holds in force, by queue, task and kind."""
        ...

    @reads
    def queues(
        self, *, names: Sequence[str] | None = None, cursor: str | None = None, limit: int = limits.PAGE_QUEUES
    ) -> QueuesPage:
        """Queues with their counts, and with why they give out nothing or take nothing in.

        In pages by name; a page may be short, and its cursor goes on. Or those of ``names`` that there are, in one
        page; then there is no cursor, and none may be given. A queue that an application names, and that no job has
        been in, is answered by name alone.

        Raises:
            InvalidOption: the cursor is none of this store's, or given together with names.
        """
        ...

    def remove_queue(self, name: str, *, by: str = "") -> None:
        """Remove a queue that has neither jobs nor records, with the holds on it. What it counted stays in the totals.
        The next job for it makes it anew.

        Raises:
            QueueNotFound: there is no such queue.
            Conflict: it is not empty.
        """
        ...

    def start_action(self, wanted: ActionRequest, *, by: str = "") -> Action:
        """Begin a bulk action, which the store goes on with by itself (`penstock.model.actions`). Answers the action as
        it is: what matches has been counted if that was possible in a few milliseconds.

        An id that is known answers the action that has it.

        Raises:
            InvalidOption: it may not be asked for so, or too many are under way.
            QueueNotFound, UnknownTask: the filter names one that is not there.
            QueueDraining: jobs are to be moved into a queue that takes none.
        """
        ...

    @reads
    def actions(self, ids: Sequence[bytes] | None = None) -> list[Action]:
        """Bulk actions that are under way, and the latest that have ended, newest first. ``ids``: of these only those
        that are still known."""
        ...

    def stop_action(self, action_id: bytes, *, by: str = "") -> Action | None:
        """Let a bulk action end where it is. What it has changed stays changed. Answers it as it is then; None: it is
        not known."""
        ...

    @reads
    def audit(self, *, cursor: str | None = None, limit: int = 100) -> AuditPage:
        """The audit log, newest first, in pages of at most ``limit`` entries (and at most `limits.PAGE_AUDIT_MAX`).

        Raises:
            InvalidOption: the cursor is none of this call's.
        """
        ...

    def revive_edited(self, entry: JobEntry, *, by: str | None = None) -> State | None:
        """`Store.revive` of one job with other arguments: those of ``entry``, whose id is the job's, with the texts
        that rules and searches use of them (`JobEntry.values`, `JobEntry.searchable`).

        Whoever calls has checked the arguments as for an enqueue. The job keeps its id, its options and its history;
        a job that is not dead, cancelled or expired is left alone. Answers the job's state afterwards; None: there is
        no record of it.

        Raises:
            InvalidOption: the entry has an idempotency key, or something else that an enqueue would refuse.
            BodyTooLarge: its body is too large.
        """
        ...
