"""Outcomes on their way to the store."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from penstock.model import limits
from penstock.model.ids import new_ids
from penstock.model.job import (
    Buried,
    Cancelled,
    JobEntry,
    JobError,
    JobGroup,
    Lost,
    Outcomes,
    Refused,
    Retried,
    Snoozed,
    Succeeded,
)
from penstock.model.losses import Loss
from penstock.worker.supervisor.settlement import REFUSALS_MAX, OutcomeBatch, Settlement

HOLDER = b"h" * 16
ERROR = JobError("E", "why")


def taken(settlement: Settlement) -> Outcomes:
    settling = settlement.take()
    assert settling is not None
    return settling.outcomes


def test_what_is_added_while_one_is_under_way_goes_with_the_next() -> None:
    settlement = Settlement(HOLDER)
    settlement.forget([1, 2])
    first = taken(settlement)
    settlement.forget([3])
    second = taken(settlement)
    assert (first, second, settlement.take()) == (
        Outcomes(HOLDER, forgotten=[1, 2]),
        Outcomes(HOLDER, forgotten=[3]),
        None,
    )


def test_late_outcomes_are_dropped() -> None:
    settlement = Settlement(HOLDER)
    said = Outcomes(
        HOLDER,
        forgotten=[1, 2],
        succeeded=[Succeeded(3, 0.0, 1.0), Succeeded(4, 0.0, 1.0)],
        retried=[Retried(5, 1.0, ERROR), Retried(6, 1.0, ERROR)],
        snoozed=[Snoozed(7, 1.0), Snoozed(8, 1.0)],
        buried=[Buried(9, ERROR), Buried(10, ERROR)],
        cancelled=[Cancelled(11), Cancelled(12)],
    )
    settlement.add(said, 12, [1, 3, 5, 7, 9, 11], 100)
    assert sorted(taken(settlement).fences()) == [1, 3, 5, 7, 9, 11]
    settlement.add(said, 12, range(1, 13), 100)
    assert taken(settlement) == said


def test_of_two_outcomes_for_one_job_the_first_counts() -> None:
    """The store would refuse the whole settlement: a fence stands in it once."""
    settlement = Settlement(HOLDER)
    said = Outcomes(
        HOLDER,
        succeeded=[Succeeded(1, 0.0, 1.0), Succeeded(2, 0.0, 1.0)],
        retried=[Retried(1, 1.0, ERROR), Retried(3, 1.0, ERROR), Retried(3, 9.0, ERROR)],
        children=[(1, child_group())],
    )
    settlement.add(said, 5, [1, 2, 3], 100)
    batch = taken(settlement)
    assert batch.fences() == [1, 2, 3]
    assert (batch.retried, batch.children) == ([Retried(3, 1.0, ERROR)], said.children)
    assert (settlement.waiting, settlement.unsettled) == (0, 3)


def test_everything_unsettled_is_still_held() -> None:
    settlement = Settlement(HOLDER)
    settlement.release([1])
    under_way = settlement.take()
    settlement.lose({2: 1.0}, Loss.SHARED, ERROR)
    settlement.end(Cancelled(3))
    assert sorted(settlement.fences()) == [1, 2, 3]
    assert (settlement.waiting, settlement.unsettled) == (2, 3)
    assert under_way is not None
    settlement.settled(under_way)
    assert (sorted(settlement.fences()), settlement.unsettled) == ([2, 3], 2)


def test_what_could_not_be_settled_is_sent_again_with_the_rest() -> None:
    settlement = Settlement(HOLDER)
    settlement.forget([1])
    batch = settlement.take()
    assert batch is not None
    settlement.put_back(batch)
    settlement.forget([2])
    assert (settlement.waiting, settlement.unsettled) == (2, 2)
    assert taken(settlement) == Outcomes(HOLDER, forgotten=[1, 2])
    assert settlement.take() is None


def test_a_settlement_has_a_limit_of_jobs_and_of_bytes() -> None:
    settlement = Settlement(HOLDER)
    settlement.forget(range(limits.SETTLE_JOBS_MAX))
    settlement.add(Outcomes(HOLDER, succeeded=[Succeeded(-1, 0.0, 0.0)]), 1, [-1], limits.SETTLE_BYTES_MAX)
    settlement.forget([-2])
    sizes = []
    while (batch := settlement.take()) is not None:
        sizes.append(len(batch.outcomes.fences()))
    assert sizes == [limits.SETTLE_JOBS_MAX, 1, 1]


def test_nothing_is_not_settled() -> None:
    settlement = Settlement(HOLDER)
    settlement.forget([])
    settlement.release([])
    settlement.add(Outcomes(HOLDER, forgotten=[1]), 1, [], 10)
    assert settlement.take() is None


def test_reports_that_would_not_fit_together_travel_apart() -> None:
    settlement = Settlement(HOLDER)
    for fence in (1, 2, 3):
        size_bytes = limits.SETTLE_BYTES_MAX // 2
        settlement.add(Outcomes(HOLDER, succeeded=[Succeeded(fence, 0.0, 0.0)]), 1, [fence], size_bytes)
    assert [taken(settlement).fences(), taken(settlement).fences()] == [[1, 2], [3]]


def test_losses_told_at_length_travel_apart() -> None:
    settlement = Settlement(HOLDER)
    settlement.lose(dict.fromkeys(range(1_000), 1.0), Loss.SHARED, JobError("E", "x" * limits.ERROR_MESSAGE_BYTES_MAX))
    sizes = []
    while (batch := settlement.take()) is not None:
        sizes.append(len(msgspec.msgpack.encode(batch.outcomes)))
    assert len(sizes) > 1
    assert max(sizes) <= limits.SETTLE_BYTES_MAX


def test_what_is_refused_is_halved_and_nothing_is_added_to_it() -> None:
    settlement = Settlement(HOLDER)
    said = Outcomes(
        HOLDER,
        forgotten=[1],
        succeeded=[Succeeded(2, 0.0, 1.0)],
        retried=[Retried(3, 1.0, ERROR)],
        snoozed=[Snoozed(4, 1.0)],
        buried=[Buried(5, ERROR)],
        cancelled=[Cancelled(6)],
    )
    settlement.add(said, 6, range(1, 7), 100)
    settlement.lose({7: 1.0}, Loss.SHARED, ERROR)
    settlement.release([8])
    whole = settlement.take()
    assert whole is not None
    settlement.refused(whole, ERROR)
    assert (settlement.waiting, settlement.unsettled, sorted(settlement.fences())) == (8, 8, list(range(1, 9)))
    settlement.release([9])
    parts = [settlement.take() for _ in range(3)]
    fences = [part.outcomes.fences() for part in parts if part is not None]
    assert [len(part) for part in fences] == [4, 4, 1]
    assert (sorted(fences[0] + fences[1]), fences[2]) == (list(range(1, 9)), [9])
    assert [part and part.jobs for part in parts] == [4, 4, 1]
    assert settlement.take() is None


def test_an_outcome_that_is_always_refused_becomes_a_loss() -> None:
    settlement = Settlement(HOLDER)
    settlement.add(Outcomes(HOLDER, succeeded=[Succeeded(1, 0.0, 1.0)]), 1, [1], 10)
    for _ in range(REFUSALS_MAX):
        one = settlement.take()
        assert one is not None
        assert one.outcomes.succeeded
        settlement.refused(one, ERROR)
    assert taken(settlement) == Outcomes(HOLDER, lost=[Lost(1, Loss.BLAMED, ERROR)])


def child_group(count: int = 1) -> list[JobGroup]:
    return [JobGroup("child", [JobEntry(job_id, b"", 0) for job_id in new_ids(count)])]


def parents(*fences: int, children: int = 1) -> Outcomes:
    return Outcomes(
        HOLDER,
        succeeded=[Succeeded(fence, 0.0, 1.0) for fence in fences],
        children=[(fence, child_group(children)) for fence in fences],
    )


def test_children_go_with_their_parent_and_those_of_late_outcomes_are_dropped() -> None:
    settlement = Settlement(HOLDER)
    said = parents(1, 2, 3)
    settlement.add(said, 3, [1, 3], 100)
    first = taken(settlement)
    assert first.fences() == [1, 3]
    assert first.children == [said.children[0], said.children[2]]
    settlement.add(said, 3, [1, 2, 3], 100)
    assert taken(settlement) == said


def test_a_settlement_has_a_limit_of_children() -> None:
    settlement = Settlement(HOLDER)
    for fence in range(25):
        settlement.add(parents(fence, children=limits.CHILDREN_MAX), 1, [fence], 100)
    counts = []
    while (batch := settlement.take()) is not None:
        assert [fence for fence, _ in batch.outcomes.children] == batch.outcomes.fences()
        counts.append(len(batch.outcomes.children))
    assert counts == [10, 10, 5]


def test_when_a_settlement_is_halved_children_stay_with_their_parent() -> None:
    settlement = Settlement(HOLDER)
    said = parents(1, 2, 3)
    settlement.add(said, 3, [1, 2, 3], 100)
    settlement.forget([4])
    whole = settlement.take()
    assert whole is not None
    settlement.refused(whole, ERROR)
    halves = [taken(settlement), taken(settlement)]
    assert sorted(fence for half in halves for fence in half.fences()) == [1, 2, 3, 4]
    for half in halves:
        assert {fence for fence, _ in half.children} == set(half.fences()) - {4}


def test_halves_for_which_there_was_no_room_count_their_children() -> None:
    """Others may be added to the last of them."""
    settlement = Settlement(HOLDER)
    settlement.add(parents(1, 2, children=limits.CHILDREN_MAX), 2, [1, 2], 100)
    whole = settlement.take()
    assert whole is not None
    settlement.does_not_fit(whole)
    for fence in range(3, 14):
        settlement.add(parents(fence, children=limits.CHILDREN_MAX), 1, [fence], 100)
    counts = []
    while (batch := settlement.take()) is not None:
        counts.append(sum(len(group.jobs) for _, groups in batch.outcomes.children for group in groups))
    assert counts == [limits.CHILDREN_MAX, limits.BATCH_JOBS_MAX, 2 * limits.CHILDREN_MAX]


def test_a_job_whose_children_are_always_refused_is_dead_and_says_why() -> None:
    settlement = Settlement(HOLDER)
    settlement.add(parents(1), 1, [1], 10)
    for _ in range(REFUSALS_MAX):
        one = settlement.take()
        assert one is not None
        settlement.refused(one, ERROR)
    assert taken(settlement) == Outcomes(HOLDER, buried=[Buried(1, ERROR)])


def test_what_the_supervisor_ends_is_settled_as_it_was_ended() -> None:
    settlement = Settlement(HOLDER)
    ends = [Retried(1, 1.0, ERROR), Buried(2, ERROR), Snoozed(3, 1.0), Cancelled(4)]
    for one in ends:
        settlement.end(one)
    settlement.refuse([])
    settlement.refuse([Refused(5, ERROR)])
    assert taken(settlement) == Outcomes(
        HOLDER,
        retried=[Retried(1, 1.0, ERROR)],
        buried=[Buried(2, ERROR)],
        snoozed=[Snoozed(3, 1.0)],
        cancelled=[Cancelled(4)],
        refused=[Refused(5, ERROR)],
    )


def test_refusals_of_jobs_that_are_not_held_are_dropped() -> None:
    settlement = Settlement(HOLDER)
    settlement.add(Outcomes(HOLDER, refused=[Refused(1, ERROR), Refused(2, ERROR)]), 2, [2], 10)
    assert taken(settlement) == Outcomes(HOLDER, refused=[Refused(2, ERROR)])


@pytest.mark.parametrize(
    ("add", "size_bytes"),
    [
        (lambda settlement: settlement.forget([1, 2, 3]), 3 * 16),
        (lambda settlement: settlement.release([1, 2, 3]), 3 * 16),
        (lambda settlement: settlement.refuse([Refused(1, ERROR), Refused(2, ERROR)]), 2 * 512),
    ],
)
def test_each_outcome_counts_for_its_bytes(add: Any, size_bytes: int) -> None:
    settlement = Settlement(HOLDER)
    settlement.add(Outcomes(HOLDER, forgotten=[9]), 1, [9], limits.SETTLE_BYTES_MAX - size_bytes)
    add(settlement)
    assert settlement.take() is not None
    assert settlement.take() is None
    settlement.add(Outcomes(HOLDER, forgotten=[9]), 1, [9], limits.SETTLE_BYTES_MAX - size_bytes + 1)
    add(settlement)
    assert settlement.take() is not None
    assert settlement.take() is not None


def test_halves_have_half_the_bytes_each() -> None:
    whole = OutcomeBatch(HOLDER)
    whole.outcomes.forgotten += [1, 2, 3]
    whole.jobs, whole.size_bytes, whole.refusals = 3, 101, 2
    assert [(half.jobs, half.size_bytes, half.refusals) for half in whole.halves()] == [(1, 50, 2), (2, 50, 2)]
    assert [half.outcomes.holder for half in whole.halves()] == [HOLDER, HOLDER]


def test_two_outcomes_that_are_refused_are_sent_one_by_one() -> None:
    settlement = Settlement(HOLDER)
    settlement.forget([1, 2])
    both = settlement.take()
    assert both is not None
    settlement.refused(both, ERROR)
    assert [taken(settlement).fences() for _ in range(2)] == [[1], [2]]


def test_a_settlement_that_was_put_back_is_held_once() -> None:
    settlement = Settlement(HOLDER)
    settlement.forget([1])
    one = settlement.take()
    assert one is not None
    settlement.put_back(one)
    assert settlement.fences() == [1]


def test_a_loss_that_is_refused_as_often_is_let_go_of() -> None:
    settlement = Settlement(HOLDER)
    settlement.add(Outcomes(HOLDER, succeeded=[Succeeded(1, 0.0, 1.0)]), 1, [1], 10)
    refusals = 0
    while (one := settlement.take()) is not None:
        refusals += 1
        settlement.refused(one, ERROR)
    assert refusals == 2 * REFUSALS_MAX
    assert (settlement.fences(), settlement.waiting, settlement.unsettled) == ([], 0, 0)


def test_a_full_settlement_is_not_added_to() -> None:
    settlement = Settlement(HOLDER)
    settlement.forget(range(limits.SETTLE_JOBS_MAX - 1))
    settlement.forget([-1])
    settlement.forget([-2])
    assert [len(taken(settlement).fences()) for _ in range(2)] == [limits.SETTLE_JOBS_MAX, 1]


def test_what_does_not_fit_a_full_disk_is_sent_in_halves_behind_all_others() -> None:
    settlement = Settlement(HOLDER)
    said = parents(1, 2, 3, 4)
    settlement.add(said, 4, [1, 2, 3, 4], 100)
    large = settlement.take()
    assert large is not None
    settlement.forget([5])
    settlement.does_not_fit(large)
    assert (settlement.waiting, settlement.unsettled) == (5, 5)
    assert sorted(settlement.fences()) == [1, 2, 3, 4, 5]
    parts = [taken(settlement) for _ in range(3)]
    assert [part.fences() for part in parts] == [[5], [1, 2], [3, 4]]
    assert [[fence for fence, _ in part.children] for part in parts] == [[], [1, 2], [3, 4]]


def test_a_single_one_that_does_not_fit_waits_behind_the_others_and_is_never_given_up() -> None:
    settlement = Settlement(HOLDER)
    said = parents(1)
    settlement.add(said, 1, [1], limits.SETTLE_BYTES_MAX)
    for fence in range(2, 2 + 3 * REFUSALS_MAX):
        one = settlement.take()
        assert one is not None
        settlement.forget([fence])
        settlement.does_not_fit(one)
        assert taken(settlement).fences() == [fence]
    assert taken(settlement) == said
