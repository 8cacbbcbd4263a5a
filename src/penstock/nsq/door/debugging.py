"""``/debug`` of nsqd's HTTP API: what the process does and has in memory, in Python's terms.

nsqd answers with profiles of Go. There is nothing of that kind to read here, so these are texts for people: which tasks
wait where, which objects there are, where the time goes.
"""

from __future__ import annotations

import asyncio
import cProfile
import ctypes
import gc
import io
import os
import pstats
import re
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterable
from types import FrameType
from typing import Any, Final

from penstock.http.messages import Answer
from penstock.model import limits
from penstock.nsq.door.memory import resident_bytes
from penstock.nsq.http_application import Request, Route
from penstock.nsq.http_routes import ApiError, text_answer

__all__ = ["debug_routes"]

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,9}")
_SECONDS: Final = 30
_ROWS: Final = 60
_FRAMES: Final = 12
_KINDS: Final = {
    "profile": "where the time goes; seconds=N, then a table",
    "goroutine": "tasks and threads, and where each waits",
    "heap": "objects by type",
    "threadcreate": "threads",
    "block": "nothing: waiting is not measured",
    "cmdline": "how the process was started",
    "symbol": "nothing: there are no addresses to name",
}


def debug_routes() -> dict[tuple[str, str], Route]:
    """The routes by method and path. Who may ask: `penstock.nsq.http_access.HttpAccess.check_debugging`."""
    pprof = {"profile": _profile, "goroutine": _tasks, "heap": _heap, "threadcreate": _threads, "block": _block}
    found = {("GET", f"/debug/pprof/{name}"): handler for name, handler in pprof.items()}
    found |= {
        ("GET", "/debug/pprof/"): _index,
        ("GET", "/debug/pprof/cmdline"): _command_line,
        ("GET", "/debug/pprof/symbol"): _symbol,
        ("POST", "/debug/pprof/symbol"): _symbol,
        ("PUT", "/debug/setblockrate"): _set_block_rate,
        ("POST", "/debug/freememory"): _free_memory,
    }
    return {place: Route(handler, is_debugging=True, is_plain=True) for place, handler in found.items()}


async def _index(_request: Request) -> Answer:
    return text_answer("".join(f"/debug/pprof/{name:<14} {told}\n" for name, told in _KINDS.items()))


async def _command_line(_request: Request) -> Answer:
    return text_answer("\0".join(sys.orig_argv))


async def _symbol(_request: Request) -> Answer:
    return text_answer("num_symbols: 0\n")


async def _block(_request: Request) -> Answer:
    return text_answer("Waiting is not measured. /debug/pprof/goroutine tells what waits now.\n")


# --- what there is now ------------------------------------------------------------------------------------------------
async def _tasks(_request: Request) -> Answer:
    tasks = asyncio.all_tasks()
    stacks = Counter(_stack(task.get_stack(limit=_FRAMES)) for task in tasks)
    lines = [f"tasks: {len(tasks)}\n"]
    lines += [f"{count} at\n{stack}" for stack, count in stacks.most_common(_ROWS)]
    return text_answer("\n".join([*lines, _thread_stacks()]))


def _stack(frames: Iterable[FrameType]) -> str:
    return "".join(f"  {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}\n" for frame in frames)


async def _threads(_request: Request) -> Answer:
    return text_answer(_thread_stacks())


def _thread_stacks() -> str:
    frames = sys._current_frames()  # noqa: SLF001 - documented for exactly this
    found = [f"threads: {threading.active_count()}\n"]
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        stack = "" if frame is None else "".join(traceback.format_stack(frame, limit=_FRAMES))
        found.append(f"{thread.name}\n{stack}")
    return "\n".join(found)


async def _heap(_request: Request) -> Answer:
    counts = await asyncio.to_thread(_objects_by_type)
    head = f"resident: {resident_bytes()} bytes\nblocks: {sys.getallocatedblocks()}\nobjects that may be in circles:\n"
    return text_answer(head + "".join(f"{count:>10} {name}\n" for name, count in counts.most_common(_ROWS)))


def _objects_by_type() -> Counter[str]:
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


# --- where the time goes ----------------------------------------------------------------------------------------------
_profiling = threading.Lock()


async def _profile(request: Request) -> Answer:
    """Watch this thread for some seconds. It is slower meanwhile."""
    text = request.query().get("seconds") or ""
    asked = int(text) if _INTEGER.fullmatch(text) else 0
    seconds = min(asked if asked > 0 else _SECONDS, limits.NSQ_PROFILE_S_MAX)
    if not _profiling.acquire(blocking=False):
        raise ApiError(503, "Another profile is being made.")
    profile = cProfile.Profile()
    try:
        _begin(profile)
        await asyncio.sleep(seconds)
    finally:
        profile.disable()
        _profiling.release()
    out = io.StringIO()
    statistics: Any = pstats.Stats(profile, stream=out)
    statistics.sort_stats("cumulative").print_stats(_ROWS)
    return text_answer(f"{seconds:g} s of the event loop\n{out.getvalue()}")


def _begin(profile: cProfile.Profile) -> None:
    try:
        profile.enable()
    except ValueError:
        raise ApiError(503, "Another tool watches this process.") from None


# --- what can be done -------------------------------------------------------------------------------------------------
async def _free_memory(_request: Request) -> Answer:
    """Collect garbage, and give back to the system what is free, where it takes it."""
    before_bytes = resident_bytes()
    found = gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
    freed_bytes = max(0, before_bytes - resident_bytes())
    return text_answer(f"OK: {found} objects collected, {freed_bytes} bytes given back\n")


async def _set_block_rate(request: Request) -> Answer:
    rate = request.query().get("rate") or ""
    if not _INTEGER.fullmatch(rate):
        raise ApiError(400, f'invalid block rate : strconv.Atoi: parsing "{rate[:60]}": invalid syntax')
    return text_answer("OK: nothing changes, since waiting is not measured\n")
