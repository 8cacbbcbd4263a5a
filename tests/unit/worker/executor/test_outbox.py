"""What a lane reports, and when it cannot."""

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, Progress, Snoozed, Succeeded
from penstock.tasks.child_jobs import Children
from penstock.tasks.store_connection import StoreConnection
from penstock.worker.executor.outbox import Outbox, Parent
from penstock.worker.messages import MessageReader, Report, report_decoder


class Wire:
    """Where reports go."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.sizes: list[int] = []
        self._reader = MessageReader()

    def send(self, data: bytearray) -> None:
        self.sizes.append(len(data))
        self.reports += [report_decoder.decode(body) for body in self._reader.feed(bytes(data))]


def test_a_report_that_cannot_be_encoded_takes_nothing_with_it() -> None:
    wire = Wire()
    outbox = Outbox(wire.send)
    outbox.forgotten.extend([1, 2])
    outbox.outcomes.extend([Snoozed(3, 1.0), Snoozed(4, 1.0)])
    outbox.returned.extend([5, 6])
    outbox.recalled = True
    outbox.progress[7] = Progress(1.0, None, "\ud800")
    with pytest.raises(UnicodeEncodeError):
        outbox.flush()
    assert wire.reports == []
    outbox.progress.clear()
    outbox.flush()
    (report,) = wire.reports
    assert (report.forgotten_first, report.forgotten_count) == (1, 2)
    assert report.outcomes is not None
    assert [one.fence for one in report.outcomes.snoozed] == [3, 4]
    assert (report.returned, report.answers_recall) == ([5, 6], True)


def test_large_results_go_in_several_reports() -> None:
    wire = Wire()
    outbox = Outbox(wire.send)
    result = bytes(limits.RESULT_BYTES_MAX)
    outbox.outcomes.extend(Succeeded(fence, 0.0, 0.0, result) for fence in range(10))
    outbox.flush()
    assert max(wire.sizes) < limits.SETTLE_BYTES_MAX + limits.RESULT_BYTES_MAX
    fences = [one.fence for report in wire.reports if report.outcomes for one in report.outcomes.succeeded]
    assert fences == list(range(10))


def test_what_was_given_back_is_told_also_when_the_recall_is_answered_already() -> None:
    wire = Wire()
    outbox = Outbox(wire.send)
    outbox.returned.append(1)
    outbox.flush()
    assert [(report.returned, report.answers_recall) for report in wire.reports] == [([1], False)]


def parent(fence: int, count: int, body: bytes = b"") -> Parent:
    children = Children(StoreConnection("nowhere"))
    children._groups["t"] = JobGroup("t", [JobEntry(job_id, body, 0) for job_id in new_ids(count)])
    children.count, children.size_bytes = count, count * (100 + len(body))
    return Parent(Succeeded(fence, 0.0, 0.0), children)


def test_children_travel_in_the_report_of_their_parent() -> None:
    wire = Wire()
    outbox = Outbox(wire.send)
    parents = [parent(1, 2), parent(3, 1)]
    outbox.forgotten.append(2)
    outbox.outcomes.extend([parents[0], Snoozed(4, 1.0), parents[1]])
    outbox.flush()
    (report,) = wire.reports
    assert report.outcomes is not None
    assert report.outcomes.succeeded == [parents[0].outcome, parents[1].outcome]
    assert report.outcomes.children == [(1, parents[0].children.groups), (3, parents[1].children.groups)]


@pytest.mark.parametrize(
    ("parents", "children_each", "body"),
    [(25, limits.CHILDREN_MAX, b""), (10, 1, bytes(limits.JOB_BODY_BYTES_MAX))],
)
def test_many_or_large_children_go_in_several_reports_each_with_its_parent(
    parents: int, children_each: int, body: bytes
) -> None:
    wire = Wire()
    outbox = Outbox(wire.send)
    outbox.outcomes.extend(parent(fence, children_each, body) for fence in range(parents))
    outbox.flush()
    assert max(wire.sizes) < limits.SETTLE_BYTES_MAX + limits.RESULT_BYTES_MAX + 2 * limits.CHILDREN_BYTES_MAX
    outcomes = [report.outcomes for report in wire.reports if report.outcomes]
    assert len(outcomes) > 1
    for one in outcomes:
        assert [fence for fence, _ in one.children] == [success.fence for success in one.succeeded]
        assert sum(len(group.jobs) for _, groups in one.children for group in groups) <= limits.BATCH_JOBS_MAX
    assert [success.fence for one in outcomes for success in one.succeeded] == list(range(parents))


def test_a_report_that_cannot_be_encoded_keeps_the_children() -> None:
    wire = Wire()
    outbox = Outbox(wire.send)
    outbox.outcomes.append(parent(1, 1))
    outbox.progress[7] = Progress(1.0, None, "\ud800")
    with pytest.raises(UnicodeEncodeError):
        outbox.flush()
    outbox.progress.clear()
    outbox.flush()
    (report,) = wire.reports
    assert report.outcomes is not None
    assert [fence for fence, _ in report.outcomes.children] == [1]
