"""Any plan, any order of ends, whatever happens to the store meanwhile: the end is what the plan says."""

from contextlib import suppress
from random import Random

import pytest

from penstock.model.errors import StoreUnavailable
from penstock.store.sqlite.store import SqliteStore
from tests.unit.store.sqlite.workflow_lives import Life, ids

__all__ = ["ids"]

pytestmark = pytest.mark.usefixtures("ids")


@pytest.mark.parametrize("seed", range(40))
def test_any_plan_comes_to_its_end(store, clock, audit, seed):
    life = Life(store, clock, Random(seed)).go()
    life.check_end()
    audit(store)


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_with_compensations_is_undone_and_comes_to_its_end_when_it_is_retried(store, clock, audit, seed):
    life = Life(store, clock, Random(seed), 0.25, undo=True).go()
    assert life.view().state in ("failed", "succeeded")
    audit(store)
    if life.view().state == "failed":
        life.all_well = True
        store.retry_workflow(life.id)
        life.go()
        assert life.view().state == "succeeded"
        for number, step in enumerate(life.drawn.plan.steps):
            if step.block is None:
                assert life.steps()[number].state == "succeeded"
                life.value(number)
        audit(store)


@pytest.mark.parametrize("seed", range(20))
def test_a_store_that_is_opened_anew_now_and_then_goes_on(path, clock, audit, seed):
    random = Random(seed)
    life = Life(SqliteStore(path, clock=clock), clock, random)

    def now_and_then():
        if random.random() < 0.2:
            life.store.close()
            life.store = SqliteStore(path, clock=clock)

    life.after = now_and_then
    life.go().check_end()
    audit(life.store)
    life.store.close()


@pytest.mark.parametrize("seed", range(20))
def test_what_is_rolled_back_has_not_happened(store, clock, audit, seed):
    """Each call is made, undone, and made again."""

    class Twice(Life):
        def call(self, name, *args, **kwargs):
            if name in {"settle", "tick", "start_workflow", "add_members"} and self.random.random() < 0.5:
                store.begin()
                with suppress(Exception):
                    getattr(store, name)(*args, **kwargs)
                if store.in_group:
                    store.rollback()
            return super().call(name, *args, **kwargs)

    life = Twice(store, clock, Random(seed)).go()
    life.check_end()
    audit(store)


@pytest.mark.parametrize("seed", range(10))
def test_a_disk_that_fails_now_and_then_loses_nothing(disk, faulty_store, clock, audit, seed):
    chance = Random(seed)

    class Failing(Life):
        def call(self, name, *args, **kwargs):
            if name in {"settle", "tick", "add_members"} and chance.random() < 0.4:
                disk.fail_at(chance.randint(1, 12))
                try:
                    return super().call(name, *args, **kwargs)
                except StoreUnavailable:
                    pass
                finally:
                    disk.heal()
            return super().call(name, *args, **kwargs)

    life = Failing(faulty_store, clock, Random(seed)).go()
    life.check_end()
    audit(faulty_store)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_left_of_a_workflow_whose_time_is_up(store, clock, audit, seed):
    life = Life(store, clock, Random(seed)).go()
    clock.advance(life.drawn.plan.keep_s + 1.0)
    while store.tick().next_s == 0:
        pass
    assert life.view() is None
    audit(store)
    tables = ("workflow", "step", "step_facts", "held_members", "member_block", "workflow_work", "workflow_records")
    for table in tables:
        assert store.database.connection.execute(f"SELECT count(*) FROM {table}").get == 0, table
    assert store.database.connection.execute("SELECT count(*) FROM job WHERE step IS NOT NULL").get == 0


@pytest.mark.parametrize("seed", range(30))
def test_a_fork_stands_on_what_had_succeeded_and_runs_the_rest_anew(store, clock, audit, seed):
    random = Random(seed)
    life = Life(store, clock, random).go()
    states = [step.state for step in life.steps()]
    top = {number: step for number, step in enumerate(life.drawn.plan.steps) if step.block is None}
    can = [number for number, step in top.items() if all(states[need] == "succeeded" for need in step.needs())]
    forked = life.forked(random.choice(can))
    forked.all_well = True
    forked.go()
    assert forked.view().state == "succeeded"
    audit(store)
    again = forked.forked(random.choice(list(top)))
    again.go()
    assert again.view().state == "succeeded"
    audit(store)
    clock.advance(life.drawn.plan.keep_s + 1.0)
    for _ in range(5):
        while store.tick().next_s == 0:
            pass
    assert [one.view() for one in (life, forked, again)] == [None] * 3
    assert store.database.connection.execute("SELECT count(*) FROM step").get == 0
