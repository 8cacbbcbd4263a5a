"""What a type checker sees of a task. Read by `test_typing.py`, never run.

A comment with E, a colon and mypy's codes expects these errors on its line; one with R and a type expects
``reveal_type`` to say so. Every other line must be free of errors.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, reveal_type

from penstock import (
    Canvas,
    Concurrency,
    Context,
    Fair,
    Job,
    Penstock,
    Rate,
    Results,
    Retention,
    Retry,
    Signature,
    Task,
    Unique,
    chain,
    chord,
    dag,
    group,
)

app = Penstock("penstock-data")


@app.task(queue="images", retry=Retry(max_attempts=5), timeout_s=30)
async def thumbnail(ctx: Context, path: str, *, width: int = 200) -> str:
    ctx.progress(1, 2, "half")
    reveal_type(ctx.enqueue(publish.s([path])))  # R: str
    ctx.enqueue(publish.options(delay_s=1.0).s([path]))
    ctx.enqueue(publish)  # E: arg-type
    ctx.enqueue(publish.s(path))  # E: call-overload
    return f"{path} {width}"


@app.task
def publish(paths: list[str]) -> int:
    return len(paths)


@app.task
async def fetch(url: str) -> bytes | None:
    return url.encode() or None


@app.task(executor="thread")
def note(ctx: Context) -> None:
    ctx.logger.info("noted")


@app.task
def anything(value: Any) -> int:
    return int(value)


@app.task
def whose(self: int) -> int:
    return self


@app.task(keep_record_s=0, keep_result_s=None)
def spread(*numbers: float, **names: str) -> dict[str, float]:
    return dict.fromkeys(names, sum(numbers))


@app.task(
    limits=[Concurrency(100), Concurrency(2, per="tenant"), Rate(5, per_s=60, per="header:user")],
    fair=Fair("tenant", weights={"acme": 3}),
    searchable=("order_id",),
    sensitive=["card"],
)
def charge(order_id: int, tenant: str, card: str) -> bool:
    return bool(order_id and tenant and card)


# --- the parameters are seen, the context is not ----------------------------------------------------------------------
thumbnail.enqueue("cat.png")
thumbnail.enqueue("cat.png", width=400)
thumbnail.enqueue(path="cat.png")
note.enqueue()
spread.enqueue(1, 2.5, a="x")
anything.enqueue(3)
anything.enqueue(value=3)
whose.enqueue(self=3)
whose.options(priority=1).enqueue(self=3)
thumbnail.enqueue()  # E: call-arg
thumbnail.enqueue(3)  # E: arg-type
thumbnail.enqueue("cat.png", 400)  # E: call-arg
thumbnail.enqueue("cat.png", width="400")  # E: arg-type
thumbnail.enqueue("cat.png", hight=400)  # E: call-arg
thumbnail.enqueue(Context.local(), "cat.png")  # E: call-arg arg-type
note.enqueue(Context.local())  # E: call-arg
publish.enqueue([1])  # E: list-item
publish.enqueue("cat.png")  # E: arg-type
spread.enqueue("x")  # E: arg-type
spread.enqueue(a=1)  # E: arg-type
whose.enqueue(self="x")  # E: arg-type
thumbnail.s(3)  # E: call-overload
thumbnail.options(delay_s=3).enqueue(3)  # E: arg-type
thumbnail.options(delay_s=3).s(3)  # E: call-overload
thumbnail.si(3)  # E: arg-type
thumbnail.si()  # E: call-arg

# --- results are unwrapped, for plain and coroutine functions alike ---------------------------------------------------
reveal_type(thumbnail.enqueue("cat.png"))  # R: Job[str]
reveal_type(publish.enqueue([]))  # R: Job[int]
reveal_type(fetch.enqueue("x"))  # R: Job[bytes | None]
reveal_type(note.enqueue())  # R: Job[None]
reveal_type(spread.enqueue())  # R: Job[dict[str, float]]
reveal_type(thumbnail.enqueue("cat.png").result(timeout_s=10))  # R: str
reveal_type(publish.options(priority=5).enqueue([]).result())  # R: int
reveal_type(thumbnail.s("cat.png", width=3))  # R: Signature[str]
reveal_type(thumbnail.options(queue="a").s("cat.png"))  # R: Signature[str]
reveal_type(app.enqueue_many([publish.s([]), publish.s(["a"])]))  # R: list[Job[int]]
reveal_type(app.enqueue_many(thumbnail.s(path) for path in ["a", "b"]))  # R: list[Job[str]]
reveal_type(app.job("id"))  # R: Job[Any]
reveal_type(publish.enqueue([]).id)  # R: str
app.enqueue_many([publish.s([]), thumbnail.s("a")])
app.enqueue_many([publish.enqueue([])])  # E: arg-type


async def coroutines() -> None:
    """Async callers are equals."""
    reveal_type(await thumbnail.enqueue_async("cat.png"))  # R: Job[str]
    reveal_type(await thumbnail.options(delay_s=1).enqueue_async("cat.png"))  # R: Job[str]
    reveal_type(await thumbnail.enqueue("cat.png"))  # R: str
    reveal_type(await publish.enqueue([]).result_async(1))  # R: int
    reveal_type(await app.enqueue_many_async([publish.s([])]))  # R: list[Job[int]]
    await thumbnail.enqueue_async(3)  # E: arg-type
    # --- the function is called as it was written
    reveal_type(await thumbnail(Context.local(), "cat.png", width=3))  # R: str
    reveal_type(await fetch("x"))  # R: bytes | None
    await thumbnail("cat.png")  # E: arg-type call-arg
    await fetch(3)  # E: arg-type


reveal_type(publish(["a"]))  # R: int
publish([1])  # E: list-item
note(Context.local())
note()  # E: call-arg

# --- options are typed ------------------------------------------------------------------------------------------------
thumbnail.options(run_at=dt.datetime.now(dt.UTC), headers={"a": "b"}, tags=["x"], expires_s=3, idempotency_key="k")
thumbnail.options(delay_s="3")  # E: arg-type
thumbnail.options(colour="red")  # E: call-arg
app.task(queue=3)  # E: call-overload
app.task(executor="fast")  # E: call-overload
Retry(backoff="slowly")  # E: arg-type
reveal_type(charge.enqueue(1, "acme", card="4"))  # R: Job[bool]
charge.enqueue(1, 2, card="4")  # E: arg-type
app.queue("images", limits=[Concurrency(3), Rate(500, per_s=1.0, burst=500)], retention=Retention(dead=9))
app.queue("images", limits=Concurrency(3))  # E: arg-type
app.queue("images", limits=[3])  # E: list-item
app.queue("images", retention=9)  # E: arg-type
app.task(limits=[Retry()])  # E: list-item
app.task(fair="tenant")  # E: call-overload
app.task(searchable=[1])  # E: list-item
Concurrency("3")  # E: arg-type
Concurrency(1, per="a", order="fifo")
Concurrency(1, order="lifo")  # E: arg-type
Concurrency(1, "tenant")  # E: call-arg
Rate(5, per_seconds=60)  # E: call-arg
Fair("tenant", weights={"acme": "3"})  # E: dict-item
Fair()  # E: call-arg


# --- tasks, jobs and signatures can be named in annotations -----------------------------------------------------------
def later(task: Task[[str], bytes | None], rest: Sequence[Signature[object]]) -> Job[bytes | None]:
    app.enqueue_many(rest)
    return task.enqueue("x")


later(fetch, [publish.s([]), thumbnail.s("a")])
later(publish, [])  # E: arg-type
any_task: Task[..., Any] = thumbnail
object_job: Job[object] = publish.enqueue([])


@app.task(unique=Unique("order_id", period_s=3_600, on_conflict="keep_time", states=["ready", "running"]))
def unique_job(order_id: int) -> str:
    return str(order_id)


reveal_type(unique_job.enqueue(1).replaced)  # R: bool
app.task(unique="order_id")  # E: call-overload
Unique("order_id", on_conflict="ignore")  # E: arg-type

# --- composed work ----------------------------------------------------------------------------------------------------
reveal_type(chain(thumbnail.s("a"), publish.s()))  # R: Chain[int]
reveal_type(thumbnail.s("a") | publish.s())  # R: Chain[int]
reveal_type(chain(thumbnail.s("a"), publish.s()).enqueue().result())  # R: int
reveal_type(group(thumbnail.s(path) for path in "abc"))  # R: Group[str]
reveal_type(group(thumbnail.s("a"), thumbnail.s("b")).enqueue())  # R: Workflow[list[str]]
reveal_type(chord(group(thumbnail.s(path) for path in "abc"), publish.s()).enqueue())  # R: Workflow[int]
reveal_type(chord([thumbnail.s("a")], chain(publish.s(), fetch.s())))  # R: Chain[bytes | None]
reveal_type(publish.map([["a"]]))  # R: Group[int]
reveal_type(publish.chunks([(["a"],)], 10).enqueue().result())  # R: list[list[int]]
reveal_type(publish.s(["a"]).on_error(note.si()).options(name="x", deadline_s=3))  # R: Signature[int]
reveal_type(thumbnail.partial(width=3))  # R: Signature[str]
reveal_type(group(thumbnail.s("a"), allow_failures=1).otherwise(publish.si([])))  # R: Group[str]
reveal_type(dag("d").step("a", fetch.s("x")).step("b", publish.s(), takes="a").enqueue())  # R: Workflow[Any]
chain(thumbnail, publish.s())  # E: call-overload
chord(group(thumbnail.s("a")), publish)  # E: arg-type
publish.s().on_error(note)  # E: arg-type
publish.s().options(on_failure="ignore")  # E: arg-type
dag("d").step("a", fetch)  # E: arg-type


@app.task
def gather(paths: Results[str]) -> int:
    reveal_type(paths[0])  # R: str
    return len(paths)


@app.task
def chooses(ctx: Context, url: str) -> int | Canvas[int]:
    reveal_type(ctx.enqueue(chain(fetch.s(url), publish.s())))  # R: str
    return publish.s([url]) if url else 3


async def composed() -> None:
    """Async callers are equals."""
    reveal_type(await chain(thumbnail.s("a"), publish.s()).enqueue_async())  # R: Workflow[int]
    reveal_type(await publish.s(["a"]).enqueue())  # R: int


# schedules
app.schedule("nightly", thumbnail.s("a"), cron="0 3 * * *", timezone="Europe/Paris", overlap="skip", missed="last")
app.schedule("hourly", chain(thumbnail.s("a"), publish.s()), every_s=3_600, jitter_s=60)
app.schedule("nightly", thumbnail, cron="0 3 * * *")  # E: arg-type
app.schedule("nightly", thumbnail.s("a"), cron="0 3 * * *", overlap="forbid")  # E: arg-type
app.schedule("nightly", thumbnail.s("a"), at="noon")  # E: arg-type
reveal_type(app.put_schedule("nightly", thumbnail.s("a"), every_s=60))  # R: ScheduleView
app.put_schedule("nightly", thumbnail.s("a"), every="60")  # E: call-arg
reveal_type(app.run_schedule("nightly"))  # R: ScheduleRun
reveal_type(list(app.schedules()))  # R: list[ScheduleView]
