"""What a lane reports, and when it cannot."""

from __future__ import annotations

import pytest

from penstock.model import limits
from penstock.model.job import Progress, Snoozed, Succeeded
from penstock.worker.executor.outbox import Outbox
from penstock.worker.messages import FrameReader, Report, report_decoder


class Wire:
    """Where reports go."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.sizes: list[int] = []
        self._reader = FrameReader()

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
