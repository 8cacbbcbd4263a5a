"""Load for an HTTP server: `wrk` where it is installed, else a generator of our own, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import uvloop

from benchmarks.processes import BenchmarkFailed, Child
from benchmarks.record import percentile
from benchmarks.workspace import Workspace

_SCRIPT: Final = """
local requests, at = {}, 0
function init(arguments)
  for number = 1, tonumber(arguments[2]) do
    local file = assert(io.open(arguments[1] .. "/" .. number, "rb"))
    requests[number] = wrk.format("POST", nil, {["Content-Type"] = "application/json"}, file:read("*a"))
    file:close()
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local failed = summary.errors
  io.write(string.format('\\nRESULT {"count": %d, "elapsed_s": %f, "failed": %d, "p50_ms": %f, "p99_ms": %f}\\n',
    summary.requests, summary.duration / 1e6, failed.status + failed.connect + failed.read + failed.write,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


class Answered(msgspec.Struct, frozen=True):
    """What came of the load."""

    count: int
    elapsed_s: float
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.count / self.elapsed_s


@dataclass(frozen=True, slots=True)
class Load:
    """A load: these bodies in turn, over so many connections, for so long."""

    bodies: Sequence[bytes]
    connections: int
    duration_s: float

    def put(self, workspace: Workspace, url: str) -> Answered:
        """Put it on a server.

        Raises:
            BenchmarkFailed: some requests failed, or none was answered.
        """
        folder = workspace.path / "requests"
        if not folder.exists():
            folder.mkdir()
            for number, body in enumerate(self.bodies, 1):
                (folder / str(number)).write_bytes(body)
        child = self._with_wrk(workspace, folder, url) if shutil.which("wrk") else self._alone(workspace, folder, url)
        text = child.line()
        while not text.startswith("RESULT "):
            text = child.line()
        child.wait(10.0)
        answered = msgspec.json.decode(text.removeprefix("RESULT "), type=Answered)
        if answered.failed:
            raise BenchmarkFailed(f"{url}: {answered.failed} of {answered.count} requests failed.")
        if not answered.count:
            raise BenchmarkFailed(f"{url}: no request was answered within {answered.elapsed_s:.1f} s.")
        return answered

    def _with_wrk(self, workspace: Workspace, folder: Path, url: str) -> Child:
        script = workspace.path / "load.lua"
        script.write_text(_SCRIPT)
        arguments = ["wrk", "-t1", f"-c{self.connections}", f"-d{max(1, round(self.duration_s))}s", "-s", str(script)]
        return workspace.start([*arguments, url, "--", str(folder), str(len(self.bodies))], talks=True)

    def _alone(self, workspace: Workspace, folder: Path, url: str) -> Child:
        return workspace.python(
            "benchmarks.load", url, str(folder), str(self.connections), str(self.duration_s), talks=True
        )


def generator() -> str:
    """What puts the load."""
    return "wrk" if shutil.which("wrk") else "a generator of our own (wrk is not installed)"


# --- our own ----------------------------------------------------------------------------------------------------------
class _Connection(asyncio.Protocol):
    """Posts one body after the other, each when the last one was answered."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._transport: asyncio.Transport
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's, so that a check would refuse them.
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator or len(rest) < _content_length(head):
            return
        self._run.answered(head, time.perf_counter() - self._sent_at)
        self._received = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._run.failed += not self._run.over

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._run.next())


class _Run:
    def __init__(self, requests: list[bytes]) -> None:
        self.over = False
        self.failed = 0
        self.times_s: list[float] = []
        self._requests = requests
        self._at = 0

    def next(self) -> bytes:
        self._at = (self._at + 1) % len(self._requests)
        return self._requests[self._at]

    def answered(self, head: bytes, taken_s: float) -> None:
        self.times_s.append(taken_s)
        self.failed += not head.startswith(b"HTTP/1.1 2")


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _post(url: str, bodies: Sequence[bytes], connections: int, duration_s: float) -> Answered:
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    head = f"POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: "
    run = _Run([f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies])
    loop = asyncio.get_running_loop()
    broken = _broken(loop)
    opened: list[asyncio.Transport] = []
    began = time.perf_counter()
    try:
        for _ in range(connections):
            transport, _ = await loop.create_connection(lambda: _Connection(run), host, int(port))
            opened.append(transport)
        await asyncio.wait([broken], timeout=duration_s)
        elapsed_s, count = time.perf_counter() - began, len(run.times_s)
    finally:
        run.over = True
        for transport in opened:
            transport.abort()
    if broken.done():
        broken.result()
    p50, p99 = (percentile(run.times_s or [0.0], percent) * 1000 for percent in (50, 99))
    return Answered(count, elapsed_s, run.failed, p50, p99)


def _broken(loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
    """Fails with the first exception of a callback: a loop only logs them, and the load would go on without it."""
    broken: asyncio.Future[None] = loop.create_future()

    def fail(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not broken.done():
            broken.set_exception(context.get("exception") or RuntimeError(context["message"]))

    loop.set_exception_handler(fail)
    return broken


def main() -> int:
    """`python -m benchmarks.load URL FOLDER CONNECTIONS SECONDS`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("connections", type=int)
    parser.add_argument("duration_s", type=float)
    options = parser.parse_args()
    bodies = [file.read_bytes() for file in sorted(options.folder.iterdir())]
    answered = uvloop.run(_post(options.url, bodies, options.connections, options.duration_s))
    sys.stdout.write(f"RESULT {msgspec.json.encode(answered).decode()}{os.linesep}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
