"""Operators at work on real nodes: a pause that a running worker sees, an action that outlives its owner, the page."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from penstock.model.actions import ActionRequest, ActionState, Verb
from penstock.model.errors import QueueDraining
from penstock.model.ids import id_text, new_id, new_ids
from penstock.model.job import Filter, JobEntry, JobGroup, checksum
from penstock.model.states import State
from penstock.store.directory import StoreDirectory
from penstock.store.opening import open_store

from .conftest import until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "operators.md"
BODY = b"m\x92\x91\x01\x80"


def put(client, count, task="shop.add", **options):
    ids = new_ids(count)
    for start in range(0, count, 5_000):
        jobs = [JobEntry(one, BODY, checksum(BODY)) for one in ids[start : start + 5_000]]
        client.enqueue([JobGroup(task, jobs, **options)])
    return ids


def blocks_of(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_page_do_what_it_says(place):
    page = PAGE.read_text()
    (source,) = blocks_of(page, "python")
    (place.path / "orders.py").write_text(source)
    commands = "\n".join(blocks_of(page, "sh"))
    assert commands.count("penstock") >= 25
    place.run("enqueue", "orders:app", "orders.mail", "0", '"ann"')
    worker = place.start("worker", "orders:app", "--executors", "1")
    shell = f'set -eu\npenstock() {{ "{sys.executable}" -m penstock.cli "$@"; }}\n{commands}\n'
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", shell],
            cwd=place.path,
            env=place.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    finally:
        worker.terminate()
        worker.communicate(timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for words in (
        "the mail server is down",
        "paused by",
        "1 job would be retried.",
        "1 of 1 job retried.",
        "retried",
        "1 of 1 job moved.",
        "1 job would be deleted.",
        "1 of 1 job deleted.",
        "Removed.",
        "edit and retry",
        "addresses are mended",
    ):
        assert words in done.stdout, said
    assert [one["verb"] for one in place.json("audit")["entries"]].count("pause") == 2


def test_a_running_worker_sees_a_pause_at_once_and_what_was_leased_goes_on(place):
    open_store(place.store).close()
    worker = place.start("worker", "shop:app", "--executors", "1")
    client = open_store(place.store)
    try:
        until(lambda: client.tasks())
        gates = [place.path / f"gate-{number}" for number in range(2)]
        body = [b"m" + b"\x92\x91\xd9" + bytes([len(str(gate))]) + str(gate).encode() + b"\x80" for gate in gates]
        first, second = new_ids(2)
        client.enqueue([JobGroup("shop.pause", [JobEntry(first, body[0], checksum(body[0]))])])
        until(lambda: client.get([first])[0].state is State.RUNNING)
        client.pause(queue="default", by="ann", note="a deploy")
        client.enqueue([JobGroup("shop.pause", [JobEntry(second, body[1], checksum(body[1]))])])
        gates[1].touch()
        gates[0].touch()
        until(lambda: client.get([first])[0].state is State.SUCCEEDED)
        # Nothing can be waited for to prove that something does not happen: so other jobs go past it.
        others = put(client, 20, queue="other")
        until(lambda: all(view.state is State.SUCCEEDED for view in client.get(others)))
        view = client.get([second])[0]
        assert (view.state, view.reason) == (State.READY, "paused")
        client.resume(queue="default")
        until(lambda: client.get([second])[0].state is State.SUCCEEDED)
    finally:
        client.close()
        worker.terminate()
        worker.communicate(timeout=60)


def test_an_action_goes_on_through_the_death_of_its_owner(place):
    client = open_store(place.store)
    put(client, 8_000)
    action = client.start_action(ActionRequest(new_id(), Verb.CANCEL, Filter(state=State.READY)), by="ann")
    assert (action.state, action.matched) == (ActionState.RUNNING, 8_000)
    until(lambda: client.actions([action.id])[0].changed >= 2_000)
    owner = StoreDirectory(place.store).owner().pid
    os.kill(owner, signal.SIGKILL)
    done = until(lambda: next((one for one in client.actions([action.id]) if not one.is_under_way), None), 90.0)
    assert (done.state, done.changed) == (ActionState.DONE, 8_000)
    assert StoreDirectory(place.store).owner().pid != owner
    counts = client.totals().counts
    assert (counts.cancelled_total, counts.ready, counts.unaccounted()) == (8_000, 0, 0)
    (entry,) = client.audit().entries
    assert (entry.by, entry.verb, entry.count) == ("ann", "cancel", 8_000)
    client.close()


class Gate:
    """A gate beside a store."""

    def __init__(self, place):
        self.process = place.start("gate", "shop:app", "--gate", "127.0.0.1:0")
        line = self.process.stderr.readline()
        while "listening on" not in line:
            assert line, "the gate ended"
            line = self.process.stderr.readline()
        self.address = re.search(r"http://[\d.:]+", line)[0]

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.address}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=60)


@pytest.fixture
def gate(place):
    open_store(place.store).close()
    made = Gate(place)
    yield made
    made.stop()


def test_what_one_process_holds_every_other_sees(place, gate):
    client = open_store(place.store)
    put(client, 3, queue="images")
    assert gate.ask("POST", "/v1/queues/images/drain", {"note": "moving"})[0] == 200
    with pytest.raises(QueueDraining, match="moving"):
        put(client, 1, queue="images")
    status, problem = gate.ask("POST", "/v1/jobs", {"task": "shop.add", "args": [1], "queue": "images"})
    assert (status, problem["code"]) == (503, "queue-draining")
    (view,) = place.json("queues")["queues"]
    assert (view["name"], view["draining"]["by"], view["draining"]["note"]) == ("images", "local", "moving")
    status, output, errors = place.run("queues", "images", "resume")
    assert (status, "held" in output) == (0, True), errors
    assert gate.ask("POST", "/v1/jobs", {"task": "shop.add", "args": [1], "queue": "images"})[0] == 202
    client.close()


def test_an_action_over_http_is_counted_watched_and_done(place, gate):
    client = open_store(place.store)
    put(client, 5_000)
    wanted = {"verb": "delete", "where": {"state": "ready"}, "dry_run": True}
    status, counted = gate.ask("POST", "/v1/actions", wanted)
    assert (status, counted["matched"], counted["state"]) == (202, 5_000, "done")
    _, action = gate.ask("POST", "/v1/actions", wanted | {"dry_run": False})
    done = until(lambda: (one := gate.ask("GET", f"/v1/actions/{action['id']}")[1])["state"] == "done" and one)
    assert (done["matched"], done["changed"]) == (5_000, 5_000)
    assert client.totals().counts.ready == 0
    client.close()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["queues", "imagse"], 1, "Did you mean 'images'"),
        (["queues", "imagse", "pause"], 1, "Did you mean 'images'"),
        (["queues", "pause"], 2, "Name the queue first"),
        (["queues", "images", "stop"], 2, "pause"),
        (["queues", "images", "remove"], 1, "is not empty"),
        (["queues", "images", "pause", "--dry-run"], 2, "--dry-run goes with empty"),
        (["queues", "images", "--note", "x"], 2, "--note goes with empty, drain or pause"),
        (["queues", "no name", "pause"], 2, "no name for a queue"),
        (["queues", "images", "--limit", "3"], 2, "go with the list"),
        (["tasks", "shop.nothing", "pause"], 1, "penstock tasks"),
        (["tasks", "shop.add"], 2, "Say what to do"),
        (["dead", "--error", "ValueError"], 2, "Say what to do"),
        (["dead", "retry", id_text(new_id()), "--error", "E"], 2, "not both"),
        (["dead", "retry", id_text(new_id())], 1, ""),
        (["dead", "retry", "nonsense"], 2, "not a job's id"),
        (["dead", "delete", id_text(new_id()), "--kwargs", "{}"], 2, "for one job"),
        (["dead", "retry", "--app", "shop:app"], 2, "--app goes with"),
        (["actions", "kill", "--queue", "images"], 2, "retry|cancel|delete|move"),
        (["actions", "kill"], 2, "neither retry, cancel"),
        (["actions", "retry"], 2, "`where` is empty"),
        (["actions", "retry", "--state", "ready"], 2, "dead, cancelled or expired"),
        (["actions", "retry", "--state", "failed"], 2, "dead"),
        (["actions", "move", "--queue", "images"], 2, "needs `to`"),
        (["actions", "move", "--state", "ready", "--to", "orders:archive"], 1, "no topic 'orders'"),
        (["actions", "move", "--queue", "images", "--to", "orders:archive"], 2, "publish it to the topic"),
        (["actions", "cancel", "--queue", "image"], 1, "Did you mean 'images'"),
        (["actions", "cancel", "--queue", "images", "--per-s", "0"], 2, "per_s"),
        (["actions", "cancel", "stop"], 2, "stop goes with"),
        (["actions", id_text(new_id())], 1, "no action"),
        (["audit", "--cursor", "x"], 2, "cursor"),
        (["job", id_text(new_id()), "cancel", "--args", "[]"], 2, "go with retry"),
    ],
)
def test_a_mistake_says_what_to_write_instead(shelf, arguments, status, words):
    ended, output, errors = shelf.run(*arguments)
    assert ended == status, output + errors
    assert words in output + errors
    assert "Traceback" not in errors
    assert "unexpected" not in errors


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A store with a queue, for commands that change nothing."""
    from .conftest import Place

    where = Place(tmp_path_factory.mktemp("shelf"))
    status, _, errors = where.run("enqueue", "shop:app", "shop.add", "1", "--queue", "images")
    assert status == 0, errors
    return where


def test_single_jobs_by_hand(place):
    client = open_store(place.store)
    (late,) = put(client, 1, delay_s=600.0)
    status, output, errors = place.run("job", id_text(late), "run-now")
    assert (status, "ready" in output) == (0, True), errors
    assert place.run("job", id_text(late), "cancel")[0] == 0
    assert place.run("job", id_text(late), "run-now")[0] == 1
    view = place.json("job", id_text(late), "retry", "--args", "[5]", "--app", "shop:app")
    assert view["state"] == "ready"
    assert client.get([late], body=True)[0].body == b"j[[5],{}]"
    place.run("job", id_text(late), "cancel")
    for wrong in (["--args", "[true, 2, 3]"], ["--args", "5"], ["--kwargs", "[]"], ["--app", "shop:app"]):
        status, output, errors = place.run("job", id_text(late), "retry", *wrong, *["--app", "shop:app"][: len(wrong)])
        assert status == 2, output + errors
    assert [entry.verb for entry in client.audit().entries] == ["cancel", "edit and retry", "cancel", "edit"]
    client.close()
