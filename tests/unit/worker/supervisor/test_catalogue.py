"""What a supervisor knows of tasks."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from penstock.model import limits
from penstock.model.job import MESSAGE_TASK, LeasedJob, PackedBatch
from penstock.worker.messages import LaneOrder, TaskSheet
from penstock.worker.supervisor.catalogue import Catalogue, with_consumers


def sheet(name: str, lane: str, timeout_s: float | None = None) -> TaskSheet:
    return TaskSheet(name, lane, timeout_s, True, 5, "exponential", 1.0, 2.0, 60.0, True, 5.0)


def test_an_executor_has_the_lanes_that_tasks_ask_for() -> None:
    catalogue = Catalogue([sheet("a", "async"), sheet("t", "thread")], 300)
    assert catalogue.orders == [LaneOrder("async", 300), LaneOrder("thread", limits.THREADS_MAX)]


def test_an_application_without_tasks_has_a_lane_all_the_same() -> None:
    assert Catalogue().orders == [LaneOrder("process", 1)]


def test_time_limits_are_known_by_name() -> None:
    catalogue = Catalogue([sheet("a", "async", 2.0)])
    assert (catalogue.limit_of("a"), catalogue.limit_of("b"), catalogue.sheet(None)) == (2.0, None, None)


def test_the_store_is_asked_for_every_task_by_name() -> None:
    assert Catalogue([sheet("a", "async"), sheet("t", "thread")]).names == ["a", "t"]
    assert Catalogue().names == []


def test_a_sheet_is_found_by_name() -> None:
    one = sheet("a", "async", 2.0)
    assert (Catalogue([one]).sheet("a"), Catalogue([one]).sheet("b")) == (one, None)


def consumer_sheet(name: str, lane: str, channel: str) -> TaskSheet:
    return TaskSheet(name, lane, None, True, 5, "exponential", 1.0, 2.0, 60.0, True, 5.0, channel)


def test_consumers_are_asked_for_by_channel_and_not_by_name() -> None:
    sheets = [sheet("a", "async"), consumer_sheet("c", "async", "orders:c"), consumer_sheet("p", "process", "orders:p")]
    catalogue = Catalogue(sheets)
    assert catalogue.names == ["a"]
    assert catalogue.channels_of(None) == ["orders:c", "orders:p"]
    assert (catalogue.names_of("async"), catalogue.channels_of("async")) == (["a"], ["orders:c"])
    assert (catalogue.names_of("thread"), catalogue.channels_of("thread")) == ([], None)
    assert Catalogue([sheet("a", "async")]).channels_of(None) is None


def packed(queue: str, number: int = 1) -> Raw:
    return Raw(msgspec.msgpack.encode(LeasedJob(bytes([number % 256]) * 16, 1, queue, b"rbody", None)))


def batch_of(*jobs: tuple[str, str], alone: list[int] | None = None, limited: list[int] | None = None) -> PackedBatch:
    """Leased jobs, each a task and a queue."""
    tasks = list(dict.fromkeys(task for task, _ in jobs))
    task_of = bytes([tasks.index(task) for task, _ in jobs])
    return PackedBatch(100, tasks, task_of, [packed(queue) for _, queue in jobs], alone or [], False, limited)


def names_in(batch: PackedBatch) -> list[str]:
    return [batch.tasks[place] for place in batch.task_of]


def test_a_message_has_the_name_of_its_consumer() -> None:
    batch = batch_of(("a", "q"), (MESSAGE_TASK, "t:x"), (MESSAGE_TASK, "t:y"), (MESSAGE_TASK, "t:x"), limited=[1])
    [named] = with_consumers(batch, {"t:x": "take.x", "t:y": "take.y"})
    assert names_in(named) == ["a", "take.x", "take.y", "take.x"]
    assert (named.first_fence, named.jobs, named.limited) == (100, batch.jobs, [1])


def test_a_batch_without_messages_is_left_as_it_is() -> None:
    batch = batch_of(("a", "q"))
    assert with_consumers(batch, {"t:x": "take.x"}) == [batch]


def test_a_message_whose_consumer_is_gone_keeps_the_name_that_nobody_knows() -> None:
    assert names_in(with_consumers(batch_of((MESSAGE_TASK, "t:z")), {})[0]) == [MESSAGE_TASK]


def test_more_consumers_than_a_batch_can_name_make_several_batches() -> None:
    queues = [f"t:c{number}" for number in range(600)]
    batch = batch_of(*[(MESSAGE_TASK, queue) for queue in queues], alone=[0, 299, 300, 599], limited=[150])
    parts = with_consumers(batch, {queue: f"take.{queue}" for queue in queues})
    assert [name for part in parts for name in names_in(part)] == [f"take.{queue}" for queue in queues]
    assert all(len(part.tasks) <= 256 for part in parts)
    fences = [part.first_fence + at for part in parts for at in range(len(part.jobs))]
    assert fences == list(range(100, 700))
    assert [part.first_fence + at for part in parts for at in part.alone] == [100, 399, 400, 699]
    assert [part.first_fence + at for part in parts for at in part.limited or ()] == [250]
