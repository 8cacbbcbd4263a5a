"""Runs of jobs with durable steps, when the store does not do what they want."""

import asyncio
import threading

import pytest

from penstock.model.durable_steps import History, Record, Recorded, RecordKind
from penstock.model.errors import (
    InvalidOption,
    SoftTimeLimitExceeded,
    StepFailed,
    StoreFull,
    StoreUnavailable,
)
from penstock.model.job import Buried, Snoozed, Suspended
from penstock.worker.executor.async_run import AsyncRun
from penstock.worker.executor.blocking_run import BlockingRun
from penstock.worker.executor.durable_run import STORE_AGAIN_S, RunOver, cause_of

JOB, FENCE, AT = bytes(16), 7, 100.0


class Store:
    """Notes what is recorded, and answers as it is told: an error is raised."""

    def __init__(self):
        self.sent = []
        self.answers = []
        self.pages = []
        self.heard = threading.Event()

    def record(self, jobs):
        [job] = jobs
        self.sent.append(job)
        self.heard.set()
        answer = self.answers.pop(0) if self.answers else Recorded(held=True)
        if isinstance(answer, Exception):
            raise answer
        return [answer]

    def history(self, job, *, first=0):
        assert job == JOB
        page = self.pages[first]
        if isinstance(page, Exception):
            raise page
        return page


class AsyncStore:
    def __init__(self, store):
        self._store = store

    async def record(self, jobs):
        return self._store.record(jobs)

    async def history(self, job, *, first=0):
        return self._store.history(job, first=first)


class Connection:
    def __init__(self, store):
        self._store = store

    def store(self):
        return self._store

    async def async_store(self):
        return AsyncStore(self._store)


class Desk:
    """Runs functions of one kind. They are generators of calls, as thunks, and are sent the answers."""

    def __init__(self, kind):
        self.kind = kind
        self.store = Store()

    def run(self, function, *, load=False):
        """Answers what the attempt comes to, and what was raised."""
        return asyncio.run(self._awaited(function, load)) if self.kind == "async" else self._called(function, load)

    def _called(self, function, load):
        self.of = run = BlockingRun(Connection(self.store), JOB, FENCE)
        error = None
        try:
            if load:
                run.load()
            steps = function(run)
            answer = None
            while True:
                try:
                    call = steps.send(answer)
                except StopIteration:
                    break
                while True:
                    try:
                        answer = call()
                        break
                    except BaseException as raised:
                        call = steps.throw(raised)
        except StopIteration:
            pass
        except BaseException as raised:
            error = raised
        run.finish()
        return run.outcome(AT, error), error

    async def _awaited(self, function, load):
        self.of = run = AsyncRun(Connection(self.store), JOB, FENCE, asyncio.get_running_loop())
        error = None
        try:
            if load:
                await run.load()
            steps = function(run)
            answer = None
            while True:
                try:
                    call = steps.send(answer)
                except StopIteration:
                    break
                while True:
                    try:
                        answer = await call()
                        break
                    except BaseException as raised:
                        call = steps.throw(raised)
        except StopIteration:
            pass
        except BaseException as raised:
            error = raised
        await run.finish()
        return run.outcome(AT, error), error


@pytest.fixture(params=["blocking", "async"])
def desk(request):
    return Desk(request.param)


def step(run, name, function=int, *args):
    return lambda: run.step(name, function, args, {}, None)


def names(job):
    return [record.name for record in job.records]


def test_each_step_is_one_request(desk):
    def work(run):
        for name in "abc":
            yield step(run, name)

    assert desk.run(work) == (None, None)
    assert list(map(names, desk.store.sent)) == [["a"], ["b"], ["c"]]
    assert {(job.fence, job.job) for job in desk.store.sent} == {(FENCE, JOB)}


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), StoreFull("full")])
def test_a_store_that_cannot_record_lets_the_job_run_again_uncharged(desk, error):
    called = []

    def work(run):
        yield step(run, "a", called.append, 1)
        called.append("never")

    desk.store.answers = [error]
    outcome, raised = desk.run(work)
    assert outcome == Snoozed(FENCE, STORE_AGAIN_S)
    assert (type(raised), called) == (RunOver, [1])


def test_a_lease_that_is_lost_ends_the_run_whatever_the_function_makes_of_it(desk):
    called = []

    def work(run):
        try:
            yield step(run, "a")
        finally:
            called.append("clears up")

    desk.store.answers = [Recorded(held=False)]
    outcome, raised = desk.run(work)
    assert (outcome, type(raised), called) == (Snoozed(FENCE, 0.0), RunOver, ["clears up"])
    assert desk.of.outcome(AT, None) == Snoozed(FENCE, 0.0)
    assert desk.of.outcome(AT, ValueError()) == Snoozed(FENCE, 0.0)


def test_nothing_is_called_once_the_run_is_over():
    store = Store()
    store.answers = [Recorded(held=False)]
    run = BlockingRun(Connection(store), JOB, FENCE)
    with pytest.raises(RunOver):
        run.step("a", int, (), {}, None)
    for call in (lambda: run.step("b", pytest.fail, ("it was called",), {}, None), lambda: run.checkpoint(1)):
        with pytest.raises(RunOver):
            call()
    assert len(store.sent) == 1


def test_what_the_store_refuses_buries_the_job(desk):
    def work(run):
        try:
            yield step(run, "a")
        except InvalidOption:
            yield step(run, "b")

    desk.store.answers = [InvalidOption("too many")]
    outcome, _ = desk.run(work)
    assert isinstance(outcome, Buried)
    assert (outcome.error.type, outcome.error.message) == ("InvalidOption", "too many")
    assert len(desk.store.sent) == 1


def test_a_history_is_read_page_by_page(desk):
    records = [Record(place, f"s{place}", RecordKind.STEP, bytes([*b"m", place])) for place in range(3)]
    desk.store.pages = [History(records[:2], b"m\x09", 1, 5.0), History(records[2:], None, None, 6.0)]
    seen = []

    def work(run):
        seen.append(run.restored())
        for place in range(3):
            value = yield step(run, f"s{place}", pytest.fail, "it was called")
            seen.append(value)

    assert desk.run(work, load=True) == (None, None)
    assert (seen, desk.store.sent) == ([9, 0, 1, 2], [])


def test_a_history_that_cannot_be_read_lets_the_job_run_again_uncharged(desk):
    desk.store.pages = [StoreUnavailable("gone")]
    outcome, error = desk.run(lambda run: pytest.fail("it was called"), load=True)
    assert (outcome, type(error)) == (Snoozed(FENCE, STORE_AGAIN_S), RunOver)


def fail():
    raise ValueError("no")


def test_what_was_caught_goes_with_the_next_record_and_only_with_that(desk):
    def work(run):
        with pytest.raises(StepFailed):
            yield step(run, "a", fail)
        with pytest.raises(StepFailed):
            yield step(run, "b", fail)
        yield step(run, "c")
        yield step(run, "d")
        yield lambda: run.sleep(5.0)

    outcome, _ = desk.run(work)
    assert list(map(names, desk.store.sent)) == [["a", "b", "c"], ["d"]]
    assert outcome == Suspended(FENCE, Record(4, "sleep", RecordKind.SLEEP), [], 5.0)


def test_what_was_caught_goes_with_a_suspension(desk):
    def work(run):
        with pytest.raises(StepFailed):
            yield step(run, "a", fail)
        yield lambda: run.wait_for("e", None)

    outcome, _ = desk.run(work)
    assert [record.name for record in outcome.before] == ["a"]
    assert outcome.before[0].error.type == "ValueError"
    assert "penstock/worker" not in outcome.before[0].error.traceback.split("in fail")[0].split("Traceback")[-1]
    assert desk.store.sent == []


def test_what_is_not_caught_is_not_recorded_and_its_cause_is_what_counts(desk):
    def work(run):
        yield step(run, "a", fail)

    outcome, error = desk.run(work)
    assert (outcome, type(error), desk.store.sent) == (None, StepFailed, [])
    assert isinstance(cause_of(error), ValueError)
    assert cause_of(error.__cause__) is error.__cause__


def test_a_time_limit_in_a_step_is_not_the_steps_failure_and_leaves_room_to_clear_up(desk):
    def late():
        raise SoftTimeLimitExceeded("too long")

    def work(run):
        with pytest.raises(SoftTimeLimitExceeded):
            yield step(run, "a", late)
        yield step(run, "clear up")

    assert desk.run(work) == (None, None)
    assert list(map(names, desk.store.sent)) == [["clear up"]]


def test_a_time_that_began_before_keeps_its_end(desk):
    desk.store.pages = [History([Record(0, "sleep", RecordKind.SLEEP, until=50.0)], now=49.0)]

    def work(run):
        yield lambda: run.sleep(500.0)

    outcome, _ = desk.run(work, load=True)
    assert outcome == Suspended(FENCE, Record(0, "sleep", RecordKind.SLEEP, until=50.0), [], None)


# --- published values -----------------------------------------------------------------------------------------------
def test_the_latest_of_a_name_is_sent_and_with_a_record_if_there_is_one(desk):
    def work(run):
        run.publish_value("p", 1)
        run.publish_value("p", 2)
        yield step(run, "a")

    assert desk.run(work) == (None, None)
    assert [(names(job), job.published) for job in desk.store.sent] == [(["a"], {"p": b"m\x02"})]


def test_what_is_published_is_sent_while_the_function_goes_on(desk):
    def work(run):
        run.publish_value("p", 1)
        if desk.kind == "async":
            yield lambda: asyncio.to_thread(desk.store.heard.wait, 20.0)
        else:
            yield lambda: desk.store.heard.wait(20.0)
        assert desk.store.sent[0].published == {"p": b"m\x01"}

    assert desk.run(work) == (None, None)
    assert len(desk.store.sent) == 1


def test_what_is_published_is_sent_before_the_outcome(desk):
    def work(run):
        run.publish_value("p", 1)
        return
        yield

    assert desk.run(work) == (None, None)
    assert [job.published for job in desk.store.sent] == [{"p": b"m\x01"}]


def test_what_was_caught_is_not_recorded_by_publishing(desk):
    def work(run):
        run.publish_value("p", 1)
        yield step(run, "a", fail)

    desk.run(work)
    assert [(job.records, job.published) for job in desk.store.sent] == [([], {"p": b"m\x01"})]


def test_a_store_that_is_away_loses_what_is_published_and_nothing_else(desk):
    def work(run):
        run.publish_value("p", 1)
        return
        yield

    desk.store.answers = [StoreUnavailable("gone")]
    assert desk.run(work) == (None, None)


def test_after_the_end_nothing_is_recorded(desk):
    desk.run(lambda run: iter(()))
    with pytest.raises(InvalidOption, match="This attempt has ended"):
        desk.of.publish_value("p", 1)
    assert desk.store.sent == []
