"""Unique jobs, with real processes that are killed: exactly one job for a key, and no key without its job."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from penstock.model.flow import UniqueRule
from penstock.model.ids import new_id
from penstock.model.job import Filter, JobEntry, JobGroup, LeaseRequest, Outcomes, checksum
from penstock.store.paging import all_steps
from tests.acceptance.owners import begun, connected, told

KEYS = 150
PRODUCERS = 4
HOLDER = b"holder-0-16bytes"

PRODUCE = """
from penstock.model.flow import UniqueRule
from penstock.model.ids import new_id
from penstock.model.job import JobEntry, JobGroup, checksum
rule = UniqueRule(on_conflict=sys.argv[3])
answers = []
for number in range(int(sys.argv[2])):
    entry = JobEntry(new_id(), b"m", checksum(b"m"), unique_key=str(number))
    answer = client.enqueue([JobGroup("task", [entry], unique=rule)])
    answers.append(int.from_bytes(answer.exceptions[0].id if answer.exceptions else entry.id, "big"))
print(*answers)
client.close()
"""


def unique(key: str, rule: UniqueRule | None = None) -> JobGroup:
    return JobGroup("task", [JobEntry(new_id(), b"m", checksum(b"m"), unique_key=key)], unique=rule or UniqueRule())


@pytest.mark.parametrize("on_conflict", ["existing", "refuse", "replace"])
def test_fault_22_producers_of_the_same_unique_keys_while_the_owner_is_killed(
    directory: Path, on_conflict: str
) -> None:
    """Row 22 of the faults: concurrent enqueue of the same unique key, and a crash between key and job."""
    with connected(directory) as client:
        processes = begun(PRODUCERS, PRODUCE, directory, KEYS, on_conflict)
        for kill in range(1, 4):
            while client.totals().counts.accepted_total < KEYS * kill // 5:
                client.capabilities()
            os.kill(client.owner_statistics().pid, signal.SIGKILL)
        answers = [told(process) for process in processes]
        named = [set(ids) for ids in zip(*answers, strict=True)]
        assert [len(ids) for ids in named] == [1] * KEYS, "all were told of the same job"
        assert client.totals().counts.accepted_total == client.totals().counts.ready == KEYS, "exactly one for each key"
        # No key is left without its job: with the jobs their keys go, too.
        assert all_steps(lambda cursor: client.cancel_where(Filter(), cursor=cursor)) == KEYS
        assert sum(client.enqueue([unique(str(number))]).accepted for number in range(KEYS)) == KEYS


def test_an_owner_that_is_killed_between_settlements_frees_each_key_with_its_job(directory: Path) -> None:
    with connected(directory) as client:
        for number in range(5):
            assert client.enqueue([unique("k")]).accepted == 1
            batch = client.lease(LeaseRequest(HOLDER, 1))
            os.kill(client.owner_statistics().pid, signal.SIGKILL)
            if number % 2:
                assert client.enqueue([unique("k")]).accepted == 0, "the lease is kept, and with it the key"
            assert client.settle(Outcomes(HOLDER, forgotten=[batch.first_fence])).exceptions == []
            os.kill(client.owner_statistics().pid, signal.SIGKILL)
        assert client.totals().counts.succeeded_total == 5
