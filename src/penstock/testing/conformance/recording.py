"""Claims about what running jobs record: histories, checkpoints and published values."""
# ruff: noqa: D102 - the name of a test is its claim

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from penstock.model import limits
from penstock.model.durable_steps import History, JobRecords, Record, Recorded, RecordKind
from penstock.model.errors import InvalidOption, ResultTooLarge
from penstock.model.ids import new_id
from penstock.model.job import Buried, Cancelled, JobEntry, JobExtra, Lost, Retried, checksum
from penstock.model.losses import Loss
from penstock.model.states import State
from penstock.ports import Store
from penstock.testing.clock import VirtualClock
from penstock.testing.conformance.kit import (
    BODY,
    ERROR,
    HeldJob,
    StoreClaims,
    elapse,
    put,
    settle,
    states,
    succeeded,
    take_one,
)

ONE: Final = b"m\x01"
TWO: Final = b"m\x02"
LARGE: Final = b"m" + bytes(limits.RECORD_BYTES_MAX)

_decode_extra: Final = msgspec.msgpack.Decoder(JobExtra).decode


def step(place: int, name: str = "a", value: bytes = ONE, **told: Any) -> Record:
    """A step that has returned."""
    return Record(place, name, RecordKind.STEP, value, **told)


def write(store: Store, held: HeldJob, *records: Record, **told: Any) -> Recorded:
    """Record something of one job."""
    (answer,) = store.record([JobRecords(held.fence, held.job.id, list(records), **told)])
    return answer


def records(store: Store, job: bytes) -> list[Record]:
    """All that a job has recorded, page by page."""
    found: list[Record] = []
    cursor: int | None = 0
    while cursor is not None:
        page = store.history(job, first=cursor)
        found += page.records
        cursor = page.cursor
    return found


def is_recorded(held: HeldJob) -> bool:
    """Whether the runner of a job is told that it has a history."""
    return held.job.extra is not None and _decode_extra(held.job.extra).recorded


class RecordingClaims(StoreClaims):
    """What is recorded stays, as long as the job's record."""

    def test_a_history_is_in_the_order_of_places(self, store: Store, clock: VirtualClock) -> None:
        put(store)
        held = take_one(store)
        assert store.history(held.job.id) == History(now=clock.time())
        assert write(store, held, step(1, "b", TWO)) == Recorded(held=True)
        failed = Record(0, "a", RecordKind.STEP, error=ERROR)
        assert write(store, held, failed, step(2, "c")) == Recorded(held=True)
        history = store.history(held.job.id)
        assert history == History([failed, step(1, "b", TWO), step(2, "c")], None, None, clock.time())
        assert store.history(held.job.id, first=2).records == [step(2, "c")]

    def test_the_next_run_is_told_that_there_is_one(self, store: Store) -> None:
        other, job = put(store, 2)
        first = take_one(store)
        assert (first.job.id, is_recorded(first)) == (other, False)
        second = take_one(store)
        write(store, second, step(0))
        settle(store, released=[first.fence], lost=[Lost(second.fence, Loss.BLAMED, ERROR)])
        again = {held.job.id: is_recorded(held) for held in (take_one(store), take_one(store))}
        assert again == {other: False, job: True}
        assert records(store, job) == [step(0)]

    def test_headers_are_told_beside_it(self, store: Store) -> None:
        put(store, headers={"h": "1"}, tags=["t"])
        held = take_one(store)
        write(store, held, step(0))
        settle(store, released=[held.fence])
        extra = take_one(store).job.extra
        assert extra is not None
        assert _decode_extra(extra) == JobExtra({"h": "1"}, ["t"], recorded=True)

    def test_a_lease_that_has_ended_records_nothing(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        late = take_one(store)
        elapse(store, clock, limits.LEASE_S)
        held = take_one(store)
        assert write(store, late, step(0), checkpoint=ONE, published={"p": ONE}) == Recorded(held=False)
        assert (records(store, job), store.published(job)) == ([], {})
        write(store, held, step(0, "b"))
        assert records(store, job) == [step(0, "b")]

    def test_a_fence_of_another_job_records_nothing(self, store: Store) -> None:
        put(store, 2)
        held, other = take_one(store), take_one(store)
        answers = store.record(
            [JobRecords(held.fence, other.job.id, [step(0)]), JobRecords(other.fence, other.job.id, [step(1)])]
        )
        assert answers == [Recorded(held=False), Recorded(held=True)]
        assert (records(store, held.job.id), records(store, other.job.id)) == ([], [step(1)])

    def test_an_end_stands(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        write(store, held, step(0))
        assert write(store, held, step(0, "b", TWO), step(1)) == Recorded(held=True, standing=[step(0)])
        assert records(store, job) == [step(0), step(1)]

    def test_tries_give_way_to_what_became_of_them(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        tries = Record(0, "a", RecordKind.TRIES, error=ERROR, until=5.0, tries=1)
        assert write(store, held, tries) == Recorded(held=True)
        assert write(store, held, step(0)) == Recorded(held=True)
        assert records(store, job) == [step(0)]

    def test_a_long_history_comes_in_pages(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        count = limits.HISTORY_PAGE_RECORDS + 3
        written = [step(place, str(place)) for place in range(count)]
        write(store, held, *written, checkpoint=TWO)
        first = store.history(job)
        assert (len(first.records), first.cursor, first.checkpoint) == (count - 3, count - 3, TWO)
        last = store.history(job, first=count - 3)
        assert (last.records, last.cursor, last.checkpoint) == (written[-3:], None, None)

    def test_the_last_checkpoint_counts(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        write(store, held, checkpoint=ONE)
        write(store, held, step(0), checkpoint=TWO)
        write(store, held, step(1))
        assert store.history(job).checkpoint == TWO
        settle(store, retried=[Retried(held.fence, 0.0, ERROR)])
        assert is_recorded(take_one(store))
        assert store.history(job).checkpoint == TWO

    # --- how long it is kept -----------------------------------------------------------------------------------------
    @pytest.mark.parametrize("end", ["succeeded", "buried", "cancelled"])
    def test_it_is_kept_as_long_as_the_record(self, store: Store, clock: VirtualClock, end: str) -> None:
        (job,) = put(store)
        held = take_one(store)
        write(store, held, step(0), checkpoint=ONE, published={"p": ONE})
        outcome: Any = {
            "succeeded": succeeded(held.fence, clock, keep_record_s=10.0),
            "buried": Buried(held.fence, ERROR, keep_s=10.0),
            "cancelled": Cancelled(held.fence, 10.0),
        }[end]
        settled: Any = {end: [outcome]}
        settle(store, **settled)
        assert (records(store, job), set(store.published(job))) == ([step(0)], {"p"})
        elapse(store, clock, 11.0)
        assert (store.history(job).records, store.published(job)) == ([], {})
        assert store.history(job).checkpoint is None

    def test_a_job_of_which_nothing_is_kept_leaves_nothing(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        write(store, held, step(0), published={"p": ONE})
        settle(store, forgotten=[held.fence])
        assert (states(store, [job]), records(store, job), store.published(job)) == ([None], [], {})

    def test_a_job_that_is_deleted_leaves_nothing(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        write(store, held, step(0), published={"p": ONE})
        settle(store, released=[held.fence])
        assert store.delete([job]) == [True]
        assert (records(store, job), store.published(job)) == ([], {})

    def test_a_job_that_is_retried_by_hand_goes_on(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        write(store, held, step(0), checkpoint=ONE)
        settle(store, buried=[Buried(held.fence, ERROR)])
        assert store.revive([job]) == [State.READY]
        assert is_recorded(take_one(store))
        assert (records(store, job), store.history(job).checkpoint) == ([step(0)], ONE)

    def test_a_job_with_other_arguments_begins_anew(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        write(store, held, step(0), checkpoint=ONE)
        settle(store, buried=[Buried(held.fence, ERROR)])
        assert store.revive_edited(JobEntry(job, BODY, checksum(BODY))) is State.READY
        assert (records(store, job), store.history(job).checkpoint) == ([], None)

    # --- published values --------------------------------------------------------------------------------------------
    def test_of_a_published_value_the_latest_counts(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        held = take_one(store)
        write(store, held, published={"p": ONE, "q": ONE})
        elapse(store, clock, 1.0)
        write(store, held, published={"p": TWO})
        now = clock.time()
        assert store.published(job) == {"p": (TWO, now), "q": (ONE, now - 1.0)}
        assert store.published(job, ["p", "r"]) == {"p": (TWO, now)}
        assert store.published(new_id()) == {}

    def test_so_many_names_and_no_more(self, store: Store) -> None:
        (job,) = put(store)
        held = take_one(store)
        most = limits.PUBLISHED_VALUES_MAX
        write(store, held, published={str(number): ONE for number in range(most)})
        write(store, held, published={"0": TWO})
        with pytest.raises(InvalidOption, match="PUBLISHED_VALUES_MAX"):
            write(store, held, step(0), published={"one more": ONE})
        assert (records(store, job), len(store.published(job))) == ([], most)

    # --- what is refused ---------------------------------------------------------------------------------------------
    @pytest.mark.parametrize(
        "asked",
        [
            {"records": [step(limits.RECORDS_OF_JOB_MAX)]},
            {"records": [step(-1)]},
            {"records": [step(0, "")]},
            {"records": [step(0, "x" * (limits.STEP_NAME_BYTES_MAX + 1))]},
            {"records": [Record(0, "sleep", RecordKind.SLEEP, until=limits.TIME_S_MAX)]},
            {"published": {"": ONE}},
        ],
        ids=["too many", "no place", "no name", "a long name", "out of reach", "no name of a value"],
    )
    def test_what_is_none_is_refused(self, store: Store, asked: dict[str, Any]) -> None:
        self._is_refused(store, asked, InvalidOption)

    @pytest.mark.parametrize(
        "asked", [{"records": [step(0, value=LARGE)]}, {"checkpoint": LARGE}, {"published": {"p": LARGE}}]
    )
    def test_what_is_too_large_is_refused(self, store: Store, asked: dict[str, Any]) -> None:
        self._is_refused(store, asked, ResultTooLarge)

    @staticmethod
    def _is_refused(store: Store, asked: dict[str, Any], error: type[Exception]) -> None:
        (good, job) = put(store, 2)
        first, held = take_one(store), take_one(store)
        with pytest.raises(error):
            store.record([JobRecords(first.fence, good, [step(0)]), JobRecords(held.fence, job, **asked)])
        assert records(store, good) == records(store, job) == []


class RecordedReopeningClaims(StoreClaims):
    """Stores that outlive their process."""

    def test_what_was_recorded_is_there_again(self, store: Store, clock: VirtualClock) -> None:
        (job,) = put(store)
        held = take_one(store)
        write(store, held, step(0), checkpoint=ONE, published={"p": ONE})
        again = self.take_over(store, clock)
        assert again.history(job) == History([step(0)], ONE, None, clock.time())
        assert again.published(job) == {"p": (ONE, clock.time())}
        assert write(again, held, step(1)).held
        settle(again, retried=[Retried(held.fence, 0.0, ERROR)])
        assert is_recorded(take_one(again))
