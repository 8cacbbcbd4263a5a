"""Who is served by a group of requests, when serving one parked lease makes something ready for another."""

from types import SimpleNamespace

import pytest

from penstock.model.flow import ConcurrencyRule, QueueRecord, RateRule
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, LeaseRequest, checksum
from penstock.store.sqlite.store import SqliteStore
from penstock.store.wire import protocol
from penstock.store.wire.owner import waiting_calls
from penstock.store.wire.owner.client_connection import Connection, Request
from penstock.store.wire.owner.group import Group, GroupCounters
from penstock.store.wire.owner.waiting_calls import WaitingCalls
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import BODY, group


class Owner:
    """What an owner does with leases, without sockets."""

    def __init__(self, path):
        self.clock = VirtualClock()
        self.engine = SqliteStore(path, clock=self.clock)
        self.waiting = WaitingCalls(self.engine, self.clock, GroupCounters())
        self.workers = {}

    def park(self, name, **wish):
        """A worker asks for jobs, and there are none."""
        connection = self.workers[name] = Connection(None)
        request = Request(connection, protocol.LEASE, protocol.UNRECORDED, b"")
        query = SimpleNamespace(request=LeaseRequest(new_id(), 10, **wish), wait_s=30.0)
        assert self.group(lambda group: self.waiting.lease(request, query, group)) == []

    def group(self, step):
        """Do something in one group. Answers which workers are served."""
        done = Group()
        self.engine.begin()
        step(done)
        self.waiting.serve(done)
        self.engine.commit()
        self.waiting.publish(done)
        self.engine.tidy()
        return [name for name, one in self.workers.items() for connection, _ in done.answers if connection is one]


@pytest.fixture
def owner(tmp_path):
    made = Owner(tmp_path / "penstock.db")
    yield made
    made.engine.close()


def job(*, damaged=False):
    return JobEntry(new_id(), BODY, checksum(b"other" if damaged else BODY), values={"tenant": "acme"})


@pytest.mark.parametrize("tasks", [["a", "b"], ["b", "a"]], ids=["asked before", "asked after"])
def test_a_slot_that_comes_free_in_a_parked_lease_is_for_others_that_are_parked(owner, tasks):
    owner.engine.register_tasks([], [QueueRecord("default", limits=(ConcurrencyRule(1, per="tenant"),))])
    for task in tasks:
        owner.park(task, tasks=[task])
    for at, task in enumerate("aab"):
        # Of the damaged ones, one after the other has the slot, and ends when a worker would lease it.
        owner.engine.enqueue([group(job(damaged=task == "a"), task=task, delay_s=1.0 + at * 0.1)])
    owner.clock.advance(2.0)
    assert owner.group(lambda _: owner.engine.tick()) == ["b"]
    assert list(owner.workers["a"].parked) == [protocol.UNRECORDED]
    assert owner.engine.readied == set()


def test_tokens_that_come_in_while_a_parked_lease_is_served_are_for_others_that_are_parked(owner):
    owner.engine.put_limits("task:slow", [RateRule(1, 10.0)])
    owner.engine.enqueue([group(job(), job(), task="slow")])
    assert len(owner.engine.lease(LeaseRequest(new_id(), 10)).jobs) == 1
    owner.park("slow", tasks=["slow"])
    owner.park("other", tasks=["other"])
    # The token comes in after the owner has looked for it, and before it leases.
    owner.clock.advance(10.1)
    assert sorted(owner.group(lambda _: owner.engine.enqueue([group(job(), task="other")]))) == ["other", "slow"]


def test_a_worker_that_was_served_is_not_served_again_in_its_group(owner):
    owner.engine.register_tasks([], [QueueRecord("default", limits=(ConcurrencyRule(1, per="tenant"),))])
    owner.park("all")
    owner.park("a", tasks=["a"])
    owner.engine.enqueue([group(job(damaged=True), task="a", delay_s=1.0)])
    owner.engine.enqueue([group(job(), task="b", delay_s=1.1)])
    owner.clock.advance(2.0)
    assert owner.group(lambda _: owner.engine.tick()) == ["all"]
    assert len(owner.engine.books.by_fence) == 1


def test_a_chain_without_an_end_is_gone_on_with_by_the_next_group(owner, monkeypatch):
    monkeypatch.setattr(waiting_calls, "_ROUNDS_MAX", 2)
    owner.engine.register_tasks([], [QueueRecord("default", limits=(ConcurrencyRule(1, per="tenant"),))])
    for task in ("a", "b", "c", "d"):
        owner.park(task, tasks=[task])
        damaged = task != "d"
        owner.engine.enqueue([group(job(damaged=damaged), task=task, delay_s=1.0 + len(owner.workers) * 0.1)])
    owner.clock.advance(2.0)
    assert owner.group(lambda _: owner.engine.tick()) == []
    assert owner.group(lambda _: None) == ["d"]
