"""What care of a store's file costs: a backup beside commits, a check, a compaction, the longest upgrade."""

from __future__ import annotations

import tarfile
import time
from pathlib import Path
from typing import Final

import apsw

from benchmarks.depth import FILL_S_MAX
from benchmarks.harness import Bench
from benchmarks.processes import Child
from benchmarks.record import Control, Measurement, percentile
from benchmarks.stock import TASK
from benchmarks.subjects import Subject
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import ROOT, Workspace
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.store.care.checking import check
from penstock.store.care.compacting import compact
from penstock.store.care.migrating import migrate
from penstock.store.directory import StoreDirectory

ABOUT = (
    "care of a store with a million jobs: a backup while one client enqueues one job after another, each synced; that "
    "client's delay beside it, its control being the same alone; a check, a compaction and an upgrade from schema 4, "
    "of a store that nobody serves"
)
_BODY: Final = b"m\x92\x90\x80" + bytes(200)
_OLD: Final = ROOT / "tests" / "golden" / "schema_4.tar.xz"
_MORE_OLD_JOBS: Final = """
INSERT INTO queue (id, name, arrival, ready, accepted_total) VALUES (99, 'many', :jobs, :jobs, :jobs);
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :jobs)
INSERT INTO job (seq, id, task, queue, order_key, checksum, body, run_at)
SELECT (1700000000000 << 21) + (n << 10), randomblob(16), 1, 99, (100 << 55) + n, :checksum, :body, 1.0 FROM numbers;
INSERT INTO ready SELECT queue, order_key, seq FROM job WHERE queue = 99;
"""
"""Jobs as version 4 keeps them. Their ids are not made from their numbers, which an upgrade does not look at."""


def steps(bench: Bench) -> int:
    return bench.scale.repeats


def run(bench: Bench, subject: Subject) -> None:
    """Measure. What is not Penstock has no file of ours."""
    if subject.name != "penstock":
        return

    def row(name: str, unit: str, control: Control | None = None) -> Measurement:
        return bench.add(Measurement("care", name, "penstock", unit, [], control))

    alone = Control("alone", "ms")
    backup, beside = row("backup beside commits", "s"), row("commit beside a backup, p99", "ms", alone)
    checked, compacted, upgraded = row("check", "s"), row("compaction", "s"), row("upgrade from schema 4", "s")
    jobs = bench.scale.looking_jobs
    for repeat in bench.repeats():
        with bench.workspace(f"care: {jobs:,} jobs, {repeat + 1}") as workspace:
            _fill(workspace, jobs)
            site = PenstockSite(workspace)
            site.start()
            before = [_commit(site) for _ in range(bench.scale.looking_commits)]
            began = time.perf_counter()
            child = workspace.python("penstock.cli", "store", "backup", str(workspace.path / "backup"))
            during = _commits_while(site, child)
            child.wait(FILL_S_MAX)
            backup.values.append(time.perf_counter() - began)
            site.stop()
            directory = StoreDirectory(workspace.store)
            checked.values.append(check(directory).seconds)
            compacted.values.append(compact(directory).seconds)
        alone.values.append(percentile(before, 99))
        beside.values.append(percentile(during, 99))
        beside.note = f"longest {max(during):.1f} ms, alone {max(before):.1f} ms"
        with bench.workspace(f"care: upgrade of {jobs:,} jobs, {repeat + 1}") as workspace:
            done = migrate(_old_store(workspace.store, jobs))
            upgraded.values.append(done.seconds)
            upgraded.note = f"to schema {done.target}; {done.needed_bytes / 1e6:,.0f} MB of free space asked for"


def _fill(workspace: Workspace, jobs: int) -> None:
    filler = workspace.python("benchmarks.stock", str(workspace.store), "--ready", str(jobs), talks=True)
    filler.line()
    filler.wait(FILL_S_MAX)


def _commit(site: PenstockSite) -> float:
    """How long one enqueue took, in milliseconds."""
    group = JobGroup(TASK, [JobEntry(new_id(), _BODY, checksum(_BODY))])
    before = time.perf_counter()
    site.client.enqueue([group])
    return (time.perf_counter() - before) * 1e3


def _commits_while(site: PenstockSite, child: Child) -> list[float]:
    """How long each enqueue took while a process was at work."""
    times = [_commit(site)]
    while child.running():
        times.append(_commit(site))
    return times


def _old_store(path: Path, jobs: int) -> StoreDirectory:
    """A store as version 4 left it, with many more jobs."""
    directory = StoreDirectory(path)
    directory.prepare()
    with tarfile.open(_OLD) as archive:
        archive.extractall(path, filter="data")
    connection = apsw.Connection(str(directory.database))
    with connection:
        connection.execute(_MORE_OLD_JOBS, {"jobs": jobs, "checksum": checksum(_BODY), "body": _BODY})
    connection.close()
    return directory
