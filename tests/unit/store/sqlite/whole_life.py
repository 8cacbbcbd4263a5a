"""A scripted life that uses all of flow control at once: what one part keeps, another changes."""

from collections import Counter

from penstock.model.actions import Verb
from penstock.model.flow import ConcurrencyRule, FairRule, QueueRecord, RateRule, Retention, TaskFlow, UniqueRule
from penstock.model.ids import new_id
from penstock.model.job import Filter, JobEntry, JobGroup, TaskRecord, checksum
from penstock.model.source_cursors import SourceCursor
from penstock.model.states import State
from penstock.store.paging import full_page
from penstock.testing.conformance.keyed import per_tenant
from tests.unit.store.sqlite.scripted_lives import JobLife, OperatorLife, TopicLife

TASK = "app.all"
ALIVE = (State.SCHEDULED, State.BLOCKED, State.READY, State.RUNNING)
UNIQUE = UniqueRule(names=("order",), period_s=1e6, on_conflict="replace", states=(*ALIVE, State.SUCCEEDED))
LIMITS = (per_tenant(2), RateRule(3, 2.0, burst=4, per="tenant"), ConcurrencyRule(5))
TENANTS = ("a", "a", "a", "b", "b", "c")


class WholeLife(TopicLife, OperatorLife, JobLife):
    """Jobs of tenants that take turns, each with a unique key, a slot and a token of its tenant, and arguments that it
    is found by; some are made of what a source tells. Beside them messages, holds and bulk actions."""

    calls = ("channel", "crowd", "lease", "read", "publish", "succeed", "pause_all", "act", "tick", "keep", "fail")
    calls += ("resume_all", "channel", "limit", "lease", "crowd", "publish", "act", "tick", "delay_message", "succeed")
    calls += ("read", "act", "fail", "tick", "restore", "lease", "forget", "edit", "slots", "unique", "replace")
    calls += ("delete_channel", "crowd", "act", "tick", "key", "succeed", "publish_again", "lease", "act", "tick")
    calls += ("pause", "drain", "stop", "fail", "resume", "tick", "succeed")
    length = len(calls)
    wanted = (
        (Verb.MOVE, Filter(queue="all", arguments={"parity": "1"}), "elsewhere"),
        (Verb.RETRY, Filter(state=State.DEAD), None),
        (Verb.CANCEL, Filter(state=State.BLOCKED, task=TASK), None),
        (Verb.RETRY, Filter(state=State.CANCELLED), None),
        (Verb.EMPTY, Filter(queue="elsewhere"), None),
    )

    def prepare(self):
        super().prepare()
        self.orders = 0
        self.offset = 0
        self.tenant_of = {}
        self.order_of = {}
        flow = TaskFlow(limits=LIMITS, unique=UNIQUE, fair=FairRule("tenant", {"a": 3.0}), searchable=("parity",))
        queue = QueueRecord("all", (RateRule(6, per_s=1.0), ConcurrencyRule(6)), Retention(records=4, dead=2))
        self.store.register_tasks([TaskRecord(TASK, flow=flow)], [queue])

    def seen_in(self, store):
        wanted = {f"parity {text}": Filter(arguments={"parity": text}) for text in ("0", "1")}
        wanted |= {f"key {key}": Filter(key=key) for key in ("same", "0", "9")}
        found = {name: [job.id for job in full_page(store, where).jobs] for name, where in wanted.items()}
        limits = [(one.scope, one.rule, one.source) for one in store.limits()]
        return super().seen_in(store) | found | {"limits": limits, "cursors": store.cursors()}

    def check(self, store):
        """Of a tenant no more runs than may; of an order one job is alive."""
        super().check(store)
        alive = [view for view in store.get(list(self.tenant_of)) if view is not None and view.state in ALIVE]
        running = Counter(self.tenant_of[view.id] for view in alive if view.state is State.RUNNING)
        assert max(running.values(), default=0) <= 2
        assert max(Counter(self.order_of[view.id] for view in alive).values(), default=0) <= 1

    happens = (*OperatorLife.happens, "discarded_total")

    def check_end(self):
        super().check_end()
        assert self.store.totals().counts.blocked
        assert all(one.changed for one in self.store.actions())
        channels = [channel.counts for topic in self.store.topics().topics for channel in topic.channels]
        assert sum(counts.running + counts.succeeded_total for counts in channels)

    def jobs(self):
        """A job for each of some tenants. Their orders are new, but for the last."""
        jobs = []
        for tenant in TENANTS:
            body = b"m" + bytes(600 * (self.orders % 3))
            told = {"values": {"tenant": tenant}, "searchable": {"parity": str(self.orders % 2)}}
            jobs.append(JobEntry(new_id(), body, checksum(body), unique_key=str(self.orders), **told))
            self.tenant_of[jobs[-1].id], self.order_of[jobs[-1].id] = tenant, self.orders
            self.orders += tenant != TENANTS[-1]
        return jobs

    def crowd(self):
        jobs = self.jobs()
        self.store.enqueue([JobGroup(TASK, jobs, "all", unique=UNIQUE)])
        self.note(job.id for job in jobs)

    def read(self):
        """Jobs of what a source tells, with its position."""
        jobs = self.jobs()
        self.offset += len(jobs)
        where = SourceCursor("binlog", "0", self.offset, 1 + self.offset // 20)
        self.store.enqueue([JobGroup(TASK, jobs, "all", delay_s=2.0, unique=UNIQUE)], cursor=where)
        self.note(job.id for job in jobs)

    def limit(self):
        self.store.put_limits(f"task:{TASK}", [ConcurrencyRule(1, per="tenant")], by="ann")
        self.note()

    def restore(self):
        self.store.restore_limits(f"task:{TASK}", by="ann")
        self.note()

    def pause_all(self):
        self.store.pause(queue="all", by="ann")
        self.note()

    def resume_all(self):
        self.store.resume(queue="all", by="bob")
        self.note()
