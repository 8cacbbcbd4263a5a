"""The producer whose answers are lost makes each job once, and is told of each."""

import threading

from penstock.model.errors import PenstockError
from penstock.model.job import LeaseRequest, Outcomes
from penstock.process.clock import SystemClock
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite.store import SqliteStore
from penstock.store.wire.client.blocking import Client
from penstock.testing.torture.load import Load
from penstock.testing.torture.lossy import produce_with_lost_answers
from penstock.testing.torture.records import Acked, Attempted
from tests.owner_thread import OwnerThread

ROUNDS = 4
JOBS = 5
HOLDER = b"h" * 16


class Journal(Load):
    """A load that keeps what would be written down."""

    def __init__(self, path):
        (path / "attempts").mkdir(parents=True)
        super().__init__(path, "lossy", 1, "wire")
        self.told = []

    def attempted(self, *wishes):
        self.told += [Attempted(wish.token, wish.task) for wish in wishes]

    def acked(self, *answered):
        self.told += [Acked(wish.token, job_id) for wish, job_id in answered]


class AfterRounds:
    """Says stop after so many requests; no time passes between them."""

    def __init__(self, rounds):
        self.left = rounds

    def is_set(self):
        self.left -= 1
        return self.left < 0

    def wait(self, _):
        return False


def work(path, ids):
    """Run all jobs at once, leaving no record, until the owner ends."""
    client = Client.connect(path, start_owner=False, reach_s=0.1)
    try:
        while True:
            batch = client.lease(LeaseRequest(HOLDER, 100), 60.0)
            ids += [job.id.hex() for job in batch.jobs]
            client.settle(Outcomes(HOLDER, forgotten=[batch.first_fence + n for n in range(len(batch.jobs))]))
    except PenstockError:
        client.close()


def test_each_request_is_applied_once_and_answered_when_its_jobs_are_gone(tmp_path):
    directory = StoreDirectory(tmp_path / "store")
    directory.prepare()
    lock, listener = directory.open_lock(), directory.listen()
    clock = SystemClock()
    serving = OwnerThread(SqliteStore(directory.database, clock=clock), listener, clock)
    load, ran = Journal(tmp_path / "log"), []
    worker = threading.Thread(target=work, args=(directory.path, ran))
    worker.start()
    produce_with_lost_answers(directory.path, load, AfterRounds(ROUNDS))
    told = serving.owner.statistics()
    serving.stop()
    worker.join()
    lock.release()
    acked = [told.id for told in load.told if isinstance(told, Acked)]
    assert len(load.told) == 2 * ROUNDS * JOBS
    assert sorted(acked) == sorted(ran)
    assert len(set(acked)) == ROUNDS * JOBS
    assert told.repeated == ROUNDS
