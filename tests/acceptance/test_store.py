"""`penstock store` on real stores: backups under load and through deaths, what the how-to page shows, misuse."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from penstock.model.ids import new_ids
from penstock.model.job import Filter, JobEntry, JobGroup, checksum
from penstock.store.directory import StoreDirectory
from penstock.store.opening import open_store
from tests.acceptance.conftest import until

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "howto" / "care.md"
BODY = b"m\x92\x90\x80" + bytes(2_000)


def group(count):
    ids = new_ids(count)
    return ids, [JobGroup("app.work", [JobEntry(one, BODY, checksum(BODY)) for one in ids])]


class Load:
    """Threads that enqueue until they are stopped. ``acked``: the ids that were acknowledged."""

    def __init__(self, url, threads=3):
        self.acked = set()
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _work(self):
        client = open_store(self._url)
        while not self._stop.is_set():
            ids, groups = group(5)
            client.enqueue(groups)
            self.acked.update(ids)
        client.close()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def ids_in(place):
    """The ids in a store."""
    client = open_store(place)
    found, cursor = set(), None
    while True:
        page = client.query(Filter(), cursor=cursor, limit=1_000)
        found.update(view.id for view in page.jobs)
        cursor = page.cursor
        if cursor is None:
            client.close()
            return found


def owner_pid(place):
    return StoreDirectory(place).owner().pid


def kill_owner(place):
    with suppress(ProcessLookupError):
        os.kill(owner_pid(place), signal.SIGKILL)


def test_a_backup_under_load_has_all_that_was_acknowledged_before_it(place, tmp_path):
    """The owner is killed half-way; the backup is begun anew with the next one."""
    load = Load(place.store)
    try:
        with_much = open_store(place.store)
        for _ in range(8):
            with_much.enqueue(group(2_000)[1])
        with_much.close()
        for number in range(5):
            before, target = set(load.acked), tmp_path / f"backup-{number}"
            if backed_up_over_a_death(place, target) > 1:
                break
        else:
            pytest.fail("the owner was never killed half-way")
        later = set(load.acked)
    finally:
        load.stop()
    assert len(later) > len(before) > 0
    restored = tmp_path / "restored"
    shutil.copytree(target, restored)
    found = place.json("store", "check", "--url", str(restored))
    assert found["ok"], found
    assert before <= ids_in(restored)
    found = place.json("store", "check")
    assert found["ok"], found
    assert later <= ids_in(place.store)


def backed_up_over_a_death(place, target):
    """Make a backup, and kill the owner while it is made. Answers how often it was begun."""
    unfinished = target.with_name(f"{target.name}.unfinished") / "penstock.db-copy.unfinished"
    backup = place.start("store", "backup", str(target), "--json")
    until(lambda: (unfinished.exists() and unfinished.stat().st_size > 1_000_000) or backup.poll() is not None)
    kill_owner(place.store)
    output, errors = backup.communicate(timeout=90)
    assert backup.returncode == 0, errors
    return json.loads(output)["beginnings"]


@pytest.mark.parametrize("killed", ["command", "both"])
def test_a_backup_that_is_killed_half_way_leaves_nothing_that_looks_whole(place, tmp_path, killed):
    ids, groups = group(2_000)
    client = open_store(place.store)
    for _ in range(10):
        client.enqueue(group(2_000)[1])
    client.enqueue(groups)
    target, unfinished = tmp_path / "backup", tmp_path / "backup.unfinished"
    backup = place.start("store", "backup", str(target))
    until(lambda: (unfinished / "penstock.db-copy.unfinished").exists() or backup.poll() is not None)
    if killed == "both":
        kill_owner(place.store)
    backup.kill()
    backup.communicate()
    if not target.exists():
        # It was killed in time, as it is on most machines.
        status, _, errors = place.run("stats", "--url", str(target))
        assert (status, "no store" in errors) == (3, True), errors
        status, _, errors = place.run("enqueue", "shop:app", "shop.add", "1", PENSTOCK_URL=str(unfinished))
        assert (status, "cut off" in errors) == (3, True), errors
        # A copy that the owner was asked for by a process that is gone does not hold up the next of that name.
        assert place.run("store", "backup", str(target))[0] == 0
    client.close()
    assert {*ids} <= ids_in(target)


def test_a_store_of_an_old_schema_is_upgraded_while_clients_come(place):
    """Several start an owner at once; one upgrades, and all are served."""
    place.store.mkdir(mode=0o700)
    with tarfile.open(ROOT / "tests" / "golden" / "schema_4.tar.xz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.3 has none
        archive.extractall(place.store)
    contents = place.store / "contents.json"
    jobs = {bytes.fromhex(one): name for one, name in json.loads(contents.read_text())["jobs"].items()}
    contents.unlink()
    load = Load(place.store, threads=6)
    until(lambda: len(load.acked) > 300)
    load.stop()
    found = place.json("store", "check")
    assert (found["ok"], found["is_whole"]) == (True, True), found
    there = ids_in(place.store)
    assert load.acked <= there
    assert {one for one, name in jobs.items() if name.startswith(("ready", "scheduled", "deferred"))} <= there
    assert place.json("store", "migrate", "--dry-run")["steps"] == []


def test_what_the_page_shows_can_be_done(place):
    """Every command of the page, in its order, in a directory with a store."""
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL))
    assert commands.count("penstock") >= 8
    environment = {name: value for name, value in place.environment.items() if name != "PENSTOCK_URL"}
    place.run("enqueue", "shop:app", "shop.add", "1", PENSTOCK_URL=str(place.path / "penstock-data"))
    shell = f'set -eu\npenstock() {{ "{sys.executable}" -m penstock.cli "$@"; }}\n{commands}\n'
    done = subprocess.run(
        ["/bin/sh", "-c", shell],
        cwd=place.path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing is wrong" in done.stdout
    assert "The store has schema version" in done.stdout
    assert (place.path / "backups" / "monday" / "penstock.db").exists()


def test_a_check_that_finds_something_says_so_and_ends_with_1(place):
    place.run("enqueue", "shop:app", "shop.add", "1")
    kill_owner(place.store)
    lock = StoreDirectory(place.store).open_lock()
    until(lock.take)
    connection = apsw.Connection(str(place.store / "penstock.db"))
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.execute("UPDATE job SET checksum = 1")
    connection.close()
    lock.release()
    status, output, _ = place.run("store", "check")
    assert status == 1
    assert "! body-damaged: " in output
    status, output, _ = place.run("store", "check", "--json")
    assert (status, json.loads(output)["findings"][0]["name"]) == (1, "body-damaged")


@pytest.mark.parametrize("command", ["check", "stats", "compact", "migrate"])
def test_without_a_store_there_is_nothing_to_care_for(place, command):
    status, output, errors = place.run("store", command)
    assert (status, output) == (3, "")
    assert "There is no store in" in errors
    assert not place.store.exists()


def test_misuse_is_told_what_to_do_instead(place, tmp_path):
    place.run("enqueue", "shop:app", "shop.add", "1")
    status, _, errors = place.run("store", "backup", str(tmp_path))
    assert status == 2
    assert "name a directory that is not" in errors
    status, _, errors = place.run("store", "backup")
    assert status == 2
    status, _, errors = place.run("store", "check", "--scratch", str(tmp_path / "none"))
    assert status == 2
    status, output, errors = place.run("store", "mend")
    assert (status, output) == (2, "")


def test_a_node_is_not_stopped_for_a_compaction(place):
    node = place.start("up", "shop:app", "--gate", "127.0.0.1:0", "--executors", "1")
    try:
        assert node.stdout.readline().startswith("Penstock runs")
        status, _, errors = place.run("store", "compact")
        assert status == 1
        assert "stop it first" in errors
        assert place.json("store", "check")["is_copy"]
        told = place.json("store", "stats")
        assert told["rows"]["task"] > 0
        _, text, _ = place.run("store", "stats")
        assert f"{told['pages']:,}, of them" in text, (
            "while a node runs most of them may be in the log, not in the file"
        )
    finally:
        node.terminate()
        node.communicate(timeout=60)


def test_programs_get_the_members_that_the_page_names(place):
    place.run("enqueue", "shop:app", "shop.add", "1")
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text().partition("## For programs")[2], flags=re.MULTILINE)
    assert len(table) == 5
    for command, members in table:
        # What stands in brackets says what is in a member.
        named = set(re.findall(r"`(\w+)`", re.sub(r"\[.*?\]|\{.*?\}|\(.*?\)", "", members)))
        extra = [str(place.path / "backup")] if command == "backup" else []
        assert set(place.json("store", command, *extra)) == named, command
