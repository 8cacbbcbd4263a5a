"""Claims about the audit log, and about dead jobs that run again with other arguments."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.actions import Verb
from penstock.model.errors import BodyTooLarge, InvalidOption, TopicNotFound
from penstock.model.flow import ConcurrencyRule, RateRule, TaskFlow
from penstock.model.ids import id_text, new_id
from penstock.model.job import Buried, Filter, JobEntry, TaskRecord, checksum
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.bulk import bury, finish, start
from penstock.testing.conformance.kit import (
    ERROR,
    StoreClaims,
    counted,
    entry,
    group,
    one_of_each,
    put,
    see,
    settle,
    states,
    take_one,
)
from penstock.testing.conformance.publishing import message, publish


class AuditClaims(StoreClaims):
    """`Store.audit`: who, when, what, how many."""

    def test_what_operators_do_is_in_the_log_newest_first(self, store: Store, clock: VirtualClock) -> None:
        put(store, queue="q")
        store.pause(queue="q", by="ann", note="deploy")
        clock.advance(5.0)
        store.resume(queue="q", by="bob")
        store.drain(task="app.work", by="ann")
        entries = store.audit().entries
        assert [(one.by, one.verb, one.subject, one.note) for one in entries] == [
            ("ann", "drain", "task:app.work", None),
            ("bob", "resume", "queue:q", None),
            ("ann", "pause", "queue:q", "deploy"),
        ]
        assert [one.at for one in entries] == [clock.time(), clock.time(), clock.time() - 5.0]
        assert [one.number for one in entries] == [3, 2, 1]

    def test_live_limits_are_in_the_log(self, store: Store) -> None:
        store.put_limits("queue:q", [ConcurrencyRule(2), RateRule(5, 60.0, 9, "header:user")], by="ann")
        store.restore_limits("queue:q", "tenant", by="bob")
        store.restore_limits("queue:q", "header:user", by="bob")
        store.restore_limits("queue:q", by="cy")
        store.restore_limits("queue:q", by="dan")
        with pytest.raises(InvalidOption):
            store.put_limits("queue:q", [ConcurrencyRule(0)], by="ann")
        with pytest.raises(InvalidOption):
            store.put_limits("queue:q", [ConcurrencyRule(1)], by="a" * (limits.BY_BYTES_MAX + 1))
        with pytest.raises(InvalidOption):
            store.restore_limits("queue:q", by="a" * (limits.BY_BYTES_MAX + 1))
        assert [(one.by, one.verb, one.subject, one.note) for one in store.audit().entries] == [
            ("cy", "restore", "queue:q", None),
            ("bob", "restore", "queue:q", "per header:user"),
            ("ann", "limit", "queue:q", "2 at a time; 5 in 60 s per header:user, 9 at once"),
        ]

    def test_an_action_has_one_entry_that_says_how_many(self, store: Store, clock: VirtualClock) -> None:
        bury(store, 3)
        action = start(store, Verb.RETRY, Filter(state=State.DEAD, queue="default"), note="fixed")
        assert store.audit().entries[0].count == 0
        finish(store, clock, action)
        (entry_of_action,) = store.audit().entries
        assert (entry_of_action.verb, entry_of_action.subject) == ("retry", "state=dead queue=default")
        assert (entry_of_action.count, entry_of_action.note, entry_of_action.action) == (3, "fixed", action.id)

    def test_a_stop_is_noted_too(self, store: Store) -> None:
        put(store)
        action = start(store, Verb.CANCEL, Filter(queue="default"), per_s=1.0)
        store.stop_action(action.id, by="bob")
        latest = store.audit().entries[0]
        assert (latest.by, latest.verb, latest.subject) == ("bob", "stop", f"action:{id_text(action.id)}")

    def test_single_jobs_are_noted_when_somebody_asks_by_hand(self, store: Store, clock: VirtualClock) -> None:
        first, second = put(store, 2)
        store.cancel([first])
        assert store.audit().entries == []
        store.revive([first, second], by="ann")
        store.edit([first], run_at=clock.time() + 60, by="ann")
        store.move([first, second], "q", by="ann")
        store.cancel([first], by="ann")
        store.cancel([first], by="ann")
        store.delete([first, new_id()], by="bob")
        told = [(one.by, one.verb, one.subject, one.count) for one in store.audit().entries]
        one, both = f"job:{id_text(first)}", f"job:{id_text(first)} and 1 more"
        assert told == [
            ("bob", "delete", both, 1),
            ("ann", "cancel", one, 1),
            ("ann", "move", both, 2),
            ("ann", "edit", one, 1),
            ("ann", "retry", both, 1),
        ]

    def test_it_comes_in_pages(self, store: Store) -> None:
        put(store)
        for number in range(5):
            store.pause(queue="default", by=str(number))
        found: list[str] = []
        cursor = None
        while True:
            page = store.audit(cursor=cursor, limit=2)
            found += [one.by for one in page.entries]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == ["4", "3", "2", "1", "0"]
        for wrong in ("nonsense", "audit-", "audit-x", "audit-" + "9" * 40):
            with pytest.raises(InvalidOption):
                store.audit(cursor=wrong)

    def test_only_the_latest_entries_are_kept(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "AUDIT_ENTRIES_MAX", 3)
        put(store)
        for number in range(5):
            store.pause(queue="default", by=str(number))
        assert [one.by for one in store.audit().entries] == ["4", "3", "2"]

    def test_a_removed_queue_is_noted(self, store: Store) -> None:
        put(store, queue="old")
        settle(store, forgotten=[take_one(store).fence])
        store.remove_queue("old", by="ann")
        (noted,) = store.audit().entries
        assert (noted.by, noted.verb, noted.subject) == ("ann", "remove", "queue:old")


class EditedClaims(StoreClaims):
    """`Store.revive_edited`: a dead job runs again with other arguments."""

    def edited(self, job: bytes, body: bytes = b"m\x92\x91\x07\x80") -> JobEntry:
        """Other arguments for a job."""
        return JobEntry(job, body, checksum(body))

    def test_it_runs_with_the_new_arguments_from_attempt_one(self, store: Store) -> None:
        (job,) = bury(store, 1, tags=["x"], priority=3)
        new = self.edited(job)
        assert store.revive_edited(new, by="ann") is State.READY
        view = see(store, job, body=True)
        assert (view.body, view.attempt, view.error, view.tags, view.priority) == (new.body, 0, None, ["x"], 3)
        held = take_one(store)
        assert (held.job.id, held.job.body, held.job.attempt) == (job, new.body, 1)
        assert counted(store)["revived_total"] == 1
        (noted,) = store.audit().entries
        assert (noted.verb, noted.subject, noted.count) == ("edit and retry", f"job:{id_text(job)}", 1)

    def test_jobs_that_did_not_end_so_are_left_alone(self, store: Store, clock: VirtualClock) -> None:
        made = one_of_each(store, clock)
        may = {State.DEAD, State.CANCELLED, State.EXPIRED}
        for state, job in made.items():
            before = store.get([job], body=True)
            assert store.revive_edited(self.edited(job)) is (State.READY if state in may else state)
            if state not in may:
                assert store.get([job], body=True) == before

    def test_it_is_found_by_its_new_arguments_and_not_by_the_old_ones(self, store: Store) -> None:
        store.register_tasks([TaskRecord("app.work", flow=TaskFlow(searchable=("order",)))])
        old = replace(entry(), searchable={"order": "1"})
        store.enqueue([group(old)])
        settle(store, buried=[Buried(take_one(store).fence, ERROR)])
        store.revive_edited(replace(self.edited(old.id), searchable={"order": "2"}))
        found = [store.query(Filter(arguments={"order": text})).jobs for text in ("1", "2")]
        assert [[view.id for view in views] for views in found] == [[], [old.id]]

    def test_a_topic_that_is_deleted_by_hand_is_noted_with_what_waited_in_it(self, store: Store) -> None:
        for channel in ("archive", "mail"):
            store.create_channel("orders", channel)
        for body in (b"one", b"two"):
            publish(store, message(body))
        store.delete_channel("orders", "archive", by="ann")
        store.delete_topic("orders", by="bob")
        store.create_topic("bills")
        store.delete_topic("bills")
        noted = [(entry.by, entry.verb, entry.subject, entry.count) for entry in store.audit().entries]
        assert noted == [("bob", "delete", "topic:orders", 2), ("ann", "delete", "queue:orders:archive", 2)]
        with pytest.raises(TopicNotFound):
            store.delete_topic("orders", by="bob")
        assert len(store.audit().entries) == 2

    def test_a_message_is_what_was_published(self, store: Store) -> None:
        store.create_channel("orders", "archive")
        publish(store, message(b"hello"))
        held = take_one(store)
        settle(store, buried=[Buried(held.fence, ERROR)])
        with pytest.raises(InvalidOption, match="publish another"):
            store.revive_edited(self.edited(held.job.id))
        assert store.revive([held.job.id]) == [State.READY]
        assert take_one(store).job.body == held.job.body

    def test_what_an_enqueue_would_refuse_is_refused(self, store: Store) -> None:
        (job,) = bury(store, 1)
        for wrong in (
            entry(key="k", job_id=job),
            JobEntry(b"short", b"m", 0),
            JobEntry(job, b"m", -1),
        ):
            with pytest.raises(InvalidOption):
                store.revive_edited(wrong)
        large = b"m" * (limits.JOB_BODY_BYTES_MAX + 1)
        with pytest.raises(BodyTooLarge):
            store.revive_edited(JobEntry(job, large, checksum(large)))
        assert states(store, [job]) == [State.DEAD]

    def test_it_holds_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        (job,) = bury(store, 1)
        new = self.edited(job)
        store.revive_edited(new)
        store = self.take_over(store, clock)
        assert take_one(store).job.body == new.body
