"""Claims about the order of a key in what a door delivers: nothing of a key is given out before what came earlier."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from penstock.model.flow import ConcurrencyRule
from penstock.model.flow_texts import HEADER
from penstock.model.job import Buried, Retried, Snoozed
from penstock.model.message_ids import copy_id
from penstock.model.topics import KEY_HEADER
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.delivering import ENDS, FIRST, SECOND
from penstock.testing.conformance.kit import ERROR, HeldJob, StoreClaims, elapse, settle, take
from penstock.testing.conformance.publishing import message, publish

CHANNEL = "orders:a"
Way = Callable[[Store, VirtualClock, HeldJob], None]


def _requeue(store: Store, _: VirtualClock, held: HeldJob, *, delay_s: float) -> None:
    settle(store, holder=held.holder, retried=[Retried(held.fence, delay_s, ERROR)])


def _snooze(store: Store, _: VirtualClock, held: HeldJob) -> None:
    settle(store, holder=held.holder, snoozed=[Snoozed(held.fence, 0.0)])


def _release(store: Store, _: VirtualClock, held: HeldJob) -> None:
    settle(store, holder=held.holder, released=[held.fence])


LATER = "put back for a while"
UNFINISHED: dict[str, Way] = {
    **ENDS,
    "put back": partial(_requeue, delay_s=0.0),
    LATER: partial(_requeue, delay_s=5.0),
    "put back, and not counted": _snooze,
    "not sent": _release,
}
"""The ways in which a message can come to be delivered once more."""


class DeliveredOrderClaims(StoreClaims):
    """A channel with the limit by which a door keeps the order of a key."""

    def _published(self, store: Store) -> dict[bytes, str]:
        """A channel with three messages of the key k and two of l. Answers which copy is which."""
        store.create_channel("orders", "a")
        store.put_limits(f"queue:{CHANNEL}", [ConcurrencyRule(1, per=f"{HEADER}{KEY_HEADER}", order="fifo")])
        told = {}
        for name in ("k1", "l1", "k2", "k3", "l2"):
            (one,) = publish(store, message(name.encode()), headers={KEY_HEADER: name[0]})
            told[copy_id(one, 0)] = name
        return told

    def _given(self, store: Store, told: dict[bytes, str], keep: str, holder: bytes = FIRST) -> dict[str, HeldJob]:
        """What a holder is given now, by name. All but what belongs to the key ``keep`` is given back."""
        given = {told[one.job.id]: one for one in take(store, holder=holder, channels=[CHANNEL])}
        settle(store, holder=holder, released=[one.fence for name, one in given.items() if name[0] != keep])
        return given

    @pytest.mark.parametrize("way", UNFINISHED)
    def test_one_that_is_not_finished_comes_again_before_any_other_of_its_key(
        self, store: Store, clock: VirtualClock, way: str
    ) -> None:
        told = self._published(store)
        for _ in range(3):
            given = self._given(store, told, "k")
            assert sorted(given) == ["k1", "l1"]
            assert sorted(self._given(store, told, "k", SECOND)) == ["l1"], "another key does not wait"
            UNFINISHED[way](store, clock, given["k1"])
            if way == LATER:
                assert sorted(self._given(store, told, "k", SECOND)) == ["l1"]
                elapse(store, clock, 5.0)
        order: list[str] = []
        while given := {told[one.job.id]: one for one in take(store, 1, holder=FIRST, channels=[CHANNEL])}:
            order += given
            settle(store, holder=FIRST, forgotten=[one.fence for one in given.values()])
        assert [[name for name in order if name[0] == key] for key in "kl"] == [["k1", "k2", "k3"], ["l1", "l2"]]

    def test_one_that_is_dead_lets_the_next_of_its_key_go(self, store: Store) -> None:
        told = self._published(store)
        held = self._given(store, told, "k")["k1"]
        settle(store, holder=FIRST, buried=[Buried(held.fence, ERROR)])
        assert sorted(self._given(store, told, "k")) == ["k2", "l1"]

    def test_a_door_that_is_gone_with_many_keys_gives_them_back_in_their_order(self, store: Store) -> None:
        told = self._published(store)
        given = self._given(store, told, "k")
        others = self._given(store, told, "l", SECOND)
        assert (sorted(given), sorted(others)) == (["k1", "l1"], ["l1"])
        assert store.reconcile(FIRST[:12], []) == 2
        assert sorted(self._given(store, told, "k")) == ["k1", "l1"]
