"""Jobs under limits that hold for a whole task or a whole queue. Each notes when it began, and where."""

from __future__ import annotations

import os
import time
from pathlib import Path

from penstock import Concurrency, Penstock, Rate

app = Penstock()
MARKS = Path(os.environ.get("MARKS", "marks"))
app.queue("narrow", limits=[Concurrency(3)])


@app.task(limits=[Rate(40, per_s=1.0, burst=10)], keep_result_s=0, keep_record_s=0)
def tick() -> None:
    began = time.monotonic()
    with (MARKS / "ticks").open("a") as file:
        file.write(f"{began} {os.getppid()}\n")


@app.task(queue="narrow", keep_result_s=0, keep_record_s=0)
def squeeze() -> None:
    own = MARKS / "running" / str(os.getpid())
    own.touch()
    with (MARKS / "beside").open("a") as file:
        file.write(f"{len(list(own.parent.iterdir()))}\n")
    while not (MARKS / "go").exists():
        time.sleep(0.01)
    own.unlink()
