"""Members of groups that are jobs: they are added, handed out, and end. Of all that only counts are kept."""

from __future__ import annotations

from penstock.model import limits
from penstock.model.errors import Conflict, InvalidOption
from penstock.model.job_error import JobError
from penstock.model.workflow_plan import StepPlan
from penstock.model.workflow_views import StepState
from penstock.workflow.retrying import Retrying
from penstock.workflow.rows import GroupRow, add_range


class Membership(Retrying):
    """What happens to members."""

    def group_around(self, number: int) -> int | None:
        """The innermost group that a step is part of a member of; None: of none. What stands in for a group is not."""
        block = self.look(number)[0].plan.block
        while block is not None:
            facts, owner = self.look(block.owner)
            if owner.group is not None and block != facts.plan.alternative:
                return block.owner
            block = facts.plan.block
        return None

    def place_members(
        self, number: int, count: int, first: int | None = None, *, by_member: bool = False, at_start: bool = False
    ) -> tuple[int, bool]:
        """New jobs become members of a group; those that are there already are not counted.

        Args:
            first: the place of the first; None: after those that are there.
            by_member: they land with the success of a member, which is told afterwards: it does not matter whether the
                producer has closed the group.
            at_start: they came with the plan that the group is in: it does not matter whether it has ended meanwhile.

        Returns:
            The place of the first, and whether they are to be held: then they are handed out after `OpenMembers`. If
            not, they are enqueued now.

        Raises:
            Conflict: the group is closed, or has ended.
            InvalidOption: it is no group, or has no such places.
        """
        facts, row = self.look(number)
        group, plan = row.group, facts.plan.group
        if group is None or plan is None:
            raise InvalidOption(f"The step {facts.plan.name!r} is a job; only groups have members.", field="members")
        takes_more = self.workflow.ending is None and not row.is_closing
        if not takes_more and not at_start:
            raise Conflict(f"The group {facts.plan.name!r} has ended, or is about to; it takes no more members.")
        first = self._place(facts.plan, group, count, first, by_member=by_member)
        group = self.take_group(number)
        if plan.total is None or not by_member:
            group.next = max(group.next, first + count)
        if by_member and group.total is not None:
            group.total += count
        self.count_members(group, there=count)
        if not takes_more:
            self.count_members(group, cancelled=count)
            self.check_group(number)
            return first, True
        self.expect_more(group, plan.open_s)
        if row.state is StepState.RUNNING and not self.workflow.paused and not group.held:
            self.workflow.jobs += count
            return first, False
        if row.state is StepState.RUNNING and not group.held:
            add_range(self.workflow.held_back, number, number)
        group.held += count
        return first, True

    @staticmethod
    def _place(plan: StepPlan, group: GroupRow, count: int, first: int | None, *, by_member: bool) -> int:
        """The place of the first of new members."""
        assert plan.group is not None, "only groups have members"
        planned = plan.group.total
        if planned is None and group.total is not None and not by_member:
            raise Conflict(f"The group {plan.name!r} is closed; only its own members can add to it.")
        if by_member and group.total is not None:
            first = group.total
        elif first is None:
            first = group.next
        places = limits.GROUP_MEMBERS_MAX if planned is None or by_member else planned
        room = places if by_member or group.total is None else group.total
        if group.there + count > room or first + count > places:
            raise InvalidOption(f"The group {plan.name!r} has {places} members and no more.", field="members")
        return first

    def expect_more(self, group: GroupRow, open_s: float) -> None:
        """Something was added to a group: its producer has so long for what is missing, in seconds."""
        group.open_until = None if group.is_complete else self.now + open_s

    def close_group(self, number: int) -> None:
        """The producer of an open group has added all members.

        Raises:
            Conflict: members are missing that were announced.
            InvalidOption: it is no group.
        """
        facts, row = self.look(number)
        if row.group is None:
            raise InvalidOption(f"The step {facts.plan.name!r} is a job, and only groups are closed.", field="close")
        if facts.plan.group is not None and facts.plan.group.total is not None and not row.group.is_complete:
            raise Conflict(f"The group {facts.plan.name!r} has {row.group.there} of {row.group.total} members.")
        if row.group.total is None:
            group = self.take_group(number)
            group.total, group.open_until = group.there, None
            self.check_group(number)

    def members_started(self, number: int, count: int) -> None:
        """Of the members of a group that are held, or run again, so many were handed out."""
        self.take_group(number).held -= count
        self.workflow.jobs += count

    def members_ended(
        self,
        number: int,
        *,
        succeeded: int = 0,
        result_bytes: int = 0,
        failed: int = 0,
        cancelled: int = 0,
        error: JobError | None = None,
    ) -> None:
        """Jobs that are members of a group have ended.

        Args:
            result_bytes: what is kept of the results of all that succeeded.
            failed: how many are dead, or expired, or could not be enqueued.
            error: of the first that failed.
        """
        self.workflow.jobs -= succeeded + failed + cancelled
        group = self.take_group(number)
        group.error = group.error or error
        group.jobs_bytes += max(result_bytes, succeeded) + failed + cancelled
        self.count_results(result_bytes)
        self.count_members(group, succeeded=succeeded, failed=failed, cancelled=cancelled)
        self.check_group(number)

    def count_results(self, result_bytes: int) -> None:
        """Results are kept: so much more."""
        workflow = self.workflow
        workflow.result_bytes += result_bytes
        if workflow.result_bytes > limits.WORKFLOW_RESULT_BYTES_MAX:
            self.fail_workflow(
                JobError(
                    "ResultTooLarge",
                    f"The results of its steps take {workflow.result_bytes} bytes together; the limit"
                    f" (WORKFLOW_RESULT_BYTES_MAX) is {limits.WORKFLOW_RESULT_BYTES_MAX}.",
                )
            )
