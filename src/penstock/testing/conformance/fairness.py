"""Claims about tenants that take turns within a queue."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, cycle

from penstock.model.flow import ConcurrencyRule, FairRule, Rule, TaskFlow, UniqueRule
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, Lost, Refused, Retried, Snoozed, TaskRecord, checksum
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.keyed import UNFIT, put_for
from penstock.testing.conformance.kit import (
    BODY,
    ERROR,
    OTHER_HOLDER,
    StoreClaims,
    elapse,
    group,
    ids_of,
    put,
    rest,
    settle,
    states,
    take,
    take_one,
)

TASK = "app.work"


def declare(
    store: Store,
    *tasks: str,
    weights: dict[str, float] | None = None,
    limits: Sequence[Rule] = (),
    by: str = "tenant",
) -> None:
    """Tenants take turns among the jobs of these tasks."""
    flow = TaskFlow(limits=tuple(limits), fair=FairRule(by, weights or {}))
    store.register_tasks([TaskRecord(task, flow=flow) for task in tasks or (TASK,)])


def order(store: Store, **owners: Sequence[bytes]) -> str:
    """Lease all, and answer whose jobs came, in order: the names of ``owners``, each of one letter. Those of one owner
    come in the order that they are given in."""
    left = {name: list(ids) for name, ids in owners.items()}
    found = ""
    for job in ids_of(take(store, 1_000)):
        (name,) = [name for name, ids in left.items() if ids and ids[0] == job]
        left[name].pop(0)
        found += name
    return found


class FairnessClaims(StoreClaims):
    """Turns."""

    def test_who_comes_last_with_few_does_not_wait_for_who_came_first_with_many(self, store: Store) -> None:
        declare(store)
        many = put_for(store, "acme", 300)
        assert ids_of(take(store, 10)) == many[:10]
        few = put_for(store, "bolt", 2)
        assert ids_of(take(store, 4)) == [many[10], few[0], many[11], few[1]]
        assert ids_of(take(store, 1)) == [many[12]]

    def test_each_tenant_has_its_job_before_any_has_two_turns_more(self, store: Store) -> None:
        declare(store)
        jobs = {name: put_for(store, name, 20) for name in "abcde"}
        take(store, 17)
        late = put_for(store, "late")
        leased = next(number for number in count() if ids_of(take(store, 1)) == late)
        assert leased <= 2 * len(jobs)

    def test_tenants_of_one_call_take_turns(self, store: Store) -> None:
        declare(store)
        entries = [
            JobEntry(job, BODY, checksum(BODY), values={"tenant": tenant})
            for job, tenant in zip(new_ids(7), "aaaabbc", strict=True)
        ]
        store.enqueue([group(*entries)])
        ids = [entry.id for entry in entries]
        assert order(store, a=ids[:4], b=ids[4:6], c=ids[6:]) == "abcabaa"

    def test_a_large_call_agrees_with_small_ones(self, store: Store) -> None:
        declare(store)
        tenants = [tenant for _, tenant in zip(range(150), cycle("aab"), strict=False)]
        ids = new_ids(150)
        store.enqueue(
            [
                group(
                    *(
                        JobEntry(job, BODY, checksum(BODY), values={"tenant": tenant})
                        for job, tenant in zip(ids, tenants, strict=True)
                    )
                )
            ]
        )
        theirs = {
            name: [job for job, tenant in zip(ids, tenants, strict=True) if tenant == name] for name in ("a", "b")
        }
        assert order(store, **theirs) == "ab" * 50 + "a" * 50

    def test_a_heavier_tenant_has_more_turns(self, store: Store) -> None:
        declare(store, weights={"h": 3.0})
        light, heavy = put_for(store, "l", 3), put_for(store, "h", 9)
        assert order(store, l=light, h=heavy) == "hhhlhhhlhhhl"

    def test_jobs_without_a_tenant_are_one_tenants(self, store: Store) -> None:
        declare(store)
        nobodys, others = put_for(store, None, 3), put_for(store, "bolt", 2)
        empty = put_for(store, "", 1)
        assert order(store, n=[*nobodys, *empty], o=others) == "nononn"

    def test_priorities_come_first_and_each_has_its_turns(self, store: Store) -> None:
        declare(store)
        low, high = put_for(store, "a", 3), put_for(store, "a", 3, priority=5)
        late_low, late_high = put_for(store, "b"), put_for(store, "b", priority=5)
        assert ids_of(take(store)) == [high[0], late_high[0], high[1], high[2], low[0], late_low[0], low[1], low[2]]

    def test_urgent_jobs_do_not_use_up_the_turns_of_others(self, store: Store) -> None:
        declare(store)
        low = put_for(store, "a", 50)
        put_for(store, "a", 40, priority=5)
        take(store, 40)
        late = put_for(store, "b")
        assert ids_of(take(store, 2)) == [low[0], late[0]]

    def test_who_was_away_has_saved_nothing_up(self, store: Store) -> None:
        declare(store)
        mine, theirs = put_for(store, "a", 50), put_for(store, "b", 1)
        take(store, 31)
        more = put_for(store, "b", 3)
        assert order(store, a=mine[30:], b=more)[:8] == "abababaa"
        assert states(store, theirs) == [State.RUNNING]

    def test_between_queues_turns_say_nothing(self, store: Store) -> None:
        declare(store)
        first, second = put_for(store, "a", 2, queue="x"), put_for(store, "a", 2, queue="y")
        late = put_for(store, "b", queue="x")
        assert ids_of(take(store)) == [first[0], *second, late[0], first[1]]

    def test_two_tasks_of_a_queue_share_its_turns(self, store: Store) -> None:
        declare(store, "app.one", "app.two")
        mine = put_for(store, "a", 3, task="app.one") + put_for(store, "a", 2, task="app.two")
        theirs = put_for(store, "b", 2, task="app.two")
        assert order(store, a=mine, b=theirs) == "ababaaa"

    def test_workers_of_one_task_alone_keep_to_its_turns(self, store: Store) -> None:
        declare(store, "app.one", "app.two")
        mine, other = put_for(store, "a", 3, task="app.one"), put_for(store, "a", 2, task="app.two")
        theirs = put_for(store, "b", 1, task="app.one")
        assert ids_of(take(store, tasks=["app.one"])) == [mine[0], theirs[0], *mine[1:]]
        assert ids_of(take(store)) == other

    def test_a_task_without_fairness_in_a_fair_queue_is_one_tenants(self, store: Store) -> None:
        declare(store, "app.one")
        before = put(store, 1, task="app.other")
        mine = put_for(store, "a", 3, task="app.one")
        plain = put(store, 4, task="app.other")
        assert order(store, p=before + plain, a=mine) == "papapapp"

    def test_jobs_that_were_there_first_come_first(self, store: Store) -> None:
        before = put_for(store, "a", 3)
        declare(store)
        mine, theirs = put_for(store, "a", 2), put_for(store, "b", 1)
        assert ids_of(take(store)) == [*before, mine[0], theirs[0], mine[1]]

    def test_a_rule_that_is_gone_leaves_all_jobs_to_nobody(self, store: Store) -> None:
        declare(store)
        mine = put_for(store, "a", 3)
        store.register_tasks([TaskRecord(TASK)])
        nobodys = put_for(store, "b", 1) + put_for(store, "c", 1)
        assert order(store, a=mine, n=nobodys) == "anana"

    def test_a_duplicate_takes_no_turn(self, store: Store) -> None:
        declare(store)
        (known,) = put_for(store, "a")
        again = JobEntry(known, BODY, checksum(BODY), values={"tenant": "a"})
        new = JobEntry(new_ids(1)[0], BODY, checksum(BODY), values={"tenant": "a"})
        store.enqueue([group(again, new)])
        mine, theirs = [known, new.id, *put_for(store, "a")], put_for(store, "b", 3)
        assert order(store, a=mine, b=theirs) == "ababab"


class KeptTurnClaims(StoreClaims):
    """What keeps its place, and what takes another turn."""

    def test_what_comes_back_unrun_or_lost_has_its_turn_still(self, store: Store) -> None:
        declare(store)
        mine = put_for(store, "a", 8)
        held = take(store, 4)
        theirs = put_for(store, "b", 2)
        assert ids_of(take(store, 2)) == [mine[4], theirs[0]]
        settle(store, released=[held[1].fence], lost=[Lost(held[2].fence, Loss.STRAY, ERROR)])
        assert ids_of(take(store, 3)) == [mine[1], mine[2], mine[5]]

    def test_what_is_refused_has_its_turn_still(self, store: Store) -> None:
        declare(store)
        mine, theirs = put_for(store, "a", 3), put_for(store, "b", 3)
        held = take_one(store)
        settle(store, refused=[Refused(held.fence, UNFIT)])
        assert ids_of(take(store, 2, holder=OTHER_HOLDER)) == [mine[0], theirs[0]]

    def test_a_retry_takes_the_next_turn(self, store: Store) -> None:
        declare(store)
        mine, theirs = put_for(store, "a", 2), put_for(store, "b", 4)
        held = take_one(store)
        settle(store, retried=[Retried(held.fence, 0.0, ERROR)])
        assert order(store, b=theirs, a=[mine[1], mine[0]]) == "babbab"

    def test_a_delayed_job_cannot_jump_ahead(self, store: Store, clock: VirtualClock) -> None:
        declare(store)
        later = put_for(store, "a", delay_s=5.0)
        mine = put_for(store, "a", 4)
        assert ids_of(take(store, 2)) == mine[:2]
        (snoozed,) = put_for(store, "c")
        held = [one for one in take(store, 2) if one.job.id == snoozed]
        settle(store, snoozed=[Snoozed(held[0].fence, 5.0)])
        elapse(store, clock, 6.0)
        theirs = put_for(store, "b", 2)
        left = ids_of(take(store))
        assert left.index(mine[3]) < left.index(later[0])
        assert set(left) == {*later, *mine[3:], *theirs, snoozed}
        assert left.index(theirs[1]) == len(left) - 1 or left.index(theirs[1]) > left.index(snoozed)

    def test_a_job_that_is_moved_takes_a_turn_where_it_comes_to(self, store: Store) -> None:
        declare(store)
        here, there = put_for(store, "a", 30, queue="x"), put_for(store, "b", 3, queue="y")
        store.move([here[29]], "y")
        assert ids_of(take(store, queues=["y"])) == [here[29], *there]
        after = put_for(store, "c", queue="x")
        assert ids_of(take(store, 2, queues=["x"])) == [here[0], after[0]]

    def test_a_job_that_is_moved_leaves_its_turn_to_its_tenant(self, store: Store) -> None:
        declare(store)
        mine, theirs = put_for(store, "a", 5, queue="x"), put_for(store, "b", 5, queue="x")
        store.move(mine[1:], "y")
        new = put_for(store, "a", 1, queue="x")
        assert ids_of(take(store, 5, queues=["x"])) == [mine[0], theirs[0], theirs[1], new[0], theirs[2]]

    def test_another_priority_is_another_turn(self, store: Store) -> None:
        declare(store)
        low, high = put_for(store, "a", 30), put_for(store, "b", 3, priority=5)
        store.edit([low[29]], priority=5)
        assert ids_of(take(store, 4)) == [low[29], *high]

    def test_a_job_that_is_cancelled_or_deleted_gives_its_turn_back(self, store: Store, clock: VirtualClock) -> None:
        declare(store)
        mine, theirs = put_for(store, "a", 20), put_for(store, "b", 20)
        short = put_for(store, "a", 3, expires_s=1.0)
        store.cancel(mine[1:10])
        store.delete(mine[10:])
        elapse(store, clock, 2.0)
        assert states(store, short) == [State.EXPIRED] * 3
        new = put_for(store, "a", 2)
        assert order(store, a=[mine[0], *new], b=theirs)[:6] == "abbaba"

    def test_a_job_that_is_put_off_gives_its_turn_back(self, store: Store, clock: VirtualClock) -> None:
        declare(store)
        mine, theirs = put_for(store, "a", 5), put_for(store, "b", 5)
        store.edit(mine[1:], run_at=clock.time() + 60.0)
        new = put_for(store, "a", 1)
        assert order(store, a=[mine[0], *new], b=theirs) == "abbabbb"

    def test_a_debounced_job_takes_the_turn_of_its_new_tenant(self, store: Store) -> None:
        declare(store)
        mine, theirs = put_for(store, "a", 5), put_for(store, "b", 2)
        rule = UniqueRule(on_conflict="replace")
        first, second = (
            JobEntry(job, BODY, checksum(BODY), values={"tenant": tenant}, unique_key="k")
            for job, tenant in zip(new_ids(2), "ac", strict=True)
        )
        store.enqueue([group(first, unique=rule)])
        store.enqueue([group(second, unique=rule)])
        assert order(store, a=mine, b=theirs, c=[first.id]) == "abcabaaa"

    def test_a_queue_that_ran_dry_begins_anew(self, store: Store) -> None:
        declare(store)
        put_for(store, "a", 20)
        settle(store, forgotten=[held.fence for held in take(store)])
        rest(store)
        mine, theirs = put_for(store, "a", 2), put_for(store, "b", 2)
        assert order(store, a=mine, b=theirs) == "abab"

    def test_a_limit_for_each_tenant_and_turns_go_together(self, store: Store) -> None:
        declare(store, limits=[ConcurrencyRule(2, per="tenant")])
        mine, theirs = put_for(store, "a", 6), put_for(store, "b", 3)
        held = take(store)
        assert ids_of(held) == [mine[0], theirs[0], mine[1], theirs[1]]
        settle(store, forgotten=[held[0].fence, held[1].fence])
        assert ids_of(take(store)) == [mine[2], theirs[2]]


class TurnReopeningClaims(StoreClaims):
    """What a restart leaves."""

    def test_a_restart_keeps_the_turns(self, store: Store, clock: VirtualClock) -> None:
        declare(store)
        mine = put_for(store, "a", 30)
        take(store, 10)
        again = self.take_over(store, clock)
        theirs = put_for(again, "b", 2)
        more = put_for(again, "a", 1)
        assert ids_of(take(again, 4)) == [mine[10], theirs[0], mine[11], theirs[1]]
        assert ids_of(take(again))[-1] == more[0]

    def test_a_restart_keeps_what_is_fair(self, store: Store, clock: VirtualClock) -> None:
        declare(store, "app.one", "app.two")
        mine = put_for(store, "a", 5, task="app.one") + put_for(store, "a", 5, task="app.two")
        theirs = put_for(store, "b", 2, task="app.two")
        again = self.take_over(store, clock)
        assert order(again, a=mine, b=theirs)[:4] == "abab"
