"""Consumers that note what they get, one line each, in the file that NOTES names."""

from __future__ import annotations

import os

from penstock import Context, Message, Penstock, Retry

app = Penstock()


def note(*words: object) -> None:
    with open(os.environ["NOTES"], "a", encoding="utf-8") as file:
        file.write(" ".join(map(str, words)) + "\n")


@app.task
def plain(number: int) -> None:
    note("plain", number)


@app.consumer("orders", channel="process")
def in_process(message: dict[str, int]) -> None:
    note("process", message["n"])


@app.consumer("orders", channel="async")
async def on_loop(ctx: Context, message: Message) -> None:
    note("async", message.body.decode(), message.headers["key"], ctx.queue)


@app.consumer("orders", channel="thread", executor="thread")
def in_thread(message: bytes) -> None:
    note("thread", message.decode())


@app.consumer("trouble", channel="retried", retry=Retry(max_attempts=2, base_s=0.05, jitter=False))
def failing(ctx: Context, message: str) -> None:
    note("failing", message, ctx.attempt)
    raise ValueError(message)
