"""The commands, each as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import until

MADE = "from penstock.tasks.app import Penstock\napp = Penstock()\n"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def worker(place):
    process = place.start("worker", "shop:app", "--executors", "1")
    yield process
    process.terminate()
    process.communicate(timeout=60)


def test_enqueue_prints_the_id_and_job_shows_it(place):
    status, output, errors = place.run("enqueue", "shop:app", "shop.add", "1", "--kwargs", '{"b": 2}', "--tag", "red")
    assert status == 0, errors
    assert UUID.fullmatch(output.strip())
    view = place.json("job", output.strip())
    assert (view["task"], view["state"], view["tags"]) == ("shop.add", "ready", ["red"])
    assert "shop.add" in place.run("job", output.strip())[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["shop.add", "x"], "not JSON"),
        (["shop.add", "1,2"], "not JSON"),
        (["shop.add", '"x"'], "a"),
        (["shop.add"], "a"),
        (["shop.add", "1", "--kwargs", "[1]"], "JSON object"),
        (["shop.add", "1", "--kwargs", '{"c": 1}'], "c"),
        (["shop.add", "1", "--queue", "not ok"], "queue"),
        (["shop.add", "1", "--priority", "1000"], "priority"),
        (["shop.add", "1", "--priority", "9" * 30], "priority"),
        (["shop.add", "1", "--key", ""], "idempotency_key"),
        (["shop.add", "1", "--tag", "a b"], "tag"),
        (["shop.add", "1", "--expires", "0"], "expires_s"),
        (["shop.add", "1", "--delay", "1e400"], "--delay"),
        (["shop.add", "NaN"], "not JSON"),
        (["shop.add", "1e999"], ""),
        (["shop.add", "9" * 5_000], ""),
        (["shop.add", "[" * 5_000 + "]" * 5_000], "nested too deep"),
        (["shop.add", b'"\xff"'], "UTF-8"),
        (["shop.add", "1", "--kwargs", b'{"b": "\xff"}'], "JSON object"),
        (["shop.add", "1", "--kwargs", '{"b":' + "[" * 5_000 + "]" * 5_000 + "}"], "nested too deep"),
        (["shop.add", "1", "--key", b"\xff"], "idempotency_key"),
        (["shop.add", "1", "--queue", b"\xff"], "queue"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_enqueued(place, arguments, words):
    status, output, errors = place.run("enqueue", "shop:app", *arguments)
    assert status == 2
    assert words in errors
    assert output == ""
    assert "Traceback" not in errors
    assert "unexpected" not in errors
    assert len(errors) < 1_000
    assert not place.store.exists()


@pytest.mark.parametrize(("name", "words"), [("shop.nothing", "shop.nothing"), (b"shop.\xff", "shop.")])
def test_a_task_that_is_not_there_is_no_wrong_usage(place, name, words):
    status, output, errors = place.run("enqueue", "shop:app", name, "1")
    assert (status, output) == (1, "")
    assert words in errors


TALKATIVE = """
import atexit
import os
import sys

print("imported")
os.write(1, b"written\\n")
os.system("echo started")
atexit.register(os.write, 1, b"left\\n")

from penstock.tasks.app import Penstock

app = Penstock()


@app.task
def add(a: int) -> int:
    return a


sys.stdout = open(os.devnull, "w")
"""


def test_what_the_application_prints_does_not_get_between_the_answers(place):
    (place.path / "talkative.py").write_text(TALKATIVE)
    status, output, errors = place.run("enqueue", "talkative:app", "talkative.add", "1", "--json")
    assert status == 0, errors
    assert json.loads(output)["state"] == "ready"
    for word in ("imported", "written", "started", "left"):
        assert word in errors
    status, output, errors = place.run("enqueue", "talkative:app", "talkative.add", "1")
    assert UUID.fullmatch(output.strip())


@pytest.mark.parametrize("command", ["up", "worker", "gate"])
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise RuntimeError('no' * 10_000)", "RuntimeError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("import os; os._exit(0)", "ended its process"),
        ("raise KeyboardInterrupt", "ended its process"),
        ("raise BaseException('\\x1b[2Jodd')", "\\x1b[2Jodd"),
        ("def", "SyntaxError"),
        ("app = 1", "not a Penstock application"),
        ("import nothing_of_that_name", "nothing_of_that_name"),
        ("def __getattr__(name): raise ValueError('lazy')", "lazy"),
        (f"{MADE}", "has no task"),
        (f"from __future__ import annotations\n{MADE}@app.task\ndef f(x: Missing) -> int: ...", "Missing"),
        (f"{MADE}@app.task\ndef f(x: int) -> 'Missing': ...", "Missing"),
        (f"{MADE}@app.task\ndef f(x: '1/0') -> int: ...", "1/0"),
        (f"{MADE}@app.task(timeout_s=10**400)\ndef f(x: int) -> int: ...", "timeout_s"),
    ],
)
def test_an_application_that_cannot_be_used_is_told_once_and_shortly(place, command, source, words):
    (place.path / "odd.py").write_text(source)
    address = [] if command == "worker" else ["--gate", "127.0.0.1:0"]
    status, output, errors = place.run(command, "odd:app", *address)
    assert (status, output) == (2, "")
    assert words in errors
    assert len(errors.splitlines()) == 1
    assert len(errors) < 1_000
    assert errors.startswith("penstock: ")


@pytest.mark.parametrize("command", ["up", "worker"])
def test_an_application_that_cannot_be_imported_again_is_told_once_too(place, command):
    """What was found when it was looked at is not so any more: no part is started five times for it."""
    (place.path / "odd.py").write_text(
        f"import os\n{MADE}@app.task\ndef f() -> None: ...\nos.mkdir('once')\n",
    )
    address = [] if command == "worker" else ["--gate", "127.0.0.1:0"]
    status, _, errors = place.run(command, "odd:app", *address)
    assert status == 2
    assert errors.count("FileExistsError") == 1
    assert len(errors.splitlines()) <= 2


FORKING = """
import os
import signal

from penstock import Penstock

app = Penstock()
pid = os.fork()
if pid == 0:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    signal.pause()
with open("left", "w") as left:
    left.write(str(pid))
%s
"""


@pytest.mark.parametrize(
    ("source", "words"), [("", "has no task"), ("os._exit(3)", "ended its process (status 3)")], ids=["back", "gone"]
)
@pytest.mark.parametrize("command", ["up", "worker", "gate"])
def test_a_process_that_the_application_leaves_behind_is_not_waited_for(place, command, source, words):
    (place.path / "forking.py").write_text(FORKING % source)
    try:
        status, _, errors = place.run(command, "forking:app")
    finally:
        os.kill(int((place.path / "left").read_text()), signal.SIGKILL)
    assert status == 2
    assert words in errors


def test_a_negative_number_is_an_argument(place):
    assert place.run("enqueue", "shop:app", "shop.add", "-1", "--delay", "60")[0] == 0


def test_a_key_makes_a_duplicate(place):
    first = place.json("enqueue", "shop:app", "shop.add", "1", "--key", "k")
    second = place.json("enqueue", "shop:app", "shop.add", "1", "--key", "k")
    assert first == {"id": first["id"], "state": "ready", "duplicate": False, "durability": "disk"}
    assert second == {"id": first["id"], "state": "ready", "duplicate": True, "durability": "disk"}
    status, _, errors = place.run("enqueue", "shop:app", "shop.add", "2", "--key", "k")
    assert status == 1
    assert len(errors.splitlines()) == 1


def test_waiting_prints_what_the_job_returned(place, worker):
    assert place.run("enqueue", "shop:app", "shop.add", "1", "2", "--wait")[:2] == (0, "3\n")
    view = place.json("enqueue", "shop:app", "shop.add", "1", "2", "--wait")
    assert (view["state"], view["result"]) == ("succeeded", 3)


def test_waiting_for_a_job_that_dies_is_status_1_with_the_reason(place):
    (place.path / "sour.py").write_text(
        "from penstock.tasks.app import Penstock\nfrom penstock.tasks.retry import Retry\napp = Penstock()\n\n"
        "@app.task(retry=Retry(max_attempts=1))\ndef fail() -> None:\n    raise ValueError('sour')\n"
    )
    other = place.start("worker", "sour:app", "--executors", "1")
    try:
        status, output, errors = place.run("enqueue", "sour:app", "sour.fail", "--queue", "other", "--wait")
    finally:
        other.terminate()
        other.communicate(timeout=60)
    assert (status, output) == (1, "")
    assert "ValueError: sour" in errors


def test_waiting_too_long_is_status_1(place):
    status, _, errors = place.run("enqueue", "shop:app", "shop.add", "1", "--timeout", "0.1")
    assert status == 1
    assert "still ready" in errors
    told = [UUID.search(line) for line in errors.splitlines()]
    assert len(told) == 2
    assert all(told)
    assert told[0][0] == told[1][0] == place.json("jobs")["jobs"][0]["id"]


def test_a_waiting_job_can_be_cancelled_retried_and_deleted(place):
    job = place.json("enqueue", "shop:app", "shop.add", "1", "--delay", "3600")["id"]
    assert place.json("job", job)["state"] == "scheduled"
    assert place.json("job", job, "cancel")["state"] == "cancelled"
    assert place.json("job", job, "retry")["state"] == "ready"
    assert place.run("job", job, "retry")[0] == 1
    assert place.json("job", job, "delete") == {"id": job, "deleted": True}
    assert place.run("job", job)[0] == 1
    assert place.run("job", job, "cancel")[0] == 1


def test_jobs_filters_and_goes_on_with_the_cursor(place):
    ids = [place.json("enqueue", "shop:app", "shop.add", str(number))["id"] for number in range(3)]
    place.run("enqueue", "shop:app", "shop.refuse", '"no"')
    first = place.json("jobs", "--queue", "default", "--limit", "2")
    second = place.json("jobs", "--queue", "default", "--limit", "2", "--cursor", str(first["cursor"]))
    assert [view["id"] for view in first["jobs"] + second["jobs"]] == ids[::-1]
    assert second["cursor"] is None
    assert len(place.json("jobs", "--task", "shop.refuse")["jobs"]) == 1
    assert place.json("jobs", "--state", "dead")["jobs"] == []
    assert "shop.refuse" in place.run("jobs")[1]


def test_jobs_are_found_by_key_error_time_and_argument(place):
    keyed = place.json("enqueue", "shop:app", "shop.add", "1", "--key", "k")["id"]
    late = place.json("enqueue", "shop:app", "shop.add", "1", "--delay", "60")["id"]
    assert [view["id"] for view in place.json("jobs", "--key", "k")["jobs"]] == [keyed]
    assert [view["id"] for view in place.json("jobs", "--since", "1h", "--state", "scheduled")["jobs"]] == [late]
    assert place.json("jobs", "--until", "1h")["jobs"] == place.json("jobs", "--error", "ValueError")["jobs"] == []
    for wrong in (["--since", "yesterday"], ["--arg", "order"], ["--arg", "a=1", "--arg", "a=2"], ["--state", "done"]):
        assert place.run("jobs", *wrong)[0] == 2
    status, _, told = place.run("jobs", "--arg", "order=7")
    assert status == 2
    assert "searchable" in told


def test_dead_counts_by_task_and_error(place):
    place.json("enqueue", "shop:app", "shop.add", "1")
    assert place.json("dead") == {"kinds": [], "others": 0}
    assert "No jobs are dead" in place.run("dead")[1]


def test_stats_counts_by_queue(place):
    place.run("enqueue", "shop:app", "shop.add", "1")
    place.run("enqueue", "shop:app", "shop.refuse", '"no"', "--delay", "60")
    stats = place.json("stats")
    assert stats["processes"] == []
    assert (stats["queues"]["default"]["ready"], stats["queues"]["sour"]["scheduled"]) == (1, 1)
    assert stats["queues"]["sour"]["accepted_total"] == 1
    assert (stats["totals"]["accepted_total"], stats["cursor"]) == (2, None)
    first = place.json("stats", "--limit", "1")
    second = place.json("stats", "--limit", "1", "--cursor", first["cursor"])
    assert (list(first["queues"]), list(second["queues"])) == (["default"], ["sour"])
    page = place.run("stats", "--limit", "1")[1]
    assert "all 2" in page
    assert f"--cursor {first['cursor']}" in page
    assert place.run("stats", "--cursor", "none")[0] == 2
    table = place.run("stats")[1]
    assert "default" in table
    assert "sour" in table


def test_workers_record_their_tasks(place, worker):
    place.run("enqueue", "shop:app", "shop.add", "1", "--wait")
    assert [task["name"] for task in place.json("tasks")["tasks"]] == [
        "shop.add",
        "shop.pause",
        "shop.refuse",
        "shop.who",
    ]
    assert "shop.refuse" in place.run("tasks")[1]


def test_a_directory_that_cannot_hold_a_store_is_status_3(place):
    (place.path / "jobs").write_text("in the way")
    status, _, errors = place.run("enqueue", "shop:app", "shop.add", "1")
    assert status == 3
    assert len(errors.splitlines()) == 1


PLACES = [
    "owner.sock",
    "owner.lock",
    "owner.log",
    "penstock.db",
    "penstock.db-redo",
    "format",
    "reserve",
    "processes.json",
]


@pytest.mark.parametrize(
    "command", ["enqueue shop:app shop.add 1", "up shop:app --gate 127.0.0.1:0", "worker shop:app", "jobs"]
)
@pytest.mark.parametrize("name", PLACES)
def test_what_lies_in_the_place_of_a_store_s_file_is_told_at_once(place, name, command):
    place.store.mkdir(mode=0o700)
    (place.store / "penstock.db").touch(0o600)
    (place.store / name).unlink(missing_ok=True)
    (place.store / name).mkdir()
    status, output, errors = place.run(*command.split())
    assert (status, output) == (3, "")
    assert len(errors.splitlines()) == 1
    assert errors.startswith("penstock: ")
    assert name in errors
    assert "unexpected" not in errors
    if not (place.store / "owner.log").is_file() or not (place.store / "owner.log").stat().st_size:
        assert "see " not in errors


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_an_interrupted_command_is_status_130(place):
    job = place.json("enqueue", "shop:app", "shop.add", "1")["id"]
    process = place.start("job", job, "--wait")
    until(lambda: _has_connected(process.pid))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_whoever_stops_waiting_for_a_new_job_knows_its_id(place):
    process = place.start("enqueue", "shop:app", "shop.add", "1", "--wait")
    told = UUID.search(process.stderr.readline())
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, ""), errors
    assert place.json("job", told[0])["state"] == "ready"


def _has_connected(pid: int) -> bool:
    """Its standard streams are pipes, so a socket is its connection to the owner."""
    folder = Path(f"/proc/{pid}/fd")
    try:
        return any(os.readlink(entry).startswith("socket:") for entry in folder.iterdir())
    except OSError:
        return False


def test_messages_are_published_and_topics_are_made_shown_and_deleted(place):
    assert place.run("enqueue", "shop:app", "shop.add", "1")[0] == 0
    assert "No topics yet" in place.run("topics")[1]
    kept = place.json("publish", "orders", "first")
    assert (kept["channels"], kept["duplicate"]) == (0, False)
    assert place.json("topics", "orders:all", "create")["channels"][0]["ready"] == 1
    status, output, _ = place.run("publish", "orders", "second", "--key", "jo", "--header", "a=b")
    assert (status, "(1 channel)" in output) == (0, True)
    for duplicate in (False, True):
        told = place.json("publish", "orders", "third", "--idempotency-key", "k")
        assert told["duplicate"] is duplicate
    shown = place.json("topics")["topics"]
    assert [(one["name"], one["messages_total"]) for one in shown] == [("orders", 3)]
    assert place.run("topics", "orders:none")[0] == 1
    assert "it has all" in place.run("topics", "orders:none", "delete")[2]
    for name in ("orders", "orders:all"):
        assert place.run("topics", name, "pause", "--note", "a deploy")[0] == 0
    assert "orders (paused)" in place.run("topics")[1]
    shown = place.json("topics", "orders", "resume")
    assert (shown["paused"], shown["channels"][0]["reason"]) == (False, "paused"), "the channel is paused by itself"
    assert place.json("topics", "orders:all", "resume")["channels"][0]["reason"] is None
    assert place.run("topics", "other", "pause")[0] == 1
    replay = place.json("topics", "orders:all", "replay", "--since", "2h", "--dry-run")
    assert (replay["verb"], replay["matched"], replay["oldest_at"]) == ("replay", 0, None)
    assert "there is a record" in place.run("topics", "orders:all", "replay")[1]
    assert "takes a channel" in place.run("topics", "orders", "replay")[2]
    assert place.run("topics", "orders", "delete")[:2] == (0, "Deleted.\n")
    for arguments in (
        ("topics", "orders:all", "--since", "2h"),
        ("topics", "orders:all", "create", "--dry-run"),
        ("topics", "orders", "resume", "--note", "x"),
        ("topics", "delete"),
        ("topics", "orders", "--limit", "3"),
        ("publish", "orders", "x", "--lines"),
    ):
        assert place.run(*arguments)[0] == 2


def test_limits_are_listed_set_and_restored(place, worker):
    until(lambda: place.run("tasks")[0] == 0 and place.json("tasks")["tasks"])
    assert place.json("limits") == {"limits": []}
    assert place.run("limits")[1] == "No limits.\n"
    [limit] = place.json("limits", "task:shop.add", "set", "--concurrency", "3")["limits"]
    assert (limit["scope"], limit["concurrency"], limit["source"]) == ("task:shop.add", 3, "live")
    status, output, _ = place.run("limits", "queue:sour", "set", "--rate", "5", "--per-s", "60")
    assert (status, "5 in 60 s" in output, "live" in output) == (0, True, True)
    assert [one["scope"] for one in place.json("limits")["limits"]] == ["queue:sour", "task:shop.add"]
    assert place.json("limits", "queue:sour", "restore") == {"limits": []}
    assert "task:shop.add" in place.run("limits", "task:shop.add")[1]


def test_a_limit_that_cannot_be_is_refused(place, worker):
    until(lambda: place.run("tasks")[0] == 0 and place.json("tasks")["tasks"])
    for arguments, words in (
        (["queue:none", "set", "--concurrency", "1"], "no queue 'none'"),
        (["task:shop.none", "set", "--concurrency", "1"], "shop.none"),
        (["task:shop.add", "set", "--concurrency", "0"], "write 1 to"),
        (["task:shop.add", "set", "--concurrency", "1", "--per", "a"], "do not tell 'a'"),
        (["task:shop.add", "set"], "Name a limit"),
        (["set"], "Name the scope first"),
        (["shop.add", "restore"], "queue:NAME or task:NAME"),
    ):
        status, _, errors = place.run("limits", *arguments)
        assert status in {1, 2}, arguments
        assert words in errors
    assert place.json("limits") == {"limits": []}
