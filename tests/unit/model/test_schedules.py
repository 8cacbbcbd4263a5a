"""Schedules travel and are kept packed: older ones can be read by what comes later."""

import msgspec

from penstock.model.ids import id_text
from penstock.model.schedules import Cause, Missed, Overlap, RunState, Schedule, ScheduleRun, ScheduleView


def test_what_is_left_out_is_what_it_is_by_default():
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(["s"]), type=Schedule) == Schedule("s")
    assert (Schedule("s").overlap, Schedule("s").missed, Schedule("s").timezone) == (Overlap.SKIP, Missed.LAST, "UTC")


def test_what_a_later_version_adds_is_passed_over():
    run = ScheduleRun(1, 2.0, 3.0, Cause.SLOT, RunState.STARTED, b"i" * 16)
    packed = msgspec.msgpack.encode([*msgspec.structs.astuple(run), "new"])
    assert msgspec.msgpack.decode(packed, type=ScheduleRun) == run
    assert (run.id_text, ScheduleRun(1, 2.0, 3.0, Cause.SLOT, RunState.SKIPPED).id_text) == (id_text(b"i" * 16), None)


def test_a_view_travels():
    view = ScheduleView(Schedule("s", every_s=5.0), 1.0, latest=ScheduleRun(1, 2.0, 3.0, Cause.HAND, RunState.FAILED))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(view), type=ScheduleView) == view
