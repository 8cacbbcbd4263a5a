from hypothesis import given
from hypothesis import strategies as st

from penstock.model import limits
from penstock.model.ids import new_id
from penstock.model.job import EnqueueAnswer, Enqueued, JobEntry, JobGroup
from penstock.model.states import State
from penstock.store.wire.gathering import BATCH_BYTES_MAX, Batch, Share

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


def test_a_job_counts_for_its_body_and_a_little_more():
    assert Share([]).size == 0
    job = JobEntry(new_id(), bytes(100), 0)
    assert Share([JobGroup("task", [job, job]), JobGroup("task", [job])]).size == 3 * (100 + 64)
    assert Share([JobGroup("task", [job, job]), JobGroup("task", [job])]).count == 3


def test_a_batch_is_filled_to_the_last_job():
    batch = Batch()
    half = Share([JobGroup("task", [entry()] * (limits.BATCH_JOBS_MAX // 2))])
    one = Share([JobGroup("task", [entry()])])
    batch.add(half)
    batch.add(Share([JobGroup("task", [entry()] * (limits.BATCH_JOBS_MAX - limits.BATCH_JOBS_MAX // 2 - 1))]))
    assert batch.fits(one)
    batch.add(one)
    assert not batch.fits(one)
    assert batch.fits(Share([]))


def test_a_batch_is_filled_to_the_last_byte():
    def of(size):
        return Share([JobGroup("task", [JobEntry(b"", bytes(size - 64), 0)])])

    batch = Batch()
    batch.add(of(BATCH_BYTES_MAX // 2))
    batch.add(of(BATCH_BYTES_MAX - BATCH_BYTES_MAX // 2 - 200))
    assert batch.fits(of(200))
    assert not batch.fits(of(201))


def test_jobs_of_one_caller_with_several_groups_stay_apart_from_others():
    """So that its groups keep their order among each other; those with headers or tags are not compared at all."""
    alone = [JobGroup("task", [entry()])]
    several = [JobGroup("task", [entry()]), JobGroup("task", [entry()])]
    headers = [JobGroup("task", [entry()], headers={"a": "b"})]
    tags = [JobGroup("task", [entry()], tags=["a"])]
    batch = Batch()
    for groups in (alone, several, headers, tags, alone, headers, tags):
        batch.add(Share(groups))
    assert [len(group.jobs) for group in batch.groups()] == [2, 1, 1, 2, 2]
    batch = Batch()
    for groups in (headers, [JobGroup("task", [entry()], headers={"a": "b"})]):
        batch.add(Share(groups))
    assert [len(group.jobs) for group in batch.groups()] == [1, 1]


def test_groups_without_jobs_are_stepped_over():
    batch = Batch()
    first = Share([JobGroup("a", [entry()])])
    none = Share([JobGroup("b", []), JobGroup("c", []), JobGroup("d", [])])
    last = Share([JobGroup("e", [entry()])])
    for share in (none, first, none, last, none):
        batch.add(share)
    told = [Enqueued(index, new_id(), State.READY, duplicate=True) for index in range(2)]
    answers = batch.split(EnqueueAnswer(0, told))
    assert [[one.id for one in answer.exceptions] for answer in answers] == [[], [told[0].id], [], [told[1].id], []]
    assert [answer.accepted for answer in answers] == [0, 0, 0, 0, 0]


def test_no_exceptions_are_nobodys():
    batch = Batch()
    assert not batch
    batch.add(Share([JobGroup("a", [entry()] * 3)]))
    assert batch
    assert batch.split(EnqueueAnswer(3, [])) == [EnqueueAnswer(3, [])]
