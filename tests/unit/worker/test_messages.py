"""Frames and the outbox: what crosses between processes."""

from __future__ import annotations

import msgspec
import pytest

from penstock.model.job import LeasedJob, Progress, Succeeded
from penstock.worker.executor.outbox import Outbox
from penstock.worker.messages import (
    Lot,
    MessageReader,
    Recall,
    Report,
    fences_in,
    frame,
    lane_decoder,
    report_decoder,
)

JOB = LeasedJob(b"i" * 16, 1, "default", b"m\x92\x90\x80", None)


class TestFrames:
    @pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
    def test_frames_are_whole_however_the_stream_was_cut(self, step: int) -> None:
        stream = b"".join(bytes(frame(["x" * size])) for size in (0, 1, 300, 7))
        reader = MessageReader()
        bodies = [body for at in range(0, len(stream), step) for body in reader.feed(stream[at : at + step])]
        assert [len(msgspec.msgpack.decode(body)[0]) for body in bodies] == [0, 1, 300, 7]

    def test_rows_are_relayed_unparsed(self) -> None:
        raw = msgspec.Raw(msgspec.msgpack.encode(JOB))
        (body,) = MessageReader().feed(bytes(frame(Lot(9, None, ["t"], b"\0\0", [raw, raw]))))
        lot = lane_decoder.decode(body)
        assert isinstance(lot, Lot)
        assert (lot.jobs, [*fences_in(lot)]) == ([JOB, JOB], [9, 10])

    def test_fences_with_gaps_are_listed(self) -> None:
        assert fences_in(Lot(3, [3, 8], ["t"], b"\0\0", [JOB, JOB])) == [3, 8]

    def test_messages_are_told_apart(self) -> None:
        (body,) = MessageReader().feed(bytes(frame(Recall())))
        assert lane_decoder.decode(body) == Recall()


class TestOutbox:
    @pytest.fixture
    def sent(self) -> list[Report]:
        return []

    @pytest.fixture
    def outbox(self, sent: list[Report]) -> Outbox:
        def send(data: bytearray) -> None:
            sent.extend(report_decoder.decode(body) for body in MessageReader().feed(bytes(data)))

        return Outbox(send)

    def test_nothing_is_not_sent(self, outbox: Outbox, sent: list[Report]) -> None:
        outbox.flush()
        assert sent == []

    @pytest.mark.parametrize(
        ("fences", "first", "count"), [([5, 6, 7], 5, 3), ([5], 5, 1), ([5, 7], 0, 0), ([6, 5, 7], 0, 0)]
    )
    def test_fences_without_a_gap_travel_as_two_numbers(
        self, outbox: Outbox, sent: list[Report], fences: list[int], first: int, count: int
    ) -> None:
        outbox.forgotten.extend(fences)
        outbox.flush()
        (report,) = sent
        assert (report.forgotten_first, report.forgotten_count) == (first, count)
        assert count or report.outcomes is not None
        assert count or report.outcomes.forgotten == fences

    def test_everything_is_sent_once(self, outbox: Outbox, sent: list[Report]) -> None:
        outbox.outcomes.append(Succeeded(1, 0.0, 1.0, b"r"))
        outbox.progress[2] = Progress(1.0)
        outbox.busy_s = 0.5
        outbox.flush()
        outbox.flush()
        (report,) = sent
        assert report.outcomes is not None
        assert (report.outcomes.succeeded, report.progress) == ([Succeeded(1, 0.0, 1.0, b"r")], [(2, Progress(1.0))])
        assert (report.busy_s, outbox.busy_s) == (0.5, 0.0)

    def test_a_recall_is_answered_even_when_it_took_nothing(self, outbox: Outbox, sent: list[Report]) -> None:
        outbox.recalled = True
        outbox.flush()
        assert sent == [Report(answers_recall=True)]
