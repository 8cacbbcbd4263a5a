"""What belongs to a job: what it logs, the processes it starts, and its place when the supervisor dies."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest

from penstock.process import process_file
from tests.acceptance.conftest import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts on the kernel ending children")

SHOP = """
import logging
import os
import subprocess
import time

from penstock.tasks.app import Penstock
from penstock.tasks.context import Context
from penstock.tasks.retry import Retry

app = Penstock()


@app.task
def tell(ctx: Context) -> None:
    ctx.logger.info("packed %d boxes", 3)


@app.task
def hold(marks: str) -> None:
    with open(marks, "a") as file:
        file.write(f"{os.getpid()}\\n")
    while not os.path.exists(marks + ".go"):
        time.sleep(0.01)


def sleep_long(marks: str) -> None:
    if os.path.exists(marks):
        return  # not the first attempt
    child = subprocess.Popen(["sleep", "777"])
    with open(marks + ".new", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename(marks + ".new", marks)
    child.wait()


@app.task(retry=Retry(max_attempts=1))
def parent(marks: str) -> None:
    sleep_long(marks)


@app.task(timeout_s=0.3, retry=Retry(max_attempts=1))
def late_parent(marks: str) -> None:
    sleep_long(marks)


@app.task
def leaver(marks: str) -> None:
    child = subprocess.Popen(["sleep", "777"])
    with open(marks, "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
"""
OWN_LOGGING = """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "formatters": {"own": {"format": "OWN %(message)s"}},
    "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
    "root": {"level": "INFO", "handlers": ["own"]},
})
"""


@pytest.fixture
def shop(place):
    (place.path / "shop.py").write_text(SHOP)
    return place


def read(path) -> str:
    return path.read_text() if path.exists() else ""


def enqueue(place, task, marks) -> str:
    status, output, errors = place.run("enqueue", "shop:app", f"shop.{task}", json.dumps(str(marks)))
    assert status == 0, errors
    return output.strip()


class TestLogging:
    @pytest.mark.parametrize("command", ["up", "worker"])
    def test_what_a_job_logs_is_printed(self, shop, command):
        line = self.line_of_a_job(shop, command)
        assert "INFO" in line
        assert "shop.tell" in line

    @pytest.mark.parametrize("command", ["up", "worker"])
    def test_it_is_json_when_asked_for(self, shop, command):
        entry = json.loads(self.line_of_a_job(shop, command, PENSTOCK_LOG_FORMAT="json"))
        assert (entry["level"], entry["task"], entry["attempt"]) == ("info", "shop.tell", 1)

    def test_a_level_above_it_hides_it(self, shop):
        assert self.line_of_a_job(shop, "worker", PENSTOCK_LOG="warning") == ""

    def test_an_application_that_sets_up_logging_has_its_way(self, shop):
        (shop.path / "shop.py").write_text(SHOP + OWN_LOGGING)
        assert self.line_of_a_job(shop, "worker").startswith("OWN ")

    @staticmethod
    def line_of_a_job(shop, command, **environment) -> str:
        """What the one line says that the job logs; empty: there is none."""
        where = ["--gate", "127.0.0.1:0"] if command == "up" else []
        running = shop.start(command, "shop:app", "--executors", "1", *where, **environment)
        try:
            assert shop.run("enqueue", "shop:app", "shop.tell", "--wait", "--timeout", "60")[0] == 0
        finally:
            running.terminate()
            _, errors = running.communicate(timeout=60)
        assert running.returncode == 0
        lines = [line for line in errors.splitlines() if "packed 3 boxes" in line]
        assert len(lines) <= 1
        return lines[0] if lines else ""


class TestChildren:
    @pytest.mark.parametrize("end", ["limit", "cancel", "crash", "forkserver", "supervisor"])
    def test_what_a_job_started_ends_with_it(self, shop, node, tmp_path, end):
        running = node("--executors", "1")
        running.wait_ready()
        marks = tmp_path / "marks"
        job = enqueue(shop, "late_parent" if end == "limit" else "parent", marks)
        executor, child = map(int, until(lambda: read(marks)).split())
        assert end == "limit" or process_file.alive(child)
        if end == "cancel":
            assert shop.run("job", job, "cancel")[0] == 0
        elif end != "limit":
            os.kill(executor if end == "crash" else running.pids(end)[0], signal.SIGKILL)
        until(lambda: not process_file.alive(child))

    def test_what_it_left_behind_ends_with_its_executor(self, shop, tmp_path):
        worker = shop.start("worker", "shop:app", "--executors", "1")
        marks = tmp_path / "marks"
        enqueue(shop, "leaver", marks)
        _, child = map(int, until(lambda: read(marks)).split())
        assert process_file.alive(child)
        worker.terminate()
        worker.communicate(timeout=60)
        until(lambda: not process_file.alive(child))


def test_jobs_of_a_killed_supervisor_run_again_before_their_leases_end(shop, node, tmp_path):
    running = node("--executors", "1")
    running.wait_ready()
    marks = tmp_path / "marks"
    job = enqueue(shop, "hold", marks)
    until(lambda: read(marks).count("\n") == 1)
    os.kill(running.pids("supervisor")[0], signal.SIGKILL)
    # A lease is 30 s, and may have been extended 10 s ago.
    until(lambda: read(marks).count("\n") == 2, deadline_s=20.0)
    (tmp_path / "marks.go").touch()
    assert shop.run("job", job, "--wait")[0] == 0
    first, second = read(marks).split()
    assert first != second


class TestStatus:
    @pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
    def test_of_a_worker_that_was_stopped(self, shop, number, status):
        worker = shop.start("worker", "shop:app", "--executors", "1")
        assert shop.run("enqueue", "shop:app", "shop.tell", "--wait", "--timeout", "60")[0] == 0
        worker.send_signal(number)
        worker.communicate(timeout=60)
        assert worker.returncode == status

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
    def test_of_a_gate_that_was_stopped(self, shop, number, status):
        gate = shop.start("gate", "--gate", "127.0.0.1:0")
        until(lambda: "listening" in gate.stderr.readline())
        gate.send_signal(number)
        gate.communicate(timeout=60)
        assert gate.returncode == status


class TestPlace:
    def test_an_environment_that_the_application_overrules_is_told(self, shop, node):
        there = shop.path / "there"
        (shop.path / "shop.py").write_text(SHOP.replace("Penstock()", f"Penstock({str(there)!r})"))
        running = node("--executors", "1")
        running.wait_ready()
        _, errors = running.stop()
        (line,) = [line for line in errors.splitlines() if "PENSTOCK_URL" in line]
        assert str(there) in line
        assert str(shop.store) in line
        assert "shop:app" in line

    def test_one_that_it_follows_is_not(self, shop, node):
        running = node("--executors", "1")
        running.wait_ready()
        assert "PENSTOCK_URL" not in running.stop()[1]

    @pytest.mark.parametrize("command", ["up", "worker", "gate", "enqueue"])
    def test_the_order_is_in_the_usage(self, shop, command):
        words = " ".join(shop.run(command, "--help")[1].split())
        assert "[the application's own; PENSTOCK_URL; penstock-data]" in words
