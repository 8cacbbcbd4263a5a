"""Claims about what people do to schedules: put, remove, pause, run, fill."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, Conflict, InvalidOption, ScheduleNotFound
from penstock.model.job import JobEntry, checksum
from penstock.model.schedules import Cause, Missed, Overlap, RunState, Schedule
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    StoreClaims,
    counted,
    entry,
    group,
    leap,
    rest,
    settle,
    succeeded,
    take,
)
from penstock.testing.conformance.scheduling import (
    DAY,
    HOUR,
    MINUTE,
    finish,
    history,
    job,
    minutely,
    pass_by,
    there,
    told,
)

_BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": ""}, "name"),
    "a space in the name": ({"name": "a b"}, "name"),
    "a slash in the name": ({"name": "a/b"}, "name"),
    "a long name": ({"name": "x" * 201}, "name"),
    "no time": ({"every_s": None}, "cron"),
    "two times": ({"cron": "* * * * *"}, "every_s"),
    "a short interval": ({"every_s": 0.5}, "every_s"),
    "no interval": ({"every_s": 0.0}, "every_s"),
    "a negative interval": ({"every_s": -5.0}, "every_s"),
    "an interval that is no number": ({"every_s": float("nan")}, "every_s"),
    "an endless interval": ({"every_s": float("inf")}, "every_s"),
    "no cron": ({"every_s": None, "cron": "a b c d e"}, "cron"),
    "six fields": ({"every_s": None, "cron": "* * * * * *"}, "cron"),
    "a date that never comes": ({"every_s": None, "cron": "0 0 31 4 *"}, "cron"),
    "no such zone": ({"every_s": None, "cron": "* * * * *", "timezone": "Mars/Olympus"}, "timezone"),
    "a time that has passed": ({"every_s": None, "at": 1_000.0}, "at"),
    "a time that never comes": ({"every_s": None, "at": float("inf")}, "at"),
    "an end that has passed": ({"end_at": 1_000.0}, "end_at"),
    "an end before the start": ({"start_at": 3e9, "end_at": 2e9}, "end_at"),
    "much jitter": ({"jitter_s": 4_000.0, "every_s": 9_000.0}, "jitter_s"),
    "more jitter than interval": ({"jitter_s": 61.0}, "jitter_s"),
    "negative jitter": ({"jitter_s": -1.0}, "jitter_s"),
    "jitter that is no number": ({"jitter_s": float("nan")}, "jitter_s"),
    "too many missed ones": ({"missed": Missed.ALL, "missed_max": limits.SCHEDULE_MISSED_MAX + 1}, "missed_max"),
    "none of the missed ones": ({"missed": Missed.ALL, "missed_max": 0}, "missed_max"),
    "nothing to do": ({"call": None}, "call"),
    "two jobs": ({"call": group(entry(), entry())}, "call"),
    "no job": ({"call": replace(group(), jobs=[])}, "call"),
    "a job that is put off": ({"call": job(delay_s=5.0)}, "delay_s"),
    "a job with a time": ({"call": job(run_at=5.0)}, "run_at"),
    "a job with a key": ({"call": group(entry(key="k"))}, "idempotency_key"),
    "a bad queue": ({"call": job(queue="a b")}, "queue"),
    "headers without room": (
        {"call": job(headers={"a": "x" * (limits.JOB_HEADERS_BYTES_MAX - 10)})},
        "headers",
    ),
}


class PuttingClaims(StoreClaims):
    """`Store.put_schedule`, `Store.remove_schedule`."""

    @pytest.mark.parametrize("bad", _BAD)
    def test_what_is_no_schedule_is_refused(self, store: Store, bad: str) -> None:
        options, field = _BAD[bad]
        with pytest.raises(InvalidOption) as raised:
            store.put_schedule(replace(minutely(), **options))
        # What is no number does not get as far over a wire.
        finite = all(math.isfinite(value) for value in options.values() if isinstance(value, float))
        assert raised.value.field == field if finite else raised.value.field in (field, None)
        assert store.schedules().schedules == []
        if options.get("at") == 1_000.0 or "end_at" in options:
            return
        with pytest.raises(InvalidOption):
            store.register_tasks([], schedules=[replace(minutely(), **options)], application="app")
        assert store.schedules().schedules == []

    def test_a_body_that_is_too_large_is_refused(self, store: Store) -> None:
        body = b"m" + bytes(limits.JOB_BODY_BYTES_MAX)
        with pytest.raises(BodyTooLarge):
            store.put_schedule(minutely(call=group(JobEntry(bytes(16), body, checksum(body)))))

    def test_it_is_shown_as_it_was_put(self, store: Store, clock: VirtualClock) -> None:
        wanted = Schedule(
            "nightly:report.v-1",
            call=job(queue="q", priority=2, headers={"a": "b"}),
            cron="30 2 * * MON-FRI",
            timezone="Europe/Paris",
            start_at=clock.time() + DAY,
            end_at=clock.time() + 90 * DAY,
            jitter_s=5.0,
            overlap=Overlap.REPLACE,
            missed=Missed.ALL,
            missed_max=7,
        )
        view = store.put_schedule(wanted)
        assert view.schedule == wanted
        assert view == there(store, wanted.name)
        assert (view.is_paused, view.is_declared, view.is_changed, view.latest, view.problem) == (
            False,
            False,
            False,
            None,
            None,
        )
        assert view.next_slot is not None
        assert view.next_slot >= clock.time() + DAY

    def test_the_same_again_changes_nothing(self, store: Store, clock: VirtualClock) -> None:
        first = store.put_schedule(minutely())
        clock.advance(30.0)
        again = store.put_schedule(replace(minutely(), call=group(entry())), by="ann")
        assert again == first
        assert store.audit().entries == []

    def test_other_arguments_lose_no_slot(self, store: Store, clock: VirtualClock) -> None:
        first = store.put_schedule(minutely())
        clock.advance(59.0)
        body = b"m\x92\x91\x01\x80"
        changed = store.put_schedule(minutely(call=group(JobEntry(bytes(16), body, checksum(body)))))
        assert changed.next_slot == first.next_slot
        pass_by(store, clock, 1.0)
        (held,) = take(store)
        assert held.job.body == body

    def test_other_times_count_from_now(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        clock.advance(59.0)
        assert store.put_schedule(minutely(every_s=2 * MINUTE)).next_slot == clock.time() + 2 * MINUTE
        pass_by(store, clock, 2 * MINUTE - 1.0)
        assert history(store) == []

    def test_a_paused_one_stays_paused(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        store.pause_schedule("s")
        assert store.put_schedule(minutely(every_s=5.0)).is_paused
        pass_by(store, clock, MINUTE)
        assert history(store) == []

    def test_removed_with_its_history_and_what_runs_goes_on(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        pass_by(store, clock, MINUTE)
        (held,) = take(store)
        assert store.remove_schedule("s") is None
        assert store.schedule("s") is None
        settle(store, succeeded=[succeeded(held.fence, clock)])
        pass_by(store, clock, 5 * MINUTE)
        assert take(store) == []
        store.put_schedule(minutely())
        assert history(store) == []

    def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        for call in (
            store.remove_schedule,
            store.run_schedule,
            store.pause_schedule,
            store.resume_schedule,
            store.schedule_runs,
            lambda name: store.backfill_schedule(name, 0.0, 1.0),
        ):
            with pytest.raises(ScheduleNotFound, match="nightly"):
                call("nightly")
        assert store.schedule("nightly") is None

    def test_so_many_schedules_and_no_more(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "SCHEDULES_MAX", 2)
        store.put_schedule(minutely("a"))
        store.put_schedule(minutely("b"))
        with pytest.raises(InvalidOption, match="SCHEDULES_MAX"):
            store.put_schedule(minutely("c"))
        with pytest.raises(InvalidOption, match="SCHEDULES_MAX"):
            store.register_tasks([], schedules=[minutely("c")], application="app")
        store.put_schedule(minutely("b", every_s=5.0))
        store.remove_schedule("a")
        store.put_schedule(minutely("c"))

    def test_in_pages_by_name(self, store: Store) -> None:
        names = [f"s{number}" for number in (3, 1, 4, 0, 2)]
        for name in names:
            store.put_schedule(minutely(name))
        page = store.schedules(limit=2)
        found = [view.schedule.name for view in page.schedules]
        while page.cursor is not None:
            page = store.schedules(cursor=page.cursor, limit=2)
            found += [view.schedule.name for view in page.schedules]
        assert found == sorted(names)


class HandClaims(StoreClaims):
    """Pause, resume, run now, backfill, and what the audit log says of them."""

    def test_paused_it_does_not_fire_and_has_missed_nothing(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely(missed=Missed.ALL))
        view = store.pause_schedule("s")
        assert (view.is_paused, view.next_slot, view.next_at) == (True, None, None)
        pass_by(store, clock, 5.5 * MINUTE)
        assert store.resume_schedule("s").next_slot == clock.time() + MINUTE / 2
        rest(store)
        assert history(store) == []
        pass_by(store, clock, MINUTE / 2)
        assert told(store) == [("slot", "started")]

    def test_a_queued_run_waits_while_it_is_paused(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely(overlap=Overlap.QUEUE))
        pass_by(store, clock, 2 * MINUTE)
        store.pause_schedule("s")
        finish(store, clock)
        pass_by(store, clock, 1.0)
        assert told(store)[-1] == ("slot", "queued")
        store.resume_schedule("s")
        rest(store)
        assert told(store)[-1] == ("slot", "started")

    def test_run_now_starts_whatever_runs(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        store.pause_schedule("s")
        runs = [store.run_schedule("s") for _ in range(2)]
        assert [(run.cause, run.state, run.slot) for run in runs] == [(Cause.HAND, RunState.STARTED, clock.time())] * 2
        assert [held.job.id for held in take(store)] == [run.id for run in runs]
        assert there(store).latest == runs[-1]

    def test_a_run_by_hand_is_an_earlier_one(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely())
        store.run_schedule("s")
        pass_by(store, clock, MINUTE)
        assert told(store) == [("hand", "started"), ("slot", "skipped")]

    def test_backfill_starts_a_run_for_each_slot(self, store: Store, clock: VirtualClock) -> None:
        begin = clock.time()
        store.put_schedule(minutely())
        leap(store, clock, 10.5 * MINUTE)
        before = len(history(store))
        assert store.backfill_schedule("s", begin + 2 * MINUTE, begin + 4 * MINUTE) == 3
        assert [(run.slot - begin) / MINUTE for run in history(store)[before:]] == [2, 3, 4]
        assert {run.cause for run in history(store)[before:]} == {Cause.BACKFILL}
        assert there(store).next_slot == begin + 11 * MINUTE

    def test_backfill_of_cron_reaches_behind_its_making(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(Schedule("s", call=job(), cron="0 * * * *"))
        assert store.backfill_schedule("s", clock.time() - DAY, clock.time()) == 24 + (clock.time() % HOUR == 0)

    def test_backfill_is_of_the_past_and_bounded(self, store: Store, clock: VirtualClock) -> None:
        now = clock.time()
        store.put_schedule(Schedule("s", call=job(), cron="* * * * *"))
        for since, until in ((now, now + 1.0), (now - 1.0, now - 2.0), (float("nan"), now)):
            with pytest.raises(InvalidOption):
                store.backfill_schedule("s", since, until)
        with pytest.raises(InvalidOption, match="BACKFILL_SLOTS_MAX"):
            store.backfill_schedule("s", now - 2 * DAY, now)
        assert store.backfill_schedule("s", now - 10.0, now - 9.0) in (0, 1)
        assert counted(store).get("accepted_total", 0) <= 1

    def test_so_many_runs_at_a_time_and_no_more(
        self, store: Store, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "SCHEDULE_RUNNING_MAX", 3)
        store.put_schedule(minutely(missed=Missed.ALL))
        for _ in range(2):
            store.run_schedule("s")
        leap(store, clock, 2.5 * MINUTE)
        assert told(store) == [("hand", "started")] * 2 + [("missed", "started"), ("missed", "skipped")]
        with pytest.raises(Conflict, match="SCHEDULE_RUNNING_MAX"):
            store.run_schedule("s")
        finish(store, clock)
        store.run_schedule("s")
        with pytest.raises(Conflict):
            store.backfill_schedule("s", clock.time() - 3 * MINUTE, clock.time())

    def test_the_audit_log_says_who_did_what(self, store: Store, clock: VirtualClock) -> None:
        store.put_schedule(minutely(), by="ann")
        store.pause_schedule("s", by="ann")
        store.pause_schedule("s", by="ann")
        store.resume_schedule("s", by="bob")
        store.run_schedule("s", by="bob")
        clock.advance(90.0)
        store.backfill_schedule("s", clock.time() - MINUTE, clock.time(), by="bob")
        store.remove_schedule("s", by="ann")
        entries = store.audit().entries[::-1]
        assert [(one.by, one.verb) for one in entries] == [
            ("ann", "schedule"),
            ("ann", "pause"),
            ("bob", "resume"),
            ("bob", "run"),
            ("bob", "backfill"),
            ("ann", "remove"),
        ]
        assert {one.subject for one in entries} == {"schedule:s"}

    def test_what_programs_do_is_not_noted(self, store: Store) -> None:
        store.put_schedule(minutely())
        store.pause_schedule("s")
        store.remove_schedule("s")
        assert store.audit().entries == []
