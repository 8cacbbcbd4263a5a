"""The gate as a process of its own, over a real store: sockets, slow clients, kills."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from penstock.model import limits
from penstock.model.ids import parse_id
from penstock.model.job import LeaseRequest, Outcomes, Succeeded
from penstock.store.wire.client.blocking import Client

GATE = """
import json, sys
from penstock.gate.gate_process import GateSettings, run_gate
from penstock.model import limits
from penstock.store.wire.client.async_client import AsyncClient
from penstock.tasks.app import Penstock

directory, settings = sys.argv[1], json.loads(sys.argv[2])
for name, value in settings.pop("limits", {}).items():
    setattr(limits, name, value)
app = Penstock(directory)

@app.task(name="images.thumbnail")
def thumbnail(path: str, *, width: int = 200) -> str: ...

def ready(host, port):
    print(port, flush=True)

sys.exit(run_gate(
    lambda: AsyncClient.connect(directory, role="gate"),
    GateSettings(port=settings.pop("port", 0), tasks=list(app.tasks.values()), on_ready=ready, **settings),
))
"""
JOB: dict[str, Any] = {"task": "images.thumbnail", "args": ["cat.png"]}
PATIENCE_S = 60.0


class GateProcess:
    """A gate that runs, and ways to talk to it."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-c", GATE, str(directory), json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate(timeout=PATIENCE_S)
            raise AssertionError(errors)
        self.port = int(line)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """One request on a connection of its own: status and JSON."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            kind = {"content-type": "application/json"} if body is not None else {}
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, kind | named)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def post(self, body: Any, query: str = "", **headers: str) -> tuple[int, Any]:
        """``POST /v1/jobs``."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", "/v1/jobs" + query, text, **headers)

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def resident_bytes(self) -> int:
        """Memory of the process."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> int:
        """Ask it to leave; its exit status."""
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode

    def kill(self) -> None:
        """However it is."""
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A store's directory; its owner is stopped afterwards."""
    path = tmp_path / "data"
    yield path
    with suppress(OSError, ValueError, KeyError):
        record = json.loads((path / "owner.lock").read_text())
        os.kill(record["pid"], signal.SIGTERM)


@pytest.fixture
def gate(directory: Path) -> Iterator[GateProcess]:
    """A gate with short times, so that slow clients are seen soon."""
    process = GateProcess(directory, limits={"GATE_BODY_READ_S": 0.2, "HTTP_SWEEP_S": 0.1})
    yield process
    process.kill()


@pytest.fixture
def store(gate: GateProcess) -> Iterator[Client]:
    """Another client of the same store."""
    client = Client.connect(gate.directory)
    yield client
    client.close()


def head(length: int | None, port: int, **headers: str) -> bytes:
    """The head of a POST; ``length`` None: chunked."""
    headers = {"content-type": "application/json"} | headers
    lines = ["POST /v1/jobs HTTP/1.1", f"host: 127.0.0.1:{port}"]
    lines.append("transfer-encoding: chunked" if length is None else f"content-length: {length}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_answer(sock: socket.socket) -> tuple[int, Any]:
    """Status and JSON of what comes."""
    with sock.makefile("rb") as file:
        status = int(file.readline().split()[1])
        length = 0
        while (line := file.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, json.loads(file.read(length)) if length else None


class TestAccepting:
    def test_an_accepted_job_is_in_the_store(self, gate: GateProcess, store: Client) -> None:
        status, answer = gate.post(JOB)
        assert (status, answer["durability"], answer["state"]) == (202, "disk", "ready")
        (view,) = store.get([parse_id(answer["id"])], body=True)
        assert view is not None
        assert (view.task, view.body) == ("images.thumbnail", b'j[["cat.png"],{}]')

    def test_a_batch_with_one_bad_item_accepts_the_others(self, gate: GateProcess, store: Client) -> None:
        status, answer = gate.post([JOB, {**JOB, "args": [7]}, JOB])
        assert (status, answer["accepted"], answer["rejected"]) == (202, 2, 1)
        assert answer["jobs"][1]["problem"]["field"] == "args[0]"
        assert store.stats().queues["default"].accepted_total == 2

    def test_an_atomic_batch_with_one_bad_item_accepts_none(self, gate: GateProcess, store: Client) -> None:
        status, _ = gate.post([JOB, {**JOB, "args": [7]}], "?atomic=true")
        assert status == 422
        assert not store.stats().queues

    def test_a_job_a_line(self, gate: GateProcess) -> None:
        lines = b"\n".join([json.dumps(JOB).encode()] * 1_000)
        status, answer = gate.post(lines, content_type="application/x-ndjson")
        assert (status, answer["accepted"]) == (202, 1_000)

    def test_a_full_request_is_accepted(self, gate: GateProcess) -> None:
        large = [{**JOB, "args": ["x" * 1_000_000]} for _ in range(16)]
        status, answer = gate.post(large)
        assert (status, answer["accepted"]) == (202, 16)

    def test_many_connections_at_once_are_all_answered_with_ids_of_their_own(self, gate: GateProcess) -> None:
        found: list[str] = []

        def produce() -> None:
            found.extend(gate.post(JOB)[1]["id"] for _ in range(20))

        threads = [threading.Thread(target=produce) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(found)) == 320

    def test_a_job_is_waited_for_and_its_result_fetched(self, gate: GateProcess, store: Client) -> None:
        job_id = gate.post(JOB)[1]["id"]
        answers: list[Any] = []
        waiting = threading.Thread(target=lambda: answers.append(gate.ask("GET", f"/v1/jobs/{job_id}?wait_s=20")))
        waiting.start()
        batch = store.lease(LeaseRequest(bytes(16), 1))
        now = time.time()
        store.settle(Outcomes(bytes(16), succeeded=[Succeeded(batch.first_fence, now, now, b'j"done"')]))
        waiting.join()
        assert (answers[0][0], answers[0][1]["state"]) == (200, "succeeded")
        assert gate.ask("GET", f"/v1/jobs/{job_id}/result") == (200, "done")

    def test_figures_and_health(self, gate: GateProcess) -> None:
        gate.post(JOB)
        assert gate.ask("GET", "/v1/stats")[1]["queues"]["default"]["ready"] == 1
        assert gate.ask("GET", "/health/ready")[0] == 200
        assert gate.ask("HEAD", "/health/live") == (200, None)


class TestBadClients:
    def test_a_slow_client_is_let_go_and_others_are_served_meanwhile(self, gate: GateProcess) -> None:
        with gate.connect() as slow:
            slow.sendall(head(100, gate.port) + b'{"task"')
            assert gate.post(JOB)[0] == 202
            status, answer = read_answer(slow)
            assert (status, answer["code"]) == (408, "request-timeout")
            assert slow.recv(1) == b""

    def test_an_endless_body_ends_in_a_413_and_bounded_memory(self, gate: GateProcess) -> None:
        gate.post(JOB)
        before = gate.resident_bytes()
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        with gate.connect() as endless:
            endless.sendall(head(None, gate.port))
            with suppress(ConnectionError):
                while True:
                    endless.sendall(chunk)
            assert gate.resident_bytes() - before < 4 * limits.REQUEST_BYTES_MAX
        assert gate.post(JOB)[0] == 202

    @pytest.mark.parametrize("announced", [True, False])
    def test_a_413_is_read_by_a_client_that_sends_all_first(self, gate: GateProcess, announced: bool) -> None:
        size = limits.REQUEST_BYTES_MAX + 5_000_000
        with gate.connect() as eager:
            if announced:
                eager.sendall(head(size, gate.port) + b" " * size)
            else:
                eager.sendall(head(None, gate.port) + b"%x\r\n" % size + b" " * size + b"\r\n0\r\n\r\n")
            status, answer = read_answer(eager)
            assert (status, answer["code"]) == (413, "body-too-large")

    def test_a_body_cut_off_is_not_accepted(self, gate: GateProcess, store: Client) -> None:
        lines = b"\n".join([json.dumps(JOB).encode()] * 3) + b"\n"
        with gate.connect() as cut:
            cut.sendall(head(len(lines) + 9, gate.port, **{"content-type": "application/x-ndjson"}) + lines)
        with gate.connect() as cut:
            cut.sendall(head(None, gate.port) + b"100\r\n[" + json.dumps(JOB).encode())
        with gate.connect() as cut:
            chunk = b"%x\r\n%b\r\n" % (len(lines), lines)
            cut.sendall(head(None, gate.port, **{"content-type": "application/x-ndjson"}) + chunk)
            cut.shutdown(socket.SHUT_WR)
            status, answer = read_answer(cut)
            assert (status, answer["code"]) == (400, "malformed-body")
        assert gate.post(JOB)[0] == 202
        assert store.stats().queues["default"].accepted_total == 1

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({"content_encoding": "gzip"}, "unsupported-media-type"),
            ({"content_type": "text/plain"}, "unsupported-media-type"),
            ({"content_type": "application/json; charset=utf-16"}, "unsupported-media-type"),
            ({"origin": "https://evil.example"}, "forbidden"),
            ({"host": "evil.example"}, "forbidden"),
        ],
    )
    def test_a_request_of_the_wrong_kind_is_refused(
        self, gate: GateProcess, headers: dict[str, str], code: str
    ) -> None:
        assert gate.post(JOB, **headers)[1]["code"] == code

    def test_what_is_not_http_does_not_disturb(self, gate: GateProcess) -> None:
        with gate.connect() as noise:
            noise.sendall(os.urandom(4_096))
        assert gate.post(JOB)[0] == 202


class TestLifeAndDeath:
    def test_sigterm_lets_a_request_that_waits_have_its_answer(self, gate: GateProcess) -> None:
        job_id = gate.post(JOB)[1]["id"]
        with gate.connect() as waiting:
            request = f"GET /v1/jobs/{job_id}?wait_s=60 HTTP/1.1\r\nhost: 127.0.0.1:{gate.port}\r\n\r\n"
            waiting.sendall(request.encode())
            until = time.monotonic() + PATIENCE_S
            while b"penstock_gate_waiters 1" not in metrics(gate):
                assert time.monotonic() < until
            gate.process.terminate()
            status, answer = read_answer(waiting)
            assert (status, answer["state"]) == (200, "ready")
        gate.process.communicate(timeout=PATIENCE_S)
        assert gate.process.returncode == 0

    def test_who_leaves_while_waiting_gives_its_place_back(self, gate: GateProcess) -> None:
        job_id = gate.post(JOB)[1]["id"]
        request = f"GET /v1/jobs/{job_id}?wait_s=60 HTTP/1.1\r\nhost: 127.0.0.1:{gate.port}\r\n\r\n"
        clients = [gate.connect() for _ in range(3)]
        for client in clients:
            client.sendall(request.encode())
        until = time.monotonic() + PATIENCE_S
        while b"penstock_gate_waiters 3" not in metrics(gate):
            assert time.monotonic() < until
        for client in clients:
            client.close()
        while b"penstock_gate_waiters 0" not in metrics(gate):
            assert time.monotonic() < until

    def test_an_idle_gate_leaves_at_once_though_a_client_stays_connected(self, gate: GateProcess) -> None:
        with gate.connect() as idle:
            idle.sendall(f"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1:{gate.port}\r\n\r\n".encode())
            assert read_answer(idle)[0] == 200
            assert gate.stop() == 0

    def test_a_second_gate_on_the_same_port_is_refused(self, gate: GateProcess) -> None:
        with pytest.raises(AssertionError, match="Cannot listen"):
            GateProcess(gate.directory, port=gate.port)

    def test_other_machines_need_a_token(self, directory: Path) -> None:
        with pytest.raises(AssertionError, match="PENSTOCK_TOKEN"):
            GateProcess(directory, host="0.0.0.0")

    def test_a_kill_between_write_and_answer_loses_and_doubles_nothing(self, directory: Path) -> None:
        """A client that repeats what was not answered, with its key, has each job once; what was answered is there."""
        acknowledged: dict[str, str] = {}
        for round_number in range(3):
            gate = GateProcess(directory)
            keys = [f"{round_number}-{n}" for n in range(100)]
            enough = threading.Event()
            killer = threading.Thread(target=kill_at, args=(gate, enough))
            killer.start()
            produce(gate, keys, acknowledged, enough, 20 * (round_number + 1))
            killer.join()
            gate = GateProcess(directory)
            first_answers = dict(acknowledged)
            produce(gate, keys, acknowledged)
            assert all(acknowledged[key] == job_id for key, job_id in first_answers.items())
            gate.kill()
        client = Client.connect(directory)
        try:
            assert len(acknowledged) == len(set(acknowledged.values())) == 300
            assert client.stats().queues["default"].accepted_total == 300
            assert all(client.get([parse_id(job_id) for job_id in acknowledged.values()]))
        finally:
            client.close()

    def test_an_owner_that_dies_is_survived(self, gate: GateProcess) -> None:
        gate.post(JOB)
        owner = json.loads((gate.directory / "owner.lock").read_text())["pid"]
        os.kill(owner, signal.SIGKILL)
        assert gate.post(JOB)[0] == 202


def metrics(gate: GateProcess) -> bytes:
    """The text of ``/metrics``."""
    connection = HTTPConnection("127.0.0.1", gate.port, timeout=PATIENCE_S)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read()
    connection.close()
    return text


def kill_at(gate: GateProcess, enough: threading.Event) -> None:
    """SIGKILL the gate at a word."""
    enough.wait()
    gate.kill()


def produce(
    gate: GateProcess,
    keys: list[str],
    acknowledged: dict[str, str],
    enough: threading.Event | None = None,
    enough_count: int = 0,
) -> None:
    """POST a job for each key, until the gate is gone; set ``enough`` after so many answers, and go on."""
    with suppress(OSError):
        for count, key in enumerate(keys, 1):
            status, answer = gate.post({**JOB, "args": [key], "idempotency_key": key})
            assert status == 202
            acknowledged[key] = answer["id"]
            if enough is not None and count == enough_count:
                enough.set()
