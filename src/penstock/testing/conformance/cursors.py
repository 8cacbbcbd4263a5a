"""Claims about the positions of sources, which move with the jobs that were made of what was read."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any, Final

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption, StaleCursor
from penstock.model.source_cursors import SourceCursor
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import StoreClaims, counted, entry, group, states

_FIRST: Final = SourceCursor("orders", "0", 10, fence=2)


def _at(offset: int, *, fence: int = 2, source: str = "orders", partition: str = "0") -> SourceCursor:
    return SourceCursor(source, partition, offset, fence)


class CursorClaims(StoreClaims):
    """What becomes of a source's position."""

    def test_the_position_moves_with_the_jobs(self, store: Store) -> None:
        assert store.enqueue([group(entry(), entry())], cursor=_FIRST).accepted == 2
        assert store.cursors("orders") == [_FIRST]
        later = _at(11, fence=5)
        assert store.enqueue([group()], cursor=later).accepted == 1
        assert store.cursors("orders") == [later]
        assert counted(store)["accepted_total"] == 3

    def test_a_store_that_was_told_of_no_source_has_no_position(self, store: Store) -> None:
        store.enqueue([group()])
        assert store.cursors() == []
        assert store.cursors("orders") == []

    def test_a_position_moves_without_jobs_too(self, store: Store) -> None:
        """What was read may be nothing that jobs are made of."""
        store.enqueue([], cursor=_FIRST)
        store.enqueue([], cursor=_at(12))
        assert store.cursors() == [_at(12)]

    @pytest.mark.parametrize("passed", [_at(10), _at(9), _at(0), _at(10, fence=3), _at(9, fence=3)])
    def test_an_offset_that_was_passed_is_refused_whole(self, store: Store, passed: SourceCursor) -> None:
        store.enqueue([group()], cursor=_FIRST)
        job = entry()
        with pytest.raises(StaleCursor, match="offset 10, fence 2") as raised:
            store.enqueue([group(job, queue="new")], cursor=passed)
        assert (raised.value.offset, raised.value.fence) == (10, 2)
        assert states(store, [job.id]) == [None]
        assert counted(store, "new") == {}
        assert store.cursors() == [_FIRST]
        assert store.enqueue([group(job)]).accepted == 1

    @pytest.mark.parametrize("offset", [9, 10, 11, 1_000])
    def test_a_reader_that_was_replaced_is_refused(self, store: Store, offset: int) -> None:
        store.enqueue([group()], cursor=_FIRST)
        with pytest.raises(StaleCursor) as raised:
            store.enqueue([group()], cursor=_at(offset, fence=1))
        assert (raised.value.offset, raised.value.fence) == (10, 2)
        assert counted(store)["accepted_total"] == 1

    def test_a_new_reader_takes_a_partition_over_where_it_is(self, store: Store) -> None:
        """It need not know where that is, and nobody moves the position after it has asked."""
        store.enqueue([group()], cursor=_FIRST)
        store.enqueue([], cursor=_at(0, fence=3))
        assert store.cursors() == [_at(10, fence=3)]
        with pytest.raises(StaleCursor):
            store.enqueue([group()], cursor=_at(11))
        with pytest.raises(StaleCursor):
            store.enqueue([], cursor=_at(0, fence=3))
        store.enqueue([group()], cursor=_at(11, fence=3))
        assert store.cursors() == [_at(11, fence=3)]

    def test_partitions_and_sources_move_by_themselves(self, store: Store) -> None:
        cursors = [_at(1, source="b"), _at(3), _at(2, partition="1"), _at(4, source="a", partition="x:1/2@3-4_5.6")]
        for cursor in cursors:
            store.enqueue([group()], cursor=cursor)
        assert store.cursors("orders") == [cursors[1], cursors[2]]
        assert store.cursors() == [cursors[3], cursors[0], cursors[1], cursors[2]]

    def test_jobs_that_are_known_do_not_hold_the_position(self, store: Store) -> None:
        job, other = entry(key="k"), entry(b"m\x01", key="k")
        store.enqueue([group(job)])
        answer = store.enqueue([group(job, other, entry())], cursor=_FIRST)
        assert (answer.accepted, len(answer.exceptions)) == (1, 2)
        assert store.cursors() == [_FIRST]

    def test_a_call_that_is_refused_whole_moves_nothing(self, store: Store) -> None:
        store.enqueue([group(entry(key="k"))])
        answer = store.enqueue([group(entry(), entry(b"m\x01", key="k"))], atomic=True, cursor=_FIRST)
        assert answer.accepted == 0
        with pytest.raises(InvalidOption):
            store.enqueue([group(priority=1_000)], cursor=_FIRST)
        assert store.cursors() == []
        assert store.enqueue([group(entry())], atomic=True, cursor=_FIRST).accepted == 1
        assert store.cursors() == [_FIRST]

    @pytest.mark.parametrize(
        ("bad", "field"),
        [
            ({"source": ""}, "source"),
            ({"source": "a b"}, "source"),
            ({"partition": "x" * (limits.SOURCE_NAME_CHARS_MAX + 1)}, "partition"),
            ({"offset": -1}, "offset"),
            ({"fence": -1}, "fence"),
        ],
    )
    def test_what_is_no_position_is_refused(self, store: Store, bad: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidOption) as raised:
            store.enqueue([group()], cursor=_at(**{"offset": 1} | bad))
        assert raised.value.field == field
        assert counted(store) == {}

    def test_removed_positions_are_forgotten(self, store: Store) -> None:
        for partition in ("0", "1", "2"):
            store.enqueue([], cursor=_at(5, partition=partition))
        store.enqueue([], cursor=_at(5, source="other"))
        assert store.remove_cursors("orders", partition="1") == 1
        assert store.remove_cursors("orders", partition="1") == 0
        assert [one.partition for one in store.cursors("orders")] == ["0", "2"]
        assert store.remove_cursors("orders") == 2
        assert store.remove_cursors("nobody") == 0
        assert [one.source for one in store.cursors()] == ["other"]
        store.enqueue([group()], cursor=_at(1, fence=0))
        assert store.cursors("orders") == [_at(1, fence=0)]

    def test_names_that_no_source_has_are_refused_everywhere(self, store: Store) -> None:
        with pytest.raises(InvalidOption):
            store.cursors("a b")
        with pytest.raises(InvalidOption):
            store.remove_cursors("")
        with pytest.raises(InvalidOption):
            store.remove_cursors("orders", partition="a b")

    def test_so_many_positions_are_kept_and_no_more(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "SOURCE_CURSORS_MAX", 2)
        store.enqueue([], cursor=_at(1))
        store.enqueue([], cursor=_at(1, partition="1"))
        with pytest.raises(InvalidOption, match="remove_cursors"):
            store.enqueue([group()], cursor=_at(1, partition="2"))
        assert counted(store) == {}
        store.enqueue([group()], cursor=_at(2, partition="1"))
        store.remove_cursors("orders", partition="0")
        store.enqueue([group()], cursor=_at(1, partition="2"))

    def test_positions_stand_after_a_take_over(self, store: Store, clock: VirtualClock) -> None:
        store.enqueue([group()], cursor=_FIRST)
        again = self.take_over(store, clock)
        assert again.cursors() == [_FIRST]
        with pytest.raises(StaleCursor):
            again.enqueue([group()], cursor=_at(10))
