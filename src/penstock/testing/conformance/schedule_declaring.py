"""Claims about schedules that applications have in their code."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

import pytest
from msgspec.structs import replace

from penstock.model import limits
from penstock.model.errors import Conflict, InvalidOption
from penstock.model.schedules import Schedule
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    StoreClaims,
    entry,
    group,
    leap,
)
from penstock.testing.conformance.scheduling import (
    DAY,
    MINUTE,
    history,
    job,
    minutely,
    pass_by,
    there,
    told,
)


class DeclaredClaims(StoreClaims):
    """Schedules that applications have in their code."""

    def test_declared_ones_fire(self, store: Store, clock: VirtualClock) -> None:
        store.register_tasks([], schedules=[minutely()], application="shop:app")
        view = there(store)
        assert (view.schedule.declared_by, view.is_declared, view.is_changed) == ("shop:app", True, False)
        pass_by(store, clock, MINUTE)
        assert told(store) == [("slot", "started")]

    def test_registered_again_nothing_changes(self, store: Store, clock: VirtualClock) -> None:
        store.register_tasks([], schedules=[minutely()], application="app")
        first = there(store)
        clock.advance(30.0)
        store.register_tasks([], schedules=[replace(minutely(), call=group(entry()))], application="app")
        assert there(store) == first

    def test_declared_otherwise_it_is_otherwise(self, store: Store) -> None:
        store.register_tasks([], schedules=[minutely()], application="app")
        store.register_tasks([], schedules=[minutely(every_s=5.0)], application="app")
        assert there(store).schedule.every_s == 5.0

    def test_one_that_left_the_code_is_shown_as_such_and_goes_on(self, store: Store, clock: VirtualClock) -> None:
        store.register_tasks([], schedules=[minutely("a"), minutely("b")], application="app")
        store.register_tasks([], schedules=[minutely("b")], application="app")
        assert (there(store, "a").is_declared, there(store, "b").is_declared) == (False, True)
        assert there(store, "a").schedule.declared_by == "app"
        pass_by(store, clock, MINUTE)
        assert told(store, "a") == [("slot", "started")]
        assert store.remove_schedule("a") is None
        assert store.schedule("a") is None
        store.register_tasks([], schedules=[minutely("a"), minutely("b")], application="app")
        assert there(store, "a").is_declared

    def test_an_application_speaks_of_its_own_alone(self, store: Store) -> None:
        store.register_tasks([], schedules=[minutely("a")], application="one")
        store.register_tasks([], schedules=[minutely("b")], application="two")
        store.register_tasks([])
        assert there(store, "a").is_declared
        store.register_tasks([], application="two")
        assert (there(store, "a").is_declared, there(store, "b").is_declared) == (True, False)

    def test_the_latest_application_to_declare_it_has_it(self, store: Store) -> None:
        """Such as one whose module has another name now."""
        store.register_tasks([], schedules=[minutely()], application="old")
        first = there(store)
        store.register_tasks([], schedules=[minutely()], application="new")
        assert there(store).schedule.declared_by == "new"
        assert there(store).next_slot == first.next_slot
        store.register_tasks([], application="old")
        assert there(store).is_declared

    def test_a_declared_one_is_not_removed_while_it_is_in_the_code(self, store: Store) -> None:
        store.register_tasks([], schedules=[minutely()], application="app")
        with pytest.raises(Conflict, match="declared by app"):
            store.remove_schedule("s")
        assert store.pause_schedule("s").is_paused
        store.register_tasks([], schedules=[minutely()], application="app")
        assert there(store).is_paused

    def test_a_change_by_hand_wins_until_it_is_removed(self, store: Store) -> None:
        store.register_tasks([], schedules=[minutely()], application="app")
        view = store.put_schedule(minutely(every_s=5.0))
        assert (view.is_changed, view.is_declared, view.schedule.declared_by) == (True, True, "app")
        store.register_tasks([], schedules=[minutely(every_s=7.0)], application="app")
        assert there(store).schedule.every_s == 5.0
        restored = store.remove_schedule("s", by="ann")
        assert restored is not None
        assert (restored.schedule.every_s, restored.is_changed) == (7.0, False)
        assert [one.verb for one in store.audit().entries] == ["restore"]

    def test_changed_back_by_hand_it_is_as_declared(self, store: Store) -> None:
        store.register_tasks([], schedules=[minutely()], application="app")
        store.put_schedule(minutely(every_s=5.0))
        assert not store.put_schedule(minutely()).is_changed

    def test_one_that_was_made_by_hand_stays_so_when_it_is_declared(self, store: Store) -> None:
        store.put_schedule(minutely(every_s=5.0))
        store.register_tasks([], schedules=[minutely()], application="app")
        assert (there(store).schedule.every_s, there(store).is_changed, there(store).is_declared) == (5.0, True, True)

    def test_a_declared_time_that_has_passed_does_nothing_and_stays(self, store: Store, clock: VirtualClock) -> None:
        """It may have been declared for years."""
        past = Schedule("s", call=job(), at=clock.time() - DAY)
        store.register_tasks([], schedules=[past], application="app")
        leap(store, clock, limits.SCHEDULE_KEEP_S + DAY)
        assert history(store) == []
        assert there(store).next_slot is None

    def test_two_of_one_name_or_too_many_are_refused(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InvalidOption, match="same name"):
            store.register_tasks([], schedules=[minutely(), minutely(every_s=5.0)], application="app")
        with pytest.raises(InvalidOption, match="which application"):
            store.register_tasks([], schedules=[minutely()])
        monkeypatch.setattr(limits, "SCHEDULES_DECLARED_MAX", 1)
        with pytest.raises(InvalidOption, match="SCHEDULES_DECLARED_MAX"):
            store.register_tasks([], schedules=[minutely("a"), minutely("b")], application="app")
        assert store.schedules().schedules == []
