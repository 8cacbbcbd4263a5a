"""The engine behind the wire: an owner in a thread, a client here, and a connection that is cut at random."""

import itertools
import random
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from penstock.model import limits
from penstock.model.ids import new_id
from penstock.model.job import EnqueueAnswer, JobEntry, JobGroup, LeaseRequest, Outcomes, checksum
from penstock.store.sqlite.store import SqliteStore
from penstock.store.wire.client.blocking import Client
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance import StoreConformance
from tests.owner_thread import OwnerThread, dialled, listening


class CutSocket:
    """A socket that breaks now and then: before a request, in the middle of it, or between it and its answer."""

    def __init__(self, sock, chance):
        self._sock = sock
        self._chance = chance
        self._answer_is_lost = False

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def _cut(self):
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def send(self, data, flags=0):
        if self._chance():
            self._cut()
        elif self._chance() and len(data) > 1:
            self._sock.send(bytes(data)[: len(data) // 2])
            self._cut()
        self._answer_is_lost = self._chance()
        return self._sock.send(data, flags)

    def recv_into(self, buffer, size=0, flags=0):
        if self._answer_is_lost:
            # The owner may have applied the request, or not have read it, or be about to answer, or have answered.
            self._cut()
            return 0
        return self._sock.recv_into(buffer, size, flags)


class WireStore(Client):
    """A client together with its owner's thread."""

    def __init__(self, path, clock, cut_chance=0.0, seed=0, check_requests=True, **options):
        generator = random.Random(seed)
        self.path = path
        engine = SqliteStore(path, clock=clock, queues_of_client_max=limits.QUEUES_MAX, **options)
        self.serving = OwnerThread(
            engine, listening(f"{path}.sock"), clock, chores=False, check_requests=check_requests
        )
        self.owner = self.serving.owner
        self.cuts = 0

        def chance():
            cut = generator.random() < cut_chance
            self.cuts += cut
            return cut

        def dial(deadline):
            sock = dialled(f"{path}.sock")
            return CutSocket(sock, chance) if cut_chance else sock

        super().__init__(dial, reach_s=30.0)

    def stats(self, **page):
        """Without the leases that were given back because of a cut: the store counts them, a test cannot know them."""
        stats = super().stats(**page)
        returned = self.owner.statistics().returned
        for counts in stats.queues.values():
            hidden = min(returned, counts.released_total)
            counts.released_total -= hidden
            returned -= hidden
        return stats

    def totals(self):
        """As `stats`."""
        totals = super().totals()
        totals.counts.released_total -= self.owner.statistics().returned
        return totals

    def close(self):
        super().close()
        self.serving.stop()


class WireConformance(StoreConformance):
    cut_chance = 0.0

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path, request):
        self.seed = request.node.name
        self.stores = []
        self.paths = (str(tmp_path / f"store-{number}.db") for number in itertools.count())
        yield
        for store in self.stores:
            store.close()

    def _open(self, path, clock, **options):
        store = WireStore(path, clock, self.cut_chance, self.seed, **options)
        self.stores.append(store)
        return store

    def make_store(self, clock, *, records_max=limits.RECORDS_MAX, dead_max=limits.DEAD_MAX):
        return self._open(next(self.paths), clock, records_max=records_max, dead_max=dead_max)

    def reopen(self, store, clock):
        store.close()
        Path(f"{store.path}.sock").unlink()
        return self._open(store.path, clock)


class TestEngineBehindTheWire(WireConformance):
    pass


class TestEngineBehindAWireThatIsCut(WireConformance):
    cut_chance = 0.1


@pytest.mark.parametrize("seed", range(5))
def test_every_request_is_applied_once_however_often_the_connection_is_cut(tmp_path, seed):
    store = WireStore(str(tmp_path / "store.db"), VirtualClock(), cut_chance=0.2, seed=seed)
    try:
        for number in range(100):
            answer = store.enqueue([JobGroup("task", [job(b"%d" % number)])])
            assert answer == EnqueueAnswer(1, [])
        assert store.stats().queues["default"].accepted_total == 100
        settled = 0
        while settled < 100:
            batch = store.lease(LeaseRequest(b"h" * 16, 7))
            fences = list(range(batch.first_fence, batch.first_fence + len(batch.jobs)))
            assert store.settle(Outcomes(b"h" * 16, forgotten=fences)).stale == []
            settled += len(fences)
        assert store.stats().queues["default"].succeeded_total == 100
        assert store.cuts > 20
        assert store.owner.statistics().repeated > 5
    finally:
        store.close()


def test_without_the_check_a_repeat_is_seen_as_a_second_request(tmp_path):
    store = WireStore(str(tmp_path / "store.db"), VirtualClock(), cut_chance=0.3, seed=1, check_requests=False)
    try:
        answers = [store.enqueue([JobGroup("task", [job(b"%d" % number)])]) for number in range(100)]
        assert any(exception.duplicate for answer in answers for exception in answer.exceptions)
    finally:
        store.close()


def job(body):
    return JobEntry(new_id(), b"m" + body, checksum(b"m" + body))
