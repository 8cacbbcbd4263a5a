from __future__ import annotations

from penstock.workflow.rows import BlockRow, Chore, ChoreKind, GroupRow, WorkflowRow, add_range


def test_work_on_steps_that_follow_one_another_is_one_chore():
    row = WorkflowRow()
    for number in (1, 2, 4):
        row.to_do(ChoreKind.CANCEL, number, number)
    row.to_do(ChoreKind.SKIP, 5, 6)
    assert row.chores == [
        Chore(ChoreKind.CANCEL, 1, 2),
        Chore(ChoreKind.CANCEL, 4, 4),
        Chore(ChoreKind.SKIP, 5, 6),
    ]


def test_blocks_of_different_owners_are_opened_apart():
    row = WorkflowRow()
    row.to_do(ChoreKind.OPEN, 1, 1)
    row.to_do(ChoreKind.OPEN, 2, 2)
    assert len(row.chores) == 2


def test_ranges_grow():
    ranges: list[tuple[int, int]] = []
    for first, last in ((1, 2), (3, 3), (5, 5)):
        add_range(ranges, first, last)
    assert ranges == [(1, 3), (5, 5)]


def test_what_a_group_and_a_block_come_to():
    group = GroupRow(total=5, there=5, blocks=2, succeeded=2, failed=1, cancelled=1, blocks_succeeded=1)
    assert (group.ended, group.bad, group.jobs, group.jobs_succeeded, group.is_complete) == (4, 2, 3, 1, True)
    assert not GroupRow(total=None, there=5).is_complete
    assert [BlockRow(left, failed).has_succeeded for left, failed in ((0, False), (1, False), (0, True))] == [
        True,
        False,
        False,
    ]
