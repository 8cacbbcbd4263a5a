from hypothesis import given
from hypothesis import strategies as st

from penstock.model import limits
from penstock.model.ids import new_id
from penstock.model.job import EnqueueAnswer, Enqueued, JobEntry, JobGroup
from penstock.model.states import State
from penstock.store.wire.gathering import Batch, Share

shares = st.lists(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), min_size=0, max_size=3), max_size=6
)


def group(task, count, odd):
    return JobGroup(task, [entry() for _ in range(count)], headers={"a": "b"} if odd else None)


def entry():
    return JobEntry(new_id(), b"m", 0)


@given(shares, st.data())
def test_each_caller_is_told_what_it_would_have_been_told_alone(asked, data):
    batch = Batch()
    for groups in asked:
        headers = {"a": "b"}
        batch.add(
            Share(
                [
                    JobGroup(task, [entry() for _ in range(count)], headers=headers if odd else None)
                    for task, count, odd in groups
                ]
            )
        )
    sent = [job for group in batch.groups() for job in group.jobs]
    assert {job.id for job in sent} == {
        job.id for share in batch.shares for group in share.groups for job in group.jobs
    }
    told = {
        job.id: Enqueued(index, job.id, State.READY, duplicate=data.draw(st.booleans()))
        for index, job in enumerate(sent)
        if data.draw(st.booleans())
    }
    answers = batch.split(EnqueueAnswer(0, list(told.values())))
    for share, answer in zip(batch.shares, answers, strict=True):
        own = [job for group in share.groups for job in group.jobs]
        expected = [(index, job.id, told[job.id].duplicate) for index, job in enumerate(own) if job.id in told]
        assert [(each.index, each.id, each.duplicate) for each in answer.exceptions] == expected
        assert answer.accepted == len(own) - sum(duplicate for *_, duplicate in expected)


def test_callers_with_jobs_alike_share_one_group():
    batch = Batch()
    for _ in range(100):
        batch.add(Share([JobGroup("task", [entry()])]))
    batch.add(Share([JobGroup("task", [entry()], priority=1)]))
    assert [len(group.jobs) for group in batch.groups()] == [100, 1]


def test_a_batch_stays_within_what_one_request_may_hold():
    batch = Batch()
    large = Share([JobGroup("task", [entry()] * limits.BATCH_JOBS_MAX)])
    assert batch.fits(large)
    batch.add(large)
    assert not batch.fits(Share([JobGroup("task", [entry()])]))
