"""A `penstock up` of our own, on a fresh directory, and the little HTTP it takes to use one."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_READY_S = 60.0
_ANSWER_S = 60.0
_STOP_S = 45.0
_AGAIN_S = 0.1


class Unavailable(Exception):
    """The service did not start, or has gone away."""


class Service:
    """`penstock up tasks:app` in a process of its own. Use it in a with statement: nothing is left running.

    Args:
        directory: where the jobs are.
        executors: executor processes.
    """

    def __init__(self, directory: Path, executors: int) -> None:
        self._log = directory.with_name("penstock.log")
        self._host, self._port = "127.0.0.1", _free_port()
        self._command = [
            sys.executable, "-m", "penstock.cli", "up", "tasks:app", "--url", str(directory),
            "--gate", f"{self._host}:{self._port}", "--executors", str(executors),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Service:
        here = Path(__file__).resolve().parent
        path = [str(here), *filter(None, [os.environ.get("PYTHONPATH")])]
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C reaches us alone, and we stop it in order.
            self._process = subprocess.Popen(
                self._command, env=os.environ | {"PYTHONPATH": os.pathsep.join(path)}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            self._until(lambda: self._ask("GET", "/health/ready")[0] == 200, _READY_S)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Drain and stop. Answers the exit status. A second stop does nothing."""
        assert self._process is not None
        try:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
            return self._process.wait(_STOP_S)
        except BaseException as error:
            # Too slow, or somebody is impatient. Whatever runs below it leaves with it.
            self._process.kill()
            status = self._process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return status
            raise

    def post(self, body: bytes) -> list[dict[str, Any]]:
        """Post jobs, one a line. Repeats itself while the gate is away or asks for it; answers what became of each."""
        status, answer = self._until(lambda: self._accepted(body), _ANSWER_S)
        if status not in (202, 422):
            raise Unavailable(f"The gate answered {status}: {answer}")
        jobs: list[dict[str, Any]] = answer["jobs"]
        return jobs

    def _accepted(self, body: bytes) -> tuple[int, Any] | None:
        status, answer = self._ask("POST", "/v1/jobs", body)
        return None if status in (429, 503) else (status, answer)

    def get(self, path: str) -> Any:
        """What the gate answers with status 200. Repeats itself while the gate is away."""

        def answered() -> tuple[int, Any] | None:
            status, answer = self._ask("GET", path)
            return (status, answer) if status != 503 else None

        status, answer = self._until(answered, _ANSWER_S)
        if status != 200:
            raise Unavailable(f"GET {path}: {status} {answer}")
        return answer

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_ANSWER_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/x-ndjson"} if body else {})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def _until(self, ask: Callable[[], Any], within_s: float) -> Any:
        """Ask until there is something to answer. A refused or broken connection is nothing."""
        assert self._process is not None
        deadline = time.monotonic() + within_s
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if answer := ask():
                    return answer
            if self._process.poll() is not None:
                raise Unavailable(f"Penstock ended with status {self._process.returncode}:\n{self._last_words()}")
            if time.monotonic() > deadline:
                raise Unavailable(f"No answer within {within_s:.0f} s:\n{self._last_words()}")
            time.sleep(_AGAIN_S)

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


def _free_port() -> int:
    """A port that is free now. The gate keeps it when it is started again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
