"""Random walks over the engine, in groups of which some are undone: memory and file agree after every step."""

import random

import pytest

from penstock.model import limits
from penstock.model.ids import new_id, new_ids
from penstock.model.job import (
    Buried,
    Filter,
    JobEntry,
    JobError,
    JobGroup,
    LeaseRequest,
    Lost,
    Outcomes,
    Refused,
    Retried,
    Succeeded,
    checksum,
)
from penstock.model.lines import Closed
from penstock.model.losses import Loss
from penstock.store.deferring import DeferredEnqueue
from penstock.store.sqlite import line_heads, ready_line
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance.kit import ERROR, HOLDER, OTHER_HOLDER

HOLDERS = (HOLDER, OTHER_HOLDER)
QUEUES = ("a", "b", "c", "d")
TASKS = ("app.one", "app.two", "app.three")
STEPS = 120


class Walk:
    """One walk: where it goes is decided by its number."""

    def __init__(self, number, path, clock):
        self.random = random.Random(number)
        self.path, self.clock = path, clock
        self.store = SqliteStore(path, clock=clock)
        self.ids = [bytes(16)]
        self.deferred = 0

    def names(self):
        return self.random.choice(QUEUES), self.random.choice(TASKS)

    def some(self, *values):
        return self.random.choice(values)

    def step(self):
        self.some(
            self.enqueue, self.lease, self.lease, self.lease, self.settle, self.settle, self.pass_time, self.close,
            self.open, self.act, self.act_on_all, self.reconcile,
        )()  # fmt: skip

    def enqueue(self):
        queue, task = self.names()
        ids = new_ids(self.some(1, 2, 5, 20, 80))
        self.ids += ids
        options = {
            "priority": self.some(0, 0, 0, 1),
            "delay_s": self.some(None, None, None, 5.0),
            "expires_s": self.some(None, None, 30.0),
        }
        key = self.some(None, None, "k")
        jobs = [JobEntry(one, b"", checksum(b"") ^ (self.random.random() < 0.02), key) for one in ids]
        self.store.enqueue([JobGroup(task, jobs, queue=queue, **options)])

    def lease(self):
        queue, task = self.names()
        queues, tasks = self.some(None, None, [queue], [queue, "a"]), self.some(None, None, [task], [task, "app.one"])
        request = LeaseRequest(self.some(*HOLDERS), self.some(1, 2, 6, 30, 100), queues, self.some(3.0, 30.0), tasks)
        self.store.lease(request)

    def settle(self):
        holder = self.some(*HOLDERS)
        fences = [fence for fence, held in self.store.books.by_fence.items() if held.holder == holder]
        outcomes = Outcomes(holder, forgotten=[], released=[], retried=[], lost=[], refused=[], buried=[], succeeded=[])
        children = []
        for fence in self.random.sample(fences, min(len(fences), self.some(1, 3, 20, 100))):
            self.some(
                lambda fence: outcomes.forgotten.append(fence),
                lambda fence: outcomes.released.append(fence),
                lambda fence: outcomes.retried.append(Retried(fence, self.some(0.0, 4.0), ERROR)),
                lambda fence: outcomes.lost.append(Lost(fence, self.some(*Loss), ERROR)),
                lambda fence: outcomes.refused.append(
                    Refused(fence, JobError(self.some("UnknownTask", "InvalidArguments"), "no"))
                ),
                lambda fence: outcomes.buried.append(Buried(fence, ERROR, keep_s=self.some(0.0, 9.0, 1e9))),
                lambda fence: outcomes.succeeded.append(
                    Succeeded(fence, 1.0, 2.0, keep_record_s=self.some(0.0, 5.0, 1e6))
                ),
            )(fence)
            queue, task = self.names()
            if self.random.random() < 0.2:
                children.append((fence, [JobGroup(task, [JobEntry(new_id(), b"", 0)], queue=queue)]))
        outcomes.children = children
        assert self.store.settle(outcomes).stale == []

    def pass_time(self):
        self.clock.advance(self.some(0.5, 1.0, 1.9, 5.0, 30.0))
        self.store.tick()

    def close(self):
        queue, task = self.names()
        self.store.close_lines(self.some(*Closed), **self.some({"queue": queue}, {"task": task}))

    def open(self):
        queue, task = self.names()
        self.store.open_lines(**self.some({"queue": queue}, {"task": task}))

    def act(self):
        ids = [self.random.choice(self.ids) for _ in range(3)]
        run_at = self.some(None, self.clock.time() + 3.0, self.clock.time() - 3.0)
        self.some(
            lambda: self.store.cancel(ids),
            lambda: self.store.revive(ids),
            lambda: self.store.delete(ids),
            lambda: self.store.move(ids, self.names()[0]),
            lambda: self.store.edit(ids, priority=self.some(None, 1, -1), run_at=run_at),
        )()

    def act_on_all(self):
        queue, task = self.names()
        action = self.some(self.store.cancel_where, self.store.revive_where, self.store.delete_where)
        action(Filter(queue=queue, task=task))
        self.store.move_where(Filter(task=task), queue)

    def reconcile(self):
        self.store.reconcile(self.some(*HOLDERS), [one for one in self.store.books.by_fence if self.some(True, False)])

    # --- transactions ------------------------------------------------------------------------------------------------
    def defer(self):
        self.deferred += 1
        queue, task = self.names()
        jobs = [JobEntry(one, b"", 0) for one in new_ids(self.some(1, 3))]
        self.store.defer(
            [DeferredEnqueue(b"client-0-16bytes", self.deferred, b"", [JobGroup(task, jobs, queue=queue)])]
        )

    def reopen(self):
        self.store.close()
        self.store = SqliteStore(self.path, clock=self.clock)

    def group(self):
        self.store.begin()
        for _ in range(self.random.randrange(1, 7)):
            self.step()
            leased = {held.seq: fence for fence, held in self.store.books.by_fence.items()}
            assert leased == self.store.books.by_seq
            assert len(leased) == len(self.store.books.by_fence), "no job is leased twice"
        if self.some(True, False):
            self.store.rollback()
        else:
            self.store.commit()
            self.store.tidy()


@pytest.mark.parametrize("entries_max", [3, line_heads.ENTRIES_MAX])
@pytest.mark.parametrize("number", range(4))
def test_memory_and_file_agree_wherever_a_walk_leads(path, clock, audit, monkeypatch, number, entries_max):
    monkeypatch.setattr(line_heads, "ENTRIES_MAX", entries_max)
    monkeypatch.setattr(ready_line, "ENTRIES_MAX", entries_max)
    monkeypatch.setattr(limits, "QUEUE_EMPTY_S", 20.0)
    walk = Walk(number, path, clock)
    for _ in range(STEPS // 4):
        walk.some(walk.step, walk.defer, walk.group, walk.group, walk.group, walk.group, walk.reopen)()
        audit(walk.store)
    assert walk.store.totals().counts.unaccounted() == 0
    walk.store.close()
