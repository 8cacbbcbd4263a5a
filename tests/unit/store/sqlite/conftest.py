"""An engine on a disk that fails when told to, and a look at whether its memory, its counts and its rows agree."""

import itertools
from collections import Counter

import pytest

from penstock.model.counts import added
from penstock.store.sqlite import database
from penstock.store.sqlite.file_check import RULES
from penstock.store.sqlite.in_memory import Books
from penstock.store.sqlite.store import SqliteStore
from penstock.store.sqlite.workflow_check import check_workflows
from penstock.testing.clock import VirtualClock
from penstock.testing.faults import FaultyVFS

RESERVE_BYTES = 320 * 1024

_ROWS = """
SELECT queue.name, 'ready', count(*)
FROM (SELECT line FROM ready UNION ALL SELECT line FROM refused WHERE party > 0) AS waits
JOIN line ON line.id = waits.line JOIN queue ON queue.id = line.queue GROUP BY 1
UNION ALL
SELECT queue.name, 'blocked', count(*) FROM blocked JOIN job USING (seq) JOIN line ON line.id = job.line
JOIN queue ON queue.id = line.queue GROUP BY 1
UNION ALL
SELECT queue.name, 'scheduled', count(*) FROM scheduled JOIN job USING (seq) JOIN line ON line.id = job.line
JOIN queue ON queue.id = line.queue
GROUP BY 1
UNION ALL
SELECT queue.name, 'running', count(*) FROM running JOIN job USING (seq) JOIN line ON line.id = job.line
JOIN queue ON queue.id = line.queue GROUP BY 1
UNION ALL
SELECT queue.name, state, count(*) FROM finished JOIN job USING (seq) JOIN line ON line.id = job.line
JOIN queue ON queue.id = line.queue GROUP BY 1, 2
"""
_PLACES = """
SELECT seq FROM ready UNION ALL SELECT seq FROM refused WHERE party > 0
UNION ALL SELECT seq FROM scheduled UNION ALL SELECT seq FROM running
UNION ALL SELECT seq FROM finished UNION ALL SELECT seq FROM blocked
"""
_KEYS_WITHOUT_A_JOB = """
SELECT count(*) FROM unique_key LEFT JOIN job ON job.id = unique_key.id
WHERE (job.id IS NULL) <> (forget_at IS NOT NULL) OR (job.id IS NULL AND holds IS NULL) OR (job.interest & 1) = 0
"""
_JOBS_WITHOUT_A_KEY = """
SELECT count(*) FROM job WHERE interest & 1 AND seq NOT IN (SELECT seq FROM finished)
AND id NOT IN (SELECT id FROM unique_key)
"""
_STATES = ("scheduled", "blocked", "ready", "running", "succeeded", "dead", "cancelled", "expired")


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch):
    """Writing 8 MiB each time a store is opened is most of what such a test would do."""
    monkeypatch.setattr(database, "RESERVE_BYTES", RESERVE_BYTES)
    monkeypatch.setattr(database, "ROOM_BYTES_MIN", 2 * RESERVE_BYTES)
    monkeypatch.setattr(database, "LAST_BYTES", RESERVE_BYTES // 8)


class SlowClock(VirtualClock):
    """It takes a while to look at the monotonic clock, once ``look_s`` says how long."""

    look_s = 0.0

    def monotonic(self):
        self._monotonic_s += self.look_s
        return super().monotonic()


@pytest.fixture
def clock():
    return SlowClock()


@pytest.fixture
def path(tmp_path):
    directory = tmp_path / "penstock-data"
    directory.mkdir()
    return directory / "penstock.db"


@pytest.fixture
def disk():
    with FaultyVFS() as faulty:
        yield faulty


@pytest.fixture
def store(path, clock):
    with_store = SqliteStore(path, clock=clock)
    yield with_store
    with_store.close()


@pytest.fixture
def faulty_store(disk, path, clock):
    with_store = SqliteStore(path, clock=clock)
    yield with_store
    disk.heal()
    with_store.close()


@pytest.fixture
def audit():
    return check_books


def check_books(store):
    """The file is sound, each job stands in one place, counts equal rows, and memory equals the file."""
    store.catch_up()
    connection = store.database.connection
    assert connection.pragma("integrity_check") == "ok"
    jobs = [row[0] for row in connection.execute("SELECT seq FROM job")]
    assert sorted(row[0] for row in connection.execute(_PLACES)) == sorted(jobs), "each job stands in one place"
    mishaps = [row[0] for row in connection.execute("SELECT seq FROM mishap")]
    assert set(mishaps) <= set(jobs), "what is held against a job goes with it"
    searchable = {row[0] for row in connection.execute("SELECT DISTINCT seq FROM searchable")}
    heard = {row[0] for row in connection.execute("SELECT seq FROM job WHERE interest & 64")}
    assert searchable <= heard, "what a job is found by goes with it"
    assert connection.execute(_KEYS_WITHOUT_A_JOB).get == 0, "a key has its job, or outlives it for its period"
    assert connection.execute(_JOBS_WITHOUT_A_KEY).get == 0, "a unique job that has not ended has its key"
    shared = dict(connection.execute("SELECT number, copies FROM shared_body"))
    copies = [row[0] for row in connection.execute("SELECT seq - seq % 128 FROM job WHERE interest & 128")]
    assert shared == dict(Counter(copies)), "a shared body is there as long as a copy of its message"
    ended = {row[0] for row in connection.execute("SELECT seq FROM finished")}
    holders = {row[0] for row in connection.execute("SELECT seq FROM slot")}
    assert holders <= set(jobs) - ended, "a slot goes with the job that holds it"
    slots = store._joining.slots
    for key, known in slots._known.items():
        assert known.taken == store.database.value("count_slots", *key), "slots are counted as there are rows"
        waits = store.database.value("any_blocked", *key) is not None
        assert known.waits in (None, waits), "who waits is known"
    dead = dict(connection.execute("SELECT kind, count(*) FROM finished WHERE dead = 1 GROUP BY kind"))
    kinds = dict(connection.execute("SELECT id, count FROM dead_kind WHERE count > 0"))
    assert dead == kinds, "each dead record is counted in its kind"
    sizes = dict(connection.execute("SELECT retained, sum(size_bytes) FROM finished WHERE retained > 0 GROUP BY 1"))
    retained = store.books.finished.retained
    assert {queue: sizes.get(queue, 0) for queue in retained.sizes} == retained.sizes, "sizes are those of the records"
    refused = [row[0] for row in connection.execute("SELECT seq FROM refused WHERE party = 0")]
    leased = {held.seq for held in store.books.by_fence.values() if held.party}
    assert set(refused) == leased == store.books.refused_leased, "what was refused is waiting or leased"
    rows = {(queue, state): count for queue, state, count in connection.execute(_ROWS)}
    stats = store.stats().queues
    counted = {
        (name, state): count for name, counts in stats.items() for state in _STATES if (count := getattr(counts, state))
    }
    assert counted == rows, "counts equal rows"
    assert {name: counts.unaccounted() for name, counts in stats.items()} == dict.fromkeys(stats, 0)
    assert store.totals().counts == added([*stats.values(), store.totals().removed]), "totals are the sum"
    check_limits(store)
    check_heads(store)
    for rule in RULES:
        if "workflow" in rule.name or "step" in rule.name or "member" in rule.name:
            assert connection.execute(rule.query).fetchall() == [], rule.name
    assert list(check_workflows(connection)) == [], "what is counted of workflows is there"
    assert remembered(store.books) == remembered(Books(store.database, store.clock)), "memory equals the file"


def steps_of(store, ask):
    """About how many instructions of SQLite's machine it takes to ask something."""
    steps = itertools.count()
    store.database.connection.set_progress_handler(lambda: bool(next(steps) < 0), 10)
    ask()
    store.database.connection.set_progress_handler(None)
    return 10 * next(steps)


def check_limits(store):
    """What is used of limits is what is leased, and those without room are shut."""
    limits, now = store.books.limits, store.clock.monotonic()
    limits.open_due(now)
    for limit in limits.by_scope.values():
        names = [store.books.line_name(held.line) for held in store.books.by_fence.values()]
        assert limit.running == sum(queue == limit.queue or task == limit.task for queue, task in names)
        assert (limit in limits.shut) is (limit.room(now) == 0), limit.scope
    assert limits.shut <= set(limits.by_scope.values())


def check_heads(store):
    """What is known of lines in memory is what the file has of them."""
    store._line.write_all()
    store._line._notice_limits()
    connection = store.database.connection
    stored = {}
    for line, *place, seq in connection.execute(
        "SELECT line, urgency, rank, arrival, seq FROM ready ORDER BY 1, 2, 3, 4"
    ):
        stored.setdefault(line, []).append((*place, seq))
    fronts = store._line._fronts
    assert set(stored) <= set(fronts), "every line with jobs is known"
    for line, front in fronts.items():
        known = [entry[:4] for entry in front.entries]
        jobs = stored.get(line, [])
        assert known == (jobs if front.is_whole else jobs[: len(known)]), "the first jobs of a line are known"
        heads = store._line._heads_of(front)
        assert (line in heads.members) is not front.is_closed
        assert front.is_closed is store._line._is_closed(store.books.lines[line])
        assert front.limits == store.books.limits.of_line(line)
        assert (front in heads.unread) is (not known and not front.is_closed)
        if known and not front.is_closed:
            assert heads._by_key[front.entries[0][4]] is front


def remembered(books):
    """What the engine keeps in memory and the file must say as well."""
    return {
        "queues": {name: (queue.id, queue.counts) for name, queue in books.queue_by_name.items()},
        "numbers": {number: queue.name for number, queue in books.queues.items()},
        "arrival": books.arrival,
        "lines": {(line.queue, line.task): number for number, line in books.lines.items()},
        "tasks": (books.task_ids, books.task_names, books.records),
        "displaced": books.displaced,
        "holders": books.holders,
        "fences": Counter(
            (fence, held.seq, held.id, held.line, held.queue, held.task, held.attempts, held.holder, held.started_at)
            + (held.cancel, held.expires, bool(held.party), held.interest, held.step, held.place)
            for fence, held in books.by_fence.items()
        ),
        "seqs": books.by_seq,
        "mishaps": books.mishaps.all(),
        "dead": books.finished.kinds.counts(),
        "retained": (books.finished.retained.sizes, books.finished.retained.declared),
        "skew": books.id_skew.within_s,
        "of workflows": {kind: count for kind, count in books.finished.of_workflows._counts.items() if count},
    }
