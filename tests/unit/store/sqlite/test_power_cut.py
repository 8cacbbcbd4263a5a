"""The power goes at any moment: whatever was acknowledged is there when the store is opened again, and nothing half."""

import itertools
import random
import shutil

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.flow import QueueRecord, RateRule, Retention, TaskFlow, UniqueRule
from penstock.model.job import Buried, Outcomes, Retried, TaskRecord
from penstock.model.states import State
from penstock.store.sqlite import database
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.keyed import keyed, per_tenant
from penstock.testing.conformance.kit import ERROR, HOLDER, entry, group, put, settle, states, succeeded, take
from penstock.testing.conformance.unique import REPLACE, unique
from penstock.testing.conformance.unique import one as one_unique

WAL_HEADER_BYTES = 32
FRAME_BYTES = 24 + 4096


class Story:
    """A store at work, and the state of each job as it was acknowledged last. ``after`` is called after each call."""

    def __init__(self, store, clock):
        self.store = store
        self.clock = clock
        self.known = {}
        self.keyed = []
        self.slotted = []
        self.steps = 0
        self.after = lambda: None
        rules = (per_tenant(2, order="fifo"), RateRule(2, 2.0, burst=4, per="tenant"))
        store.register_tasks(
            [TaskRecord("app.slotted", flow=TaskFlow(limits=rules))],
            [QueueRecord("keyed", retention=Retention(records=1, dead=0, size_bytes=7_000))],
        )

    def told(self):
        """What must be true of the disk now."""
        return dict(self.known)

    def step(self):
        """One call, of each kind in turn."""
        kinds = (self.put, self.key, self.unique, self.lease, self.succeed, self.unique, self.delay, self.fail)
        kinds += (self.slots, self.replace, self.forget, self.end, self.tick, self.revive)
        kinds[self.steps % len(kinds)]()
        self.steps += 1

    def note(self, ids):
        # What becomes of one job of a key lets others have its slot.
        ids = [*ids, *self.slotted]
        for job_id, state in zip(ids, states(self.store, ids), strict=True):
            self.known[job_id] = state
        self.after()

    def take(self, limit):
        held = take(self.store, limit)
        self.note([one.job.id for one in held])
        return held

    def put(self):
        self.note(put(self.store, 3))

    def key(self):
        one = replace(entry(b"m" + bytes(3_000), key=f"key-{self.steps}"), searchable={"order": str(self.steps % 3)})
        self.store.enqueue([group(one, queue="keyed")])
        self.note([one.id])

    def slots(self):
        """Jobs of two keys, more than may run."""
        jobs = [keyed({"tenant": tenant}) for tenant in ("a", "a", "b")]
        self.store.enqueue([group(*jobs, task="app.slotted", priority=1)])
        self.slotted += [job.id for job in jobs]
        self.note([])

    def unique(self):
        """Two jobs with keys, one of which is new now and then; its key counts past its record."""
        jobs = [one_unique("same"), one_unique(f"{self.steps}")]
        rule = UniqueRule(period_s=1e6, states=(*UniqueRule().states, State.SUCCEEDED))
        self.store.enqueue([unique(jobs[0]), unique(jobs[1], rule=rule)])
        self.keyed += [job.id for job in jobs]
        self.note([job.id for job in jobs])

    def replace(self):
        """A job that waits has other arguments, or a new one waits because that one runs."""
        job = one_unique("same", b"m" + bytes(2_000))
        self.store.enqueue([unique(job, rule=REPLACE, delay_s=2.0)])
        self.keyed.append(job.id)
        self.note(list(self.known))

    def end(self):
        """Jobs with keys are cancelled and thrown away."""
        self.store.cancel(self.keyed[:2])
        self.store.delete(self.keyed[2:3])
        self.note([*self.keyed, *self.known])

    def revive(self):
        """Those that may run again do, unless their key is taken."""
        self.store.revive(self.keyed)
        self.note([*self.keyed, *self.known])

    def delay(self):
        self.note(put(self.store, 2, delay_s=5.0))

    def lease(self):
        self.take(3)

    def tick(self):
        self.clock.advance(1.0)
        self.store.tick()
        self.note(list(self.known))

    def succeed(self):
        for one in self.take(1):
            settle(self.store, succeeded=[succeeded(one.fence, self.clock, b"m\x01")])
            self.note([one.job.id])

    def fail(self):
        for place, one in enumerate(self.take(2)):
            error = [Retried(one.fence, 1.0, ERROR)] if place else []
            self.store.settle(Outcomes(HOLDER, retried=error, buried=[] if place else [Buried(one.fence, ERROR)]))
            self.note([one.job.id])

    def forget(self):
        for one in self.take(1):
            settle(self.store, forgotten=[one.fence])
            self.note([one.job.id])


def recovered(directory, clock, audit, known, *, or_known=None):
    """Open what is left in a directory: every acknowledged job is as it was acknowledged, or as the call in flight
    would have made it."""
    store = SqliteStore(directory / "penstock.db", clock=clock)
    found = dict(zip(known, states(store, list(known)), strict=True))
    wrong = {
        job_id.hex(): (found[job_id], state)
        for job_id, state in known.items()
        if found[job_id] not in {state, (or_known or known).get(job_id, state)}
    }
    assert wrong == {}
    audit(store)
    put(store)
    audit(store)
    store.close()


@pytest.fixture
def short_log(monkeypatch):
    """It is brought into the database often."""
    monkeypatch.setattr(database, "WAL_PAGES", 20)


def copied(path, into):
    into.mkdir()
    for file in path.parent.iterdir():
        shutil.copy(file, into / file.name)
    return into


@pytest.mark.usefixtures("short_log")
def test_a_copy_at_every_commit_has_what_was_acknowledged(path, clock, tmp_path, audit):
    store = SqliteStore(path, clock=clock)
    story = Story(store, clock)
    numbers = itertools.count()
    story.after = lambda: recovered(copied(path, tmp_path / str(next(numbers))), clock, audit, story.told())
    for _ in range(40):
        story.step()
    store.close()
    assert next(numbers) > 40


def test_a_log_cut_off_at_every_frame_has_the_commits_before_it(path, clock, tmp_path, audit):
    store = SqliteStore(path, clock=clock)
    log = path.with_name("penstock.db-wal")
    story = Story(store, clock)
    connection = store.database.connection
    connection.wal_checkpoint(mode=3)  # truncate: the log starts anew
    commits = [(0, {})]
    story.after = lambda: commits.append((log.stat().st_size, story.told()))
    for _ in range(16):
        story.step()
    copied(path, tmp_path / "whole")
    store.close()
    sizes = [
        WAL_HEADER_BYTES + frame * FRAME_BYTES + extra
        for frame in range((commits[-1][0] - WAL_HEADER_BYTES) // FRAME_BYTES)
        for extra in (0, 24, FRAME_BYTES // 2)
    ]
    for size in [*sizes, commits[-1][0]]:
        directory = copied(tmp_path / "whole" / "penstock.db", tmp_path / f"cut-{size}")
        with (directory / log.name).open("r+b") as file:
            file.truncate(size)
        _, known = max((commit for commit in commits if commit[0] <= size), key=lambda commit: commit[0])
        recovered(directory, clock, audit, known)
        shutil.rmtree(directory)


@pytest.mark.usefixtures("short_log")
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_what_was_acknowledged_is_synced_before_it_is(disk, path, clock, tmp_path, audit, seed):
    """At every operation of the disk, its unsynced sectors are lost, or kept by chance."""
    store = SqliteStore(path, clock=clock)
    story = Story(store, clock)
    chance = random.Random(0 if seed is None else seed)
    cuts = itertools.count()
    moments = []

    def cut():
        if chance.random() < 0.15:
            into = tmp_path / f"cut-{next(cuts)}"
            into.mkdir()
            disk.cut_power(into, None if seed is None else chance)
            moments.append((into, story.told()))

    def after():
        settled.extend((into, known, story.told()) for into, known in moments)
        moments.clear()

    settled = []
    disk.before, story.after = cut, after
    for _ in range(40):
        story.step()
    disk.heal()
    store.close()
    assert len(settled) > 40
    for into, known, then in settled:
        recovered(into, clock, audit, known, or_known=then)


def test_a_disk_that_never_syncs_is_caught(disk, path, clock, tmp_path, audit):
    """The test above can fail: a store that does not wait for the disk loses what it acknowledged."""
    store = SqliteStore(path, clock=clock)
    store.database.connection.pragma("synchronous", 0)
    story = Story(store, clock)
    for _ in range(4):
        story.step()
    disk.cut_power(tmp_path)
    store.close()
    with pytest.raises(AssertionError):
        recovered(tmp_path, clock, audit, story.told())


def test_no_fence_is_given_out_twice_after_a_power_cut(disk, path, clock, tmp_path):
    store = SqliteStore(path, clock=clock)
    put(store, 10)
    fences = {one.fence for one in take(store, 5)}
    disk.cut_power(tmp_path)
    fences |= {one.fence for one in take(store, 5)}
    store.close()
    again = SqliteStore(tmp_path / "penstock.db", clock=clock)
    clock.advance(limits.LEASE_S)
    new = {one.fence for one in take(again, 10)}
    assert min(new) > max(fences)
    again.close()
