"""The ledger of a queue."""

import pytest

from penstock.model.counts import QueueStats, less


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {"ready": 2, "scheduled": 1, "blocked": 1, "running": 1, "accepted_total": 5},
        {"succeeded": 1, "succeeded_total": 3, "accepted_total": 3},
        {"dead_total": 1, "accepted_total": 1, "discarded_total": 1, "dead_discarded_total": 1},
        {"accepted_total": 1, "discarded_total": 1},
        {"accepted_total": 1, "dead_total": 1, "revived_total": 1, "running": 1},
        {"moved_in_total": 1, "ready": 1},
        {"accepted_total": 1, "moved_out_total": 1},
        {
            "accepted_total": 1,
            "running": 1,
            "retried_total": 5,
            "lost_total": 2,
            "snoozed_total": 1,
            "released_total": 1,
        },
        {"accepted_total": 2, "cancelled_total": 1, "expired_total": 1},
    ],
    ids=str,
)
def test_a_ledger_that_names_every_job_has_nothing_unaccounted(counts):
    assert QueueStats(**counts).unaccounted() == 0


@pytest.mark.parametrize(("counts", "missing"), [({"accepted_total": 1}, 1), ({"succeeded_total": 1}, -1)])
def test_a_job_that_is_lost_or_invented_is_unaccounted(counts, missing):
    assert QueueStats(**counts).unaccounted() == missing


def test_what_is_left_of_a_whole_is_counted_in_each_field():
    whole = QueueStats(scheduled=5, ready=9, accepted_total=20, moved_out_total=7)
    part = QueueStats(scheduled=1, ready=4, accepted_total=20, moved_out_total=3)
    assert less(whole, part) == QueueStats(scheduled=4, ready=5, moved_out_total=4)
