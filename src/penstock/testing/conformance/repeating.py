"""Claims about calls whose answer is lost: they are made again, and applied once."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
from msgspec.structs import asdict

from penstock.model.actions import ActionRequest, Verb
from penstock.model.durable_steps import JobRecords, Record, RecordKind
from penstock.model.errors import Conflict, InvalidOption, StoreUnavailable
from penstock.model.flow import ConcurrencyRule, OnConflict, UniqueRule
from penstock.model.ids import new_id
from penstock.model.job import (
    Buried,
    EnqueueAnswer,
    Extension,
    Filter,
    JobEntry,
    JobGroup,
    LeaseRequest,
    Outcomes,
    Retried,
    TaskRecord,
    checksum,
)
from penstock.model.lines import Closed
from penstock.model.message_ids import new_message_ids
from penstock.model.schedules import Schedule
from penstock.model.source_cursors import SourceCursor
from penstock.model.states import State
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.ports import AsyncStore, Effect, effect_of
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance import workflow_repeating
from penstock.testing.conformance.async_kit import LONG_S, AsyncStoreClaims, fences_of, put, take
from penstock.testing.conformance.kit import BODY, ERROR, HOLDER, entry, group
from penstock.testing.conformance.unique import one, unique

IDS: Final = [new_id() for _ in range(4)]
NEW: Final = new_id()
MESSAGE: Final = MessageEntry(new_message_ids(1)[0], b"r", checksum(b"r"))

Act = Callable[[AsyncStore, list[int]], Awaitable[Any]]
"""A call on a store that `prepare` has filled, with the fences of the two jobs that run there."""
ALL: Final = Filter()

ONCE: Final[dict[str, Act]] = {
    "register_tasks": lambda store, _: store.register_tasks([TaskRecord("app.new")]),
    "enqueue": lambda store, _: store.enqueue([group(entry(job_id=NEW))]),
    "put_schedule": lambda store, _: store.put_schedule(Schedule("s", call=group(), every_s=60.0), by="ann"),
    "remove_schedule": lambda store, _: store.remove_schedule("hourly", by="ann"),
    "run_schedule": lambda store, _: _run(store),
    "pause_schedule": lambda store, _: store.pause_schedule("hourly", by="ann"),
    "resume_schedule": lambda store, _: _resumed(store),
    "backfill_schedule": lambda store, _: store.backfill_schedule("hourly", 0.0, 3_600.0, by="ann"),
    "remove_cursors": lambda store, _: store.remove_cursors("relay"),
    "settle": lambda store, fences: store.settle(
        Outcomes(HOLDER, [fences[0]], retried=[Retried(fences[1], 9.0, ERROR)], children=[(fences[0], _child())])
    ),
    "reconcile": lambda store, fences: store.reconcile(HOLDER, fences[1:]),
    "tick": lambda store, _: store.tick(),
    "cancel": lambda store, _: store.cancel(IDS),
    "revive": lambda store, _: store.revive(IDS),
    "move": lambda store, _: store.move(IDS, "elsewhere"),
    "delete": lambda store, _: store.delete(IDS),
    "edit": lambda store, _: store.edit(IDS, priority=3),
    "close_lines": lambda store, _: store.close_lines(Closed.PAUSED, queue="default"),
    "open_lines": lambda store, _: store.open_lines(queue="default"),
    "put_limits": lambda store, _: store.put_limits("task:app.new", [ConcurrencyRule(2)]),
    "restore_limits": lambda store, _: store.restore_limits("task:app.new"),
    "pause": lambda store, _: store.pause(queue="default", by="ann"),
    "drain": lambda store, _: store.drain(queue="default", by="ann"),
    "resume": lambda store, _: store.resume(queue="default", by="ann"),
    "remove_queue": lambda store, _: _removed(store),
    "start_action": lambda store, _: store.start_action(ActionRequest(NEW, Verb.RETRY, Filter(queue="default"))),
    "stop_action": lambda store, _: store.stop_action(NEW),
    "revive_edited": lambda store, _: store.revive_edited(JobEntry(IDS[2], BODY, checksum(BODY)), by="ann"),
    "cancel_where": lambda store, _: store.cancel_where(ALL),
    "revive_where": lambda store, _: store.revive_where(ALL),
    "move_where": lambda store, _: store.move_where(ALL, "elsewhere"),
    "delete_where": lambda store, _: store.delete_where(ALL),
    "record": lambda store, fences: store.record(
        [JobRecords(fences[0], IDS[0], [Record(0, "a", RecordKind.STEP, b"m\x01")], published={"p": b"m\x01"})]
    ),
    "signal": lambda store, _: store.signal(IDS[0], "approved", b"m\x01"),
    "publish": lambda store, _: store.publish("orders", [MessageGroup([MESSAGE])]),
    "create_topic": lambda store, _: store.create_topic("bills"),
    "create_channel": lambda store, _: store.create_channel("orders", "b"),
    "delete_channel": lambda store, _: store.delete_channel("orders", "a"),
    "empty_channel": lambda store, _: store.empty_channel("orders", "a"),
    "empty_topic": lambda store, _: store.empty_topic("orders"),
    "delete_topic": lambda store, _: store.delete_topic("orders"),
    **workflow_repeating.ONCE,
}
"""An example of each call that is applied once. A call that is new in the port belongs here, unless it only reads."""


def _child() -> list[JobGroup]:
    return [group(entry(job_id=NEW))]


async def _removed(store: AsyncStore) -> str:
    """What a queue that is not empty answers."""
    with pytest.raises(Conflict) as refused:
        await store.remove_queue("default", by="ann")
    return refused.value.message


async def _run(store: AsyncStore) -> str:
    """What a run is, without its id and its times, which differ from one store to the next."""
    return (await store.run_schedule("hourly", by="ann")).state.value


async def _resumed(store: AsyncStore) -> bool:
    """Whether one is paused that is resumed."""
    return (await store.resume_schedule("hourly", by="ann")).is_paused


async def prepare(store: AsyncStore) -> list[int]:
    """Put four jobs into an empty store: two run, one is dead, one is ready. Answers the fences of those that run."""
    await put(store, *IDS)
    await store.enqueue([], cursor=SourceCursor("relay", "0", 3))
    await store.create_channel("orders", "a")
    await store.put_schedule(Schedule("hourly", call=group(), cron="0 * * * *"))
    await workflow_repeating.prepare(store)
    fences = await take(store, 3)
    await store.settle(Outcomes(HOLDER, buried=[Buried(fences[2], ERROR)]))
    return fences[:2]


async def story_of(store: AsyncStore, answer: Any) -> tuple[Any, ...]:
    """All that a call leaves behind, its answer included."""
    views = [view and (view.state, view.queue, view.priority, view.attempt) for view in await store.get([*IDS, NEW])]
    tasks = [task.name for task in await store.tasks()]
    topics = [(topic.name, topic.messages_total) for topic in (await store.topics()).topics]
    told = (await store.closed_lines(), await store.cursors(), await store.limits(), topics)
    steps = (await store.history(IDS[0])).records, sorted(await store.published(IDS[0]))
    schedules = [
        (view.schedule.name, view.is_paused, view.latest and view.latest.number)
        for view in (await store.schedules()).schedules
    ]
    operators = (await store.holds(), await store.actions(), (await store.audit()).entries)
    workflows = await workflow_repeating.story_of(store)
    return answer, views, await store.totals(), tasks, schedules, steps, workflows, *told, _timeless(operators)


def _timeless(told: Any) -> Any:
    """Records without the times in them, which differ from one store to the next."""
    if isinstance(told, list | tuple):
        return [_timeless(one) for one in told]
    return {name: value for name, value in asdict(told).items() if name not in ("at", "created_at", "finished_at")}


class RepeatingClaims(AsyncStoreClaims):
    """Answers that are lost, and answers of many callers."""

    # --- an answer is lost -------------------------------------------------------------------------------------------
    def test_every_call_that_is_applied_once_has_an_example(self) -> None:
        names = {name for name in dir(AsyncStore) if asyncio.iscoroutinefunction(getattr(AsyncStore, name))}
        once = {name for name in names if effect_of(name) is Effect.ONCE} - {"close", "lease_packed"}
        assert set(ONCE) == once, "add the new call to ONCE, or mark it @reads in the port"

    @pytest.mark.parametrize("lost", [1, 2])
    @pytest.mark.parametrize("name", ONCE)
    def test_a_call_whose_answer_is_lost_is_applied_once(self, name: str, lost: int) -> None:
        """It answers and leaves what it does where no answer is lost."""
        stories = []
        for count in (0, lost):

            async def claim(store: AsyncStore, _: VirtualClock, count: int = count) -> None:
                fences = await prepare(store)
                self.lose_answers(store, count)
                stories.append(await story_of(store, await ONCE[name](store, fences)))

            self.tell(claim)
        assert stories[0] == stories[1]

    @pytest.mark.parametrize("lost", [1, 2])
    def test_a_source_whose_move_is_answered_late_is_not_refused_for_it(self, lost: int) -> None:
        """The repeat is answered as the first call was; it is no second one, whose offset would have been passed."""

        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            self.lose_answers(store, lost)
            cursor = SourceCursor("relay", "0", 7)
            answer = await store.enqueue([group(entry(job_id=NEW))], cursor=cursor)
            assert (answer.accepted, answer.exceptions) == (1, [])
            assert await store.cursors("relay") == [cursor]
            assert (await store.totals()).counts.accepted_total == 1

        self.tell(claim)

    @pytest.mark.parametrize("lost", [0, 1, 2])
    @pytest.mark.parametrize("on_conflict", ["existing", "replace", "keep_time", "refuse"])
    def test_a_unique_job_whose_answer_is_lost_is_no_duplicate_of_itself(
        self, lost: int, on_conflict: OnConflict
    ) -> None:
        """It is told that it is new; and a replacement is done once: it does not come again after a later one."""
        rule = UniqueRule(on_conflict=on_conflict)

        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            self.lose_answers(store, lost)
            assert await store.enqueue([unique(one(), rule=rule)]) == EnqueueAnswer(1, [])
            self.lose_answers(store, lost)
            answer = await store.enqueue([unique(one(body=b"m2"), rule=rule)])
            (told,) = answer.exceptions
            replaces = on_conflict in ("replace", "keep_time")
            assert (answer.accepted, told.replaced, told.conflict) == (0, replaces, on_conflict == "refuse")
            (view,) = await store.get([told.id], body=True)
            assert view is not None
            assert view.body == (b"m2" if replaces else BODY)
            assert (await store.totals()).counts.accepted_total == 1

        self.tell(claim)

    def test_of_callers_that_share_a_request_each_is_told_of_its_own(self) -> None:
        """Unique jobs of many callers become one request where their rules are the same, and only there."""
        rules: list[OnConflict] = ["existing", "replace"]

        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            jobs = [(one(str(number % 7)), rules[number % 2]) for number in range(70)]
            calls = [store.enqueue([unique(job, rule=UniqueRule(on_conflict=word))]) for job, word in jobs]
            answers = await asyncio.gather(*calls)
            first: dict[str | None, bytes] = {}
            for (job, _word), answer in zip(jobs, answers, strict=True):
                if answer.accepted:
                    assert job.unique_key not in first, "one job for each key"
                    first[job.unique_key] = job.id
            for (job, _word), answer in zip(jobs, answers, strict=True):
                assert answer.accepted or answer.exceptions[0].id == first[job.unique_key]
            assert (await store.totals()).counts.accepted_total == len(first) == 7

        self.tell(claim)

    def test_a_lease_whose_answer_is_lost_leaves_nothing_leased_to_nobody(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            await put(store, *IDS)
            self.lose_answers(store, 1)
            batch = await store.lease(LeaseRequest(HOLDER, 3))
            assert [job.id for job in batch.jobs] == IDS[:3]
            assert (await store.totals()).counts.running == 3
            assert (await store.extend(Extension(HOLDER, fences_of(batch)))).lost == []

        self.tell(claim)

    def test_an_extension_and_a_look_may_be_asked_for_again(self) -> None:
        async def claim(store: AsyncStore, clock: VirtualClock) -> None:
            await put(store, *IDS)
            fences = await take(store, 2)
            self.lose_answers(store, 1)
            extended = await store.extend(Extension(HOLDER, [*fences, 7], started=[(fences[0], clock.time())]))
            assert (extended.lost, extended.cancel) == ([7], [])
            self.lose_answers(store, 1)
            views = await store.get(IDS)
            assert [view and view.state for view in views] == [*[State.RUNNING] * 2, *[State.READY] * 2]

        self.tell(claim)

    def test_a_refusal_that_is_lost_is_told_again(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            self.lose_answers(store, 1)
            with pytest.raises(InvalidOption):
                await store.enqueue([group(priority=1_000_000)])
            assert (await store.totals()).counts.accepted_total == 0

        self.tell(claim)

    def test_calls_at_the_same_time_each_get_their_own_answer(self) -> None:
        async def claim(store: AsyncStore, _: VirtualClock) -> None:
            counts = [1, 3, 2, 5]
            asked = [store.enqueue([group(*[entry() for _ in range(count)])]) for count in counts]
            answers = await asyncio.gather(*asked, store.enqueue([group(entry(job_id=NEW), entry(job_id=NEW))]))
            assert [answer.accepted for answer in answers] == [*counts, 1]
            assert [len(answer.exceptions) for answer in answers] == [0, 0, 0, 0, 1]

        self.tell(claim)

    def test_a_store_that_is_closed_answers_nothing(self) -> None:
        async def claim(_: AsyncStore, clock: VirtualClock) -> None:
            async with self.open_async(clock) as other:
                await put(other)
                await other.close()
                with pytest.raises(StoreUnavailable):
                    await other.get([NEW])
                with pytest.raises(StoreUnavailable):
                    await other.lease(LeaseRequest(HOLDER, 1), wait_s=LONG_S)

        self.tell(claim)
