"""The tasks of Machinery's integration tests, as they are written here."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

from penstock import Context, Group, Penstock, Results, Retry, chain, group

app = Penstock()
MARKS = Path(os.environ.get("MARKS", "."))
ONCE = Retry(max_attempts=1)


def mark(name: str) -> None:
    """Note that something happened."""
    with (MARKS / name).open("a") as file:
        file.write(f"{os.getpid()}\n")


@app.task
def add(*numbers: int) -> int:
    return sum(numbers)


@app.task
async def multiply(*numbers: int) -> int:
    return math.prod(numbers)


@app.task
def product(numbers: list[int]) -> int:
    mark("product")
    return math.prod(numbers)


@app.task(retry=ONCE)
def fail(why: str = "no") -> None:
    raise ValueError(why)


@app.task
def nothing() -> None:
    return None


@app.task
def swap(one: str, other: int) -> tuple[int, str]:
    return other, one


@app.task
def unpack(pair: tuple[int, str]) -> str:
    return f"{pair[0]} {pair[1]}"


@app.task(retry=ONCE)
def panic() -> int:
    os._exit(3)


@app.task
def when() -> float:
    return time.time()


@app.task
def told(error: dict[str, str | None], name: str) -> None:
    mark(f"{name}: {error['type']}: {error['message']}")


@app.task
def noted(value: int, name: str) -> None:
    mark(f"{name}: {value}")


@app.task(keep_result_s=0, keep_record_s=0)
def quick(number: int) -> int:
    return number


@app.task
def count(numbers: Results[int]) -> tuple[int, int]:
    mark("count")
    return len(numbers), sum(numbers)


@app.task
def spread(number: int) -> Group[int] | int:
    return group(add.s(number, place) for place in range(3))


@app.task
def deeper(ctx: Context, number: int) -> int:
    if number > 0:
        ctx.add_members(deeper.s(number - 1), deeper.s(number - 1))
    return number


@app.task
def fork_off(ctx: Context, number: int) -> str:
    return ctx.enqueue(chain(add.s(number), multiply.partial(10)))


@app.task
def hold(name: str) -> str:
    while not (MARKS / f"{name}.go").exists():
        time.sleep(0.01)
    return name
