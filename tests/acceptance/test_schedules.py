"""Schedules on real nodes: the page, the command line, and owners that die at a slot."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock.model import limits
from penstock.model.entry import JobEntry, JobGroup
from penstock.model.job import Filter, checksum
from penstock.model.schedules import Missed, RunState, Schedule
from penstock.store.directory import StoreDirectory
from penstock.store.opening import open_store

from .conftest import until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "schedules.md"
BODY = b"m\x92\x91\x01\x80"


def job(task="shop.add"):
    return JobGroup(task, [JobEntry(bytes(16), BODY, checksum(BODY))])


def blocks_of(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def test_the_page_does_what_it_says(place):
    page = PAGE.read_text()
    source, trial = blocks_of(page, "python")
    (place.path / "reports.py").write_text(source)
    names = {}
    exec(compile(source.replace("Penstock()", f"Penstock({str(place.store)!r})") + trial, "page", "exec"), names)
    names["test_the_report_comes_once_a_night"]()
    commands = "\n".join(blocks_of(page, "sh"))
    assert commands.count("penstock") >= 12
    worker = place.start("worker", "reports:app", "--executors", "1")
    try:
        until(lambda: (place.store / "penstock.db").exists() and len(place.json("schedules")["schedules"]) == 2)
        shell = f'set -eu\npenstock() {{ "{sys.executable}" -m penstock.cli "$@"; }}\n{commands}\n'
        done = subprocess.run(
            ["/bin/sh", "-c", shell],
            cwd=place.path,
            env=place.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        for words in (
            "30 2 * * * Europe/Paris",
            "every 60.0 min",
            "Paused.",
            "Started 3 runs.",
            "backfill",
            "Removed.",
            "changed by hand (reports:app declares another)",
            "It is again as its application declares it.",
        ):
            assert words in said, said
        status, _, errors = place.run("schedules", "nightly-report", "remove")
        assert (status, "declared by reports:app" in errors) == (1, True)
        runs = until(lambda: _all_ended(place))
        assert {run["state"] for run in runs} == {"succeeded"}
        verbs = [entry["verb"] for entry in place.json("audit")["entries"]]
        assert {"run", "pause", "resume", "backfill", "schedule", "remove", "restore"} <= set(verbs)
    finally:
        worker.terminate()
        worker.communicate(timeout=60)


def _all_ended(place):
    runs = place.json("schedules", "nightly-report", "runs")["runs"]
    return runs if all(run["ended_at"] for run in runs) else None


def test_one_that_left_the_code_is_shown_as_such(place):
    declared = 'app.schedule("s", add.s(1), every_s=3_600)\n'
    shop = (place.path / "shop.py").read_text()
    for source, left in ((shop + declared, False), (shop, True), (shop + declared, False)):
        (place.path / "shop.py").write_text(source)
        worker = place.start("worker", "shop:app", "--executors", "1")
        try:
            until(lambda left=left: (place.store / "penstock.db").exists() and _has_left(place) == left)
        finally:
            worker.terminate()
            worker.communicate(timeout=60)


def _has_left(place):
    shown = place.json("schedules")["schedules"]
    return not shown[0]["declared"] if shown else None


def test_a_mistake_says_what_to_write_instead(place):
    place.run("enqueue", "shop:app", "shop.add", "1")
    for arguments, status, words in (
        (["run"], 2, "penstock schedules NAME run"),
        (["s", "run", "--cron", "* * * * *"], 2, "goes with add"),
        (["s", "add", "shop:app"], 2, "APP TASK"),
        (["s", "add", "shop:app", "shop.add", "1"], 2, "one of cron, every_s and at"),
        (["s", "add", "shop:app", "shop.add", '"x"', "--every", "60"], 2, "a"),
        (["s", "add", "shop:app", "shop.sub", "--every", "60"], 1, "There is no task 'shop.sub'"),
        (["s", "add", "shop:app", "shop.add", "1", "--cron", "nightly"], 2, "five fields"),
        (["s", "backfill"], 2, "--since"),
        (["s", "pause", "--since", "1h"], 2, "go with backfill"),
        (["s", "--limit", "5"], 2, "--limit"),
        (["s"], 1, "There is no schedule 's'"),
        (["s", "run"], 1, "There is no schedule 's'"),
    ):
        found, _, errors = place.run("schedules", *arguments)
        assert (found, words in errors) == (status, True), (arguments, errors)


# --- owners that die ------------------------------------------------------------------------------------------------
def jobs_of(client):
    page = client.query(Filter(task="shop.add"), limit=500)
    return [view for view in page.jobs if (view.headers or {}).get("schedule")]


def test_an_owner_killed_around_its_slots_fires_each_once(place):
    """An owner is killed again and again, also in the moment in which a slot fires. Clients start the next one."""
    store = str(place.store)
    client = open_store(store)
    directory = StoreDirectory(store)
    try:
        client.put_schedule(Schedule("s", call=job(), every_s=1.0, missed=Missed.ALL, missed_max=1_000))
        made_at = client.schedule("s").made_at
        for offset_s in (-0.004, 0.0, 0.004, -0.002, 0.001, 0.002):
            # Just before a slot, at it, and just after.
            moment = made_at + int(time.time() - made_at) + 1 + offset_s
            while time.time() < moment:
                time.sleep(0.0005)
            os.kill(directory.owner().pid, signal.SIGKILL)
            client.stats()
        earliest = int(time.time() - made_at)
        until(lambda: sum(entries_of(client)) >= earliest)
        client.pause_schedule("s")
        latest = int(time.time() - made_at)
        slots = [view.headers["slot"] for view in jobs_of(client)]
        assert len(slots) == len(set(slots)), "no slot has two jobs"
        started = [run for run in client.schedule_runs("s", limit=500).runs if run.state is RunState.STARTED]
        assert sorted(view.id for view in jobs_of(client)) == sorted(run.id for run in started)
        assert earliest <= sum(entries_of(client)) <= latest, "each slot has its entry"
    finally:
        client.close()


def entries_of(client):
    """Of each entry of the history: of how many slots it is."""
    runs = client.schedule_runs("s", limit=500).runs
    return [1 if run.until is None else round(run.until - run.slot) + 1 for run in runs]


@pytest.mark.slow
def test_every_node_dead_at_the_slot(place):
    """What the schedule says of missed slots is applied at the next start."""
    client = open_store(str(place.store))
    try:
        at = time.time() + 1.5
        for missed in Missed:
            client.put_schedule(Schedule(missed.value, call=job(), at=at, missed=missed))
        owner = StoreDirectory(str(place.store)).owner().pid
        os.kill(owner, signal.SIGKILL)
    finally:
        client.close()
    until(lambda: time.time() > at + limits.SCHEDULE_LATE_S + 0.5)
    client = open_store(str(place.store))
    try:
        until(lambda: all(client.schedule(missed.value).latest for missed in Missed))
        states = {missed.value: [run.state for run in client.schedule_runs(missed.value).runs] for missed in Missed}
        assert states == {"none": [RunState.SKIPPED], "last": [RunState.STARTED], "all": [RunState.STARTED]}
        assert len(jobs_of(client)) == 2
    finally:
        client.close()


def test_a_slot_is_fired_and_run_by_a_node(place, node):
    """From the declaration in the code to the result, without a client that asks."""
    (place.path / "shop.py").write_text(
        (place.path / "shop.py").read_text() + 'app.schedule("s", add.s(1), every_s=1)\n'
    )
    running = node("--executors", "1")
    running.wait_ready()
    shown = until(lambda: _latest_succeeded(running))
    assert shown["declared_by"] == "shop:app"
    status, job_shown = running.get(f"/v1/jobs/{shown['latest']['job']}")
    assert (status, job_shown["task"], job_shown["state"]) == (200, "shop.add", "succeeded")


def _latest_succeeded(running):
    status, shown = running.get("/v1/schedules/s")
    latest = shown.get("latest") if status == 200 else None
    return shown if latest and latest["state"] == "succeeded" else None


def test_json_of_the_command_line_is_that_of_http(place, node):
    running = node("--executors", "1")
    running.wait_ready()
    place.run("schedules", "s", "add", "shop:app", "shop.add", "1", "--every", "3600")
    shown = place.json("schedules", "s")
    _, over_http = running.get("/v1/schedules/s")
    assert {name: shown[name] for name in over_http} == over_http
    assert place.json("schedules") == running.get("/v1/schedules")[1]
