"""Searches that match nothing, over and over: `python -m benchmarks.searcher slices|beside DIRECTORY`.

``slices`` asks the engine alone, through every job, and tells how much processor time its longest page and its longest
step took.
``beside`` is a client of the owner that searches until it is told a line.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.stock import open_store
from penstock.model.job import Filter
from penstock.model.states import State
from penstock.store.wire.client.blocking import Client

NOWHERE: Final = Filter(tag="there-is-none")
"""It has to be compared with every job."""
_WORST: Final = {
    "no such tag": NOWHERE,
    "no such tag, ready": Filter(state=State.READY, tag="there-is-none"),
    "dead": Filter(state=State.DEAD),
    "no such tag, succeeded": Filter(state=State.SUCCEEDED, tag="there-is-none"),
}


def main(mode: str, directory: Path) -> int:
    """Search. Answers 0."""
    answer = _slices(directory) if mode == "slices" else _beside(directory)
    print(msgspec.json.encode(answer).decode(), flush=True)
    return 0


def _slices(directory: Path) -> dict[str, float]:
    store = open_store(directory)
    pages = [_through(lambda cursor, one=where: store.query(one, cursor=cursor).cursor) for where in _WORST.values()]
    steps = _through(lambda cursor: store.cancel_where(NOWHERE, cursor=cursor).cursor)
    store.close()
    return {
        "page_ms": max(longest for longest, _, _ in pages),
        "step_ms": steps[0],
        "pages": pages[0][1],
        "search_s": pages[0][2],
    }


def _through(ask: Callable[[str | None], str | None]) -> tuple[float, int, float]:
    """Go on until there is no cursor. Answers the longest processor time in milliseconds, how often it was asked, and
    all seconds."""
    longest, count, cursor = 0.0, 0, None
    began = time.perf_counter()
    while True:
        before = time.thread_time()
        cursor = ask(cursor)
        longest = max(longest, time.thread_time() - before)
        count += 1
        if cursor is None:
            return longest * 1e3, count, time.perf_counter() - began


def _beside(directory: Path) -> dict[str, float]:
    client = Client.connect(directory, start_owner=False)
    told = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), told.set()), daemon=True).start()
    pages, cursor = 0, None
    print("searching", flush=True)
    while not told.is_set():
        cursor = client.query(NOWHERE, cursor=cursor).cursor
        pages += 1
    client.close()
    return {"pages": pages}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
