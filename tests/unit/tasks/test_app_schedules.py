"""Schedules as an application declares them, and as it makes them at run time."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from penstock import Conflict, Context, InvalidArguments, InvalidOption, Penstock, ScheduleNotFound, chain, group
from penstock.model import limits
from penstock.model.schedules import Cause, Missed, Overlap, RunState
from penstock.tasks.loading import check_tasks
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore
from penstock.testing.running import run_ready


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def store(clock):
    return MemoryStore(clock)


@pytest.fixture
def app(store):
    return Penstock(store=store)


@pytest.fixture
def seen():
    return []


@pytest.fixture
def report(app, seen):
    @app.task(name="report", queue="reports")
    def report(day: str = "today", *, short: bool = False) -> str:
        seen.append((day, short))
        return day

    return report


def test_a_declared_schedule_fires(app, report, store, clock, seen):
    app.schedule("hourly", report.s("now", short=True), every_s=3_600)
    assert run_ready(app, store, clock) == 0
    clock.advance(3_600)
    store.tick()
    assert run_ready(app, store, clock) == 1
    assert seen == [("now", True)]
    (run,) = app.schedule_runs("hourly")
    assert (run.cause, run.state) == (Cause.SLOT, RunState.SUCCEEDED)


def test_the_task_is_told_the_slot(app, store, clock):
    told = []

    @app.task(name="told")
    def work(ctx: Context) -> None:
        told.append(dict(ctx.headers))

    app.put_schedule("s", work.options(headers={"a": "b"}).s(), every_s=60)
    clock.advance(60)
    store.tick()
    run_ready(app, store, clock)
    slot = datetime.fromtimestamp(clock.time(), UTC).isoformat().replace("+00:00", "Z")
    assert told == [{"a": "b", "schedule": "s", "slot": slot}]


def test_all_options_arrive(app, report, clock):
    start = datetime.fromtimestamp(clock.time(), UTC) + timedelta(days=1)
    app.schedule(
        "nightly",
        report.options(priority=3, tags=["night"]).s(),
        cron="30 2 * * MON-FRI",
        timezone="Europe/Paris",
        overlap="replace",
        missed="all",
        missed_max=7,
        jitter_s=60,
        start_at=start,
        end_at=start.timestamp() + 86_400,
    )
    (record,) = app.schedule_records()
    assert (record.cron, record.timezone, record.overlap, record.missed) == (
        "30 2 * * MON-FRI",
        "Europe/Paris",
        Overlap.REPLACE,
        Missed.ALL,
    )
    assert (record.missed_max, record.jitter_s, record.start_at) == (7, 60.0, start.timestamp())
    assert record.end_at == start.timestamp() + 86_400
    assert (record.call.queue, record.call.priority, record.call.tags) == ("reports", 3, ["night"])
    assert list(app.declared_schedules) == ["nightly"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "cron"),
        ({"cron": "0 3 * *"}, "cron"),
        ({"cron": 5}, "cron"),
        ({"cron": "0 3 * * *", "timezone": 5}, "timezone"),
        ({"cron": "0 3 * * *", "timezone": "Mars"}, "timezone"),
        ({"every_s": "5"}, "every_s"),
        ({"every_s": 0.1}, "every_s"),
        ({"every_s": 5, "at": 1e9}, "at"),
        ({"at": datetime(2030, 1, 1)}, "at"),  # noqa: DTZ001 - without a time zone, which is what is wrong
        ({"at": "noon"}, "at"),
        ({"every_s": 5, "start_at": "noon"}, "start_at"),
        ({"every_s": 5, "overlap": "forbid"}, "overlap"),
        ({"every_s": 5, "missed": None}, "missed"),
        ({"every_s": 5, "missed": "all", "missed_max": 2.5}, "missed_max"),
        ({"every_s": 5, "jitter_s": 6}, "jitter_s"),
        ({"every_s": 5, "jitter_s": -1}, "jitter_s"),
    ],
)
def test_what_is_no_time_is_refused_where_it_is_written(app, report, options, field):
    for make in (app.schedule, app.put_schedule):
        with pytest.raises(InvalidOption) as raised:
            make("s", report.s(), **options)
        assert raised.value.field == field
    assert list(app.schedules()) == []


@pytest.mark.parametrize("name", ["", "a b", 5, None, "x" * 201])
def test_so_is_what_is_no_name(app, report, name):
    with pytest.raises(InvalidOption) as raised:
        app.schedule(name, report.s(), every_s=5)
    assert raised.value.field == "name"


def test_what_is_no_call_is_refused(app, report):
    for given in (report, "report", None):
        for make in (app.schedule, app.put_schedule):
            with pytest.raises(InvalidOption, match=r"task\.s") as raised:
                make("s", given, every_s=5)
            assert raised.value.field == "canvas"


def test_two_of_one_name_are_refused(app, report):
    app.schedule("s", report.s(), every_s=5)
    with pytest.raises(InvalidOption, match="declared already"):
        app.schedule("s", report.s(), every_s=6)


def test_arguments_are_checked_before_a_worker_starts(app, report):
    app.schedule("s", report.s(short="no"), every_s=5)
    with pytest.raises(InvalidOption, match="short"):
        check_tasks("shop:app", app)
    with pytest.raises(InvalidArguments, match="short"):
        app.schedule_records()
    with pytest.raises(InvalidArguments, match="short"):
        app.put_schedule("t", report.s(short="no"), every_s=5)


@pytest.mark.parametrize("options", [{"delay_s": 5}, {"idempotency_key": "k"}])
def test_options_that_a_slot_cannot_have_are_refused(app, report, options):
    with pytest.raises(InvalidOption) as raised:
        app.put_schedule("s", report.options(**options).s(), every_s=5)
    assert raised.value.field == next(iter(options))


def test_of_another_application(app, report):
    other = Penstock(store=MemoryStore(VirtualClock()))
    for canvas in (report.s(), chain(report.s(), report.s())):
        with pytest.raises(InvalidOption, match="another application"):
            other.put_schedule("s", canvas, every_s=5)


def test_what_is_composed_becomes_a_workflow(app, report):
    app.schedule("s", chain(report.s("a"), report.si("b")), every_s=60)
    app.schedule("t", group(report.s(day) for day in "ab"), every_s=60)
    app.schedule("u", report.s().on_error(report.si("failed")), every_s=60)
    first, second, third = app.schedule_records()
    assert [step.call.task for step in first.plan.steps] == ["report", "report"]
    assert sum(len(part.jobs) for added in second.members for part in added.groups) == 2
    assert third.call is None
    assert app.schedule_records() == [first, second, third], "the same again is the same"


def test_a_group_that_is_sent_in_parts_is_too_large(app, report, monkeypatch):
    many = group(report.s(str(number)) for number in range(limits.BATCH_JOBS_MAX + 1))
    with pytest.raises(InvalidOption, match="BATCH_JOBS_MAX"):
        app.put_schedule("s", many, every_s=60)


# --- at run time ----------------------------------------------------------------------------------------------------
def test_made_changed_and_removed(app, report, clock):
    view = app.put_schedule("s", report.s(), every_s=60)
    assert view.next_slot == clock.time() + 60
    assert app.put_schedule("s", report.s(), every_s=60) == view
    assert app.put_schedule("s", report.s(), every_s=90).next_slot == clock.time() + 90
    assert [one.schedule.name for one in app.schedules()] == ["s"]
    assert app.pause_schedule("s").is_paused
    assert not app.resume_schedule("s").is_paused
    run = app.run_schedule("s")
    assert app.job(UUID(bytes=run.id)).state.value == "ready"
    assert app.remove_schedule("s") is None
    with pytest.raises(ScheduleNotFound):
        app.get_schedule("s")


def test_backfill(app, report, clock):
    app.put_schedule("s", report.s(), cron="0 * * * *")
    now = datetime.fromtimestamp(clock.time(), UTC)
    assert app.backfill_schedule("s", now - timedelta(hours=5), now) in (5, 6)
    with pytest.raises(InvalidOption) as raised:
        app.backfill_schedule("s", now, now + timedelta(hours=1))
    assert raised.value.field == "until"


def test_many_are_read_in_pages(app, report):
    names = sorted(f"s{number}" for number in range(250))
    for name in names:
        app.put_schedule(name, report.s(), every_s=60)
    assert [view.schedule.name for view in app.schedules()] == names
    for _ in range(150):
        app.run_schedule("s0")
    assert len(list(app.schedule_runs("s0"))) == 150


def test_a_declared_one_is_not_removed_while_it_is_in_the_code(app, report, store, clock):
    app.schedule("s", report.s(), every_s=60)
    run_ready(app, store, clock)
    with pytest.raises(Conflict):
        app.remove_schedule("s")
    app.put_schedule("s", report.s(), every_s=5)
    assert app.get_schedule("s").is_changed
    assert app.remove_schedule("s").schedule.every_s == 60


def test_coroutines_do_the_same(app, report, clock):
    async def story():
        view = await app.put_schedule_async("s", report.s(), every_s=60)
        assert view == await app.get_schedule_async("s")
        assert [one.schedule.name async for one in app.schedules_async()] == ["s"]
        assert (await app.pause_schedule_async("s")).is_paused
        assert not (await app.resume_schedule_async("s")).is_paused
        run = await app.run_schedule_async("s")
        assert [one async for one in app.schedule_runs_async("s")] == [run]
        assert await app.backfill_schedule_async("s", clock.time() - 10, clock.time()) == 1
        assert await app.remove_schedule_async("s") is None
        with pytest.raises(ScheduleNotFound):
            await app.get_schedule_async("s")

    asyncio.run(story())


def test_composed_work_runs_at_each_slot(app, report, store, clock, seen):
    """Chains, groups with members that are chains, and what stands in for a group that fails."""
    header = group([report.s("a"), chain(report.s("b"), report.s())])
    app.put_schedule("s", chain(header.otherwise(report.si("instead")), report.si("c")), every_s=60)
    for _ in range(2):
        clock.advance(60)
        store.tick()
        while run_ready(app, store, clock):
            store.tick()
    assert sorted(seen) == sorted([("a", False), ("b", False), ("b", False), ("c", False)] * 2)
    assert [run.state for run in app.schedule_runs("s")] == [RunState.SUCCEEDED] * 2
    assert all(run.is_workflow for run in app.schedule_runs("s"))
