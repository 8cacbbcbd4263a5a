"""Scripted lives of a store, in which the power goes: one call after the other, and what was acknowledged."""

from msgspec.structs import replace

from penstock.model.actions import ActionRequest, ActionState, Verb
from penstock.model.flow import QueueRecord, RateRule, Retention, TaskFlow, UniqueRule
from penstock.model.holds import HoldKind
from penstock.model.job import Buried, Filter, JobEntry, Outcomes, Retried, TaskRecord, checksum
from penstock.model.lines import Closed
from penstock.model.message_ids import copy_id, message_id, new_message_ids
from penstock.model.states import State
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.testing.conformance.keyed import keyed, per_tenant
from penstock.testing.conformance.kit import ERROR, HOLDER, entry, group, put, settle, states, succeeded, take
from penstock.testing.conformance.unique import REPLACE, unique
from penstock.testing.conformance.unique import one as one_unique

SLOTS_SEEN = 4


class Life:
    """A store at work, and what it has acknowledged.

    Attributes:
        calls: what happens, in turn, by the names of methods.
        length: how many of them a life has.
        ids: every job that there was or could be.
        told: what the store had to tell after the last call that it answered. All of it must be true of the disk.
        after: called after each call.
        every: of the moments at which it is cut off, one in so many is looked at.
        happens: what a life that is one counts at least once.
    """

    calls = ()
    length = 0
    every = 1
    happens = ()

    def __init__(self, store, clock):
        self.store = store
        self.clock = clock
        self.steps = 0
        self.ids = {}
        self.after = lambda: None
        self.prepare()
        self.told = self.seen_in(store)

    def prepare(self):
        """What is declared before the first call."""

    def step(self):
        """Do what comes next."""
        getattr(self, self.calls[self.steps % len(self.calls)])()
        self.steps += 1

    def note(self, ids=()):
        """A call was answered, and these jobs are new."""
        self.ids |= dict.fromkeys(ids)
        self.told = self.seen_in(self.store)
        self.after()

    def seen_in(self, store):
        """What a store tells of this life: the state of each job that has a record, by its id."""
        return {job: state for job, state in zip(self.ids, states(store, list(self.ids)), strict=True) if state}

    def check(self, store):
        """What holds in this life at any time."""

    def go_on(self, store):
        """What a store does that was opened anew."""
        put(store)

    def check_end(self):
        """It was such a life."""
        counts = self.store.totals().counts
        assert [name for name in self.happens if not getattr(counts, name)] == []

    # --- what all lives have -----------------------------------------------------------------------------------------
    def put(self):
        self.note(put(self.store, 3))

    def delay(self):
        self.note(put(self.store, 2, delay_s=5.0))

    def take(self, limit):
        held = take(self.store, limit)
        self.note()
        return held

    def lease(self):
        self.take(3)

    def succeed(self):
        for one in self.take(1):
            settle(self.store, succeeded=[succeeded(one.fence, self.clock, b"m\x01")])
            self.note()

    def fail(self):
        for place, one in enumerate(self.take(2)):
            error = [Retried(one.fence, 1.0, ERROR)] if place else []
            self.store.settle(Outcomes(HOLDER, retried=error, buried=[] if place else [Buried(one.fence, ERROR)]))
            self.note()

    def forget(self):
        for one in self.take(1):
            settle(self.store, forgotten=[one.fence])
            self.note()

    def tick(self):
        self.clock.advance(1.0)
        self.store.tick()
        self.note()


class JobLife(Life):
    """Jobs, of which some have keys of each kind, and a queue that retains little."""

    calls = ("put", "key", "unique", "lease", "succeed", "unique", "delay", "fail")
    calls += ("slots", "replace", "forget", "end", "tick", "revive")
    length = 40

    def prepare(self):
        super().prepare()
        self.with_keys = []
        rules = (per_tenant(2, order="fifo"), RateRule(2, 2.0, burst=4, per="tenant"))
        self.store.register_tasks(
            [TaskRecord("app.slotted", flow=TaskFlow(limits=rules))],
            [QueueRecord("keyed", retention=Retention(records=1, dead=0, size_bytes=7_000))],
        )

    happens = ("succeeded_total", "dead_total", "cancelled_total", "retried_total", "revived_total")

    def key(self):
        one = replace(entry(b"m" + bytes(3_000), key=f"key-{self.steps}"), searchable={"order": str(self.steps % 3)})
        self.store.enqueue([group(one, queue="keyed")])
        self.note([one.id])

    def slots(self):
        """Jobs of two keys, more than may run."""
        jobs = [keyed({"tenant": tenant}) for tenant in ("a", "a", "b")]
        self.store.enqueue([group(*jobs, task="app.slotted", priority=1)])
        self.note(job.id for job in jobs)

    def unique(self):
        """Two jobs with keys, one of which is new now and then; its key counts past its record."""
        jobs = [one_unique("same"), one_unique(f"{self.steps}")]
        rule = UniqueRule(period_s=1e6, states=(*UniqueRule().states, State.SUCCEEDED))
        self.store.enqueue([unique(jobs[0]), unique(jobs[1], rule=rule)])
        self.with_keys += [job.id for job in jobs]
        self.note(job.id for job in jobs)

    def replace(self):
        """A job that waits has other arguments, or a new one waits because that one runs."""
        job = one_unique("same", b"m" + bytes(2_000))
        self.store.enqueue([unique(job, rule=REPLACE, delay_s=2.0)])
        self.with_keys.append(job.id)
        self.note([job.id])

    def end(self):
        """Jobs with keys are cancelled and thrown away."""
        self.store.cancel(self.with_keys[:2])
        self.note()
        self.store.delete(self.with_keys[2:3])
        self.note()

    def revive(self):
        """Those that may run again do, unless their key is taken."""
        self.store.revive(self.with_keys)
        self.note()


class TopicLife(Life):
    """Messages. Of each all copies are known that there could be: those that there are not, too."""

    calls = ("keep", "channel", "publish", "lease", "channel", "publish", "succeed", "delay_message", "fail")
    calls += ("delete_channel", "publish", "forget", "tick", "publish_again", "delete_topic", "tick")
    length = 32

    def prepare(self):
        super().prepare()
        self.channels = 0

    def seen_in(self, store):
        names = [(topic.name, [one.name for one in topic.channels]) for topic in store.topics().topics]
        return super().seen_in(store) | {"topics": names}

    def check(self, store):
        """No message is twice in a channel."""
        super().check(store)
        rows = store.database.connection.execute(
            "SELECT job.id, queue.name FROM job JOIN line ON line.id = job.line JOIN queue ON queue.id = line.queue"
        )
        places = [(message_id(job_id), name) for job_id, name in rows if ":" in name]
        assert len(places) == len(set(places))

    happens = ("succeeded_total", "dead_total", "retried_total", "discarded_total")

    def messages(self, *bodies, topic="t", **options):
        some = [
            MessageEntry(job_id, body, checksum(body)) for job_id, body in zip(new_message_ids(9), bodies, strict=False)
        ]
        self.store.publish(topic, [MessageGroup(some, **options)])
        self.last = some
        self.note(copy_id(one.id, slot) for one in some for slot in range(SLOTS_SEEN))

    def publish(self):
        self.messages(b"rsmall", b"r" + bytes(9_000), b"r" + bytes(8_000), b"ragain")

    def publish_again(self):
        self.store.publish("t", [MessageGroup(self.last)])
        self.note()

    def delay_message(self):
        self.messages(b"rlate", b"r" + bytes(5_000), delay_s=2.0)

    def keep(self):
        """A topic without a channel keeps what it gets for its first."""
        self.messages(b"rkept", topic=f"new-{self.steps}")
        self.store.create_channel(f"new-{self.steps}", "first")
        self.note()

    def channel(self):
        self.channels += 1
        self.store.create_channel("t", f"c{self.channels}")
        self.note()

    def delete_channel(self):
        self.store.delete_channel("t", f"c{self.channels}")
        self.note()

    def delete_topic(self):
        self.store.delete_topic("t")
        self.note()


class OperatorLife(Life):
    """Operators among jobs: a hold is there with its closing and its entry; what an action says it has done is done."""

    calls = ("put", "delay", "pause", "act", "tick", "lease", "drain", "fail", "resume", "edit", "put", "act", "tick")
    calls += ("stop", "succeed")
    length = 45
    wanted = (
        (Verb.CANCEL, Filter(state=State.SCHEDULED), None),
        (Verb.RETRY, Filter(state=State.DEAD), None),
        (Verb.MOVE, Filter(queue="default"), "elsewhere"),
        (Verb.DELETE, Filter(state=State.CANCELLED), None),
    )
    """What actions are asked for, in turn."""

    def prepare(self):
        super().prepare()
        self.actions = 0

    def seen_in(self, store):
        actions = {one.id: (one.state, one.matched, one.changed) for one in store.actions()}
        entries = [(one.number, one.verb, one.count) for one in store.audit(limit=1_000).entries]
        return super().seen_in(store) | {"holds": store.holds(), "actions": actions, "audit": entries}

    def check(self, store):
        """Holds, closings, actions and entries agree."""
        super().check(store)
        paused = {hold.queue for hold in store.holds() if hold.kind is HoldKind.PAUSED}
        assert paused == {one.queue for one in store.closed_lines() if one.reason is Closed.PAUSED}
        entries = {entry.number: entry for entry in store.audit(limit=1_000).entries}
        assert sorted(entries) == list(range(1, len(entries) + 1)), "no entry is missing"
        counts = store.totals().counts
        for action in store.actions():
            assert (entries[action.entry].action, entries[action.entry].count) == (action.id, action.changed)
            assert action.is_under_way or action.finished_at is not None
            assert action.state is not ActionState.FAILED
        done = {verb: sum(one.changed for one in store.actions() if one.verb is verb) for verb in Verb}
        edited = sum(entry.verb == "edit and retry" for entry in entries.values())
        assert (counts.cancelled_total, counts.moved_out_total) == (done[Verb.CANCEL], done[Verb.MOVE])
        assert counts.revived_total == done[Verb.RETRY] + edited

    happens = ("succeeded_total", "dead_total", "cancelled_total", "retried_total", "revived_total", "moved_out_total")

    def check_end(self):
        super().check_end()
        assert sum(one.changed for one in self.store.actions()) >= 8

    def pause(self):
        self.note(put(self.store, queue="held"))
        self.store.pause(queue="held", by="ann", note="why")
        self.note()

    def drain(self):
        self.store.drain(queue="held", by="bob")
        self.note()

    def resume(self):
        self.store.resume(queue="held", by="ann")
        self.note()

    def act(self):
        """Actions of each verb in turn, a few jobs a second."""
        verb, where, to = self.wanted[self.actions % len(self.wanted)]
        self.actions += 1
        self.store.start_action(ActionRequest(self.actions.to_bytes(16, "big"), verb, where, to, per_s=4.0), by="ann")
        self.note()

    def stop(self):
        self.store.stop_action(self.actions.to_bytes(16, "big"), by="bob")
        self.note()

    def edit(self):
        """The first dead job has other arguments."""
        dead = [view.id for view in self.store.get(list(self.ids)) if view is not None and is_editable(view)]
        body = b"m" + bytes([self.steps])
        for job in dead[:1]:
            self.store.revive_edited(JobEntry(job, body, checksum(body)), by="ann")
        self.note()


def is_editable(view):
    return view.state is State.DEAD and view.task == "app.work"
