"""A handle tells what became of its job, to threads and coroutines alike."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import uuid
from dataclasses import dataclass

import pytest

from penstock.model.errors import (
    InvalidOption,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobNotFound,
    ResultExpired,
    ResultTimeout,
)
from penstock.model.job import JobView, LeaseRequest
from penstock.model.limits import WAIT_S_MAX
from penstock.model.states import State
from penstock.tasks.app import Penstock
from penstock.tasks.retry import Retry


@dataclass
class Receipt:
    amount: int


@pytest.fixture
def pay(app: Penstock):
    @app.task(name="shop.pay", retry=Retry(max_attempts=1), expires_s=60)
    def pay(amount: int) -> Receipt:
        if amount < 0:
            raise ValueError("less than nothing")
        return Receipt(amount)

    return pay


@pytest.fixture(params=["thread", "coroutine"])
def ask(request):
    """Ask a handle something, either way."""

    def ask(job, method, *args):
        if request.param == "thread":
            return getattr(job, method)(*args)

        async def twin():
            return await getattr(job, f"{method}_async")(*args)

        return asyncio.run(twin())

    return ask


def test_a_result_comes_as_its_type(pay, work, ask):
    job = pay.enqueue(3)
    work()
    assert ask(job, "result", 10) == Receipt(3)


def test_a_handle_can_be_awaited(pay, work):
    async def use():
        job = await pay.enqueue_async(3)
        await asyncio.to_thread(work)
        return await job

    assert asyncio.run(use()) == Receipt(3)


def test_a_job_that_has_not_ended_is_late(pay, ask):
    job = pay.enqueue(3)
    with pytest.raises(ResultTimeout, match=rf"shop\.pay.*{job.id}"):
        ask(job, "result")


def test_a_dead_job_raises_what_it_died_of(pay, work, ask):
    job = pay.enqueue(-1)
    work()
    with pytest.raises(JobFailed) as caught:
        ask(job, "result")
    failed = caught.value
    assert (failed.type, failed.message) == ("ValueError", "less than nothing")
    assert "raise ValueError" in failed.traceback
    assert job.id in failed.__notes__[0]
    assert "shop.pay" in failed.__notes__[0]
    assert "raise ValueError" in failed.__notes__[1]
    assert str(failed) == f"shop.pay {job.id}: ValueError: less than nothing"


def test_an_error_without_words_is_named_once(app, work):
    @app.task(name="shop.sulk", retry=Retry(max_attempts=1))
    def sulk() -> None:
        raise ValueError

    job = sulk.enqueue()
    work()
    with pytest.raises(JobFailed) as caught:
        job.result(0)
    assert str(caught.value) == f"shop.sulk {job.id}: ValueError"
    assert str(copy.copy(caught.value)) == str(caught.value)


def test_a_cancelled_job_has_no_result(pay, ask):
    job = pay.enqueue(3)
    assert ask(job, "cancel") is State.CANCELLED
    with pytest.raises(JobCancelled, match=job.id):
        ask(job, "result")


def test_cancelling_a_running_job_asks_it_to_end(pay, store, ask):
    job = pay.enqueue(3)
    store.lease(LeaseRequest(uuid.uuid4().bytes, 1))
    assert ask(job, "cancel") is State.RUNNING
    assert ask(job, "status").cancel_requested


def test_cancelling_too_late_tells_how_it_ended(pay, work, ask):
    job = pay.enqueue(3)
    work()
    assert ask(job, "cancel") is State.SUCCEEDED


def test_an_expired_job_has_no_result(pay, clock, store, ask):
    job = pay.enqueue(3)
    clock.advance(61)
    store.tick()
    with pytest.raises(JobExpired, match=job.id):
        ask(job, "result")


def test_a_result_that_is_not_kept_has_expired(app, work, ask):
    task = app.task(name="shop.forget", keep_result_s=0)(lambda: 3)
    job = task.enqueue()
    app.client.register_tasks([task.record()])
    work()
    with pytest.raises(ResultExpired, match=job.id):
        ask(job, "result")


def test_with_history_off_a_settled_job_is_gone_and_counted(app, store, work, ask):
    task = app.task(name="shop.forget", queue="quick", keep_record_s=0)(lambda: 3)
    job = task.enqueue()
    work()
    with pytest.raises(JobNotFound, match=job.id):
        ask(job, "status")
    assert store.stats().queues["quick"].succeeded_total == 1


def test_with_history_off_a_result_that_is_asked_for_is_kept(app, clock, store, work, ask):
    job = app.task(name="shop.fleeting", keep_record_s=0, keep_result_s=60)(lambda: 3).enqueue()
    work()
    assert ask(job, "result", 0) == 3
    clock.advance(61)
    store.tick()
    with pytest.raises(JobNotFound, match=job.id):
        ask(job, "result", 0)


def test_a_job_without_a_record_is_not_found(pay, store, ask):
    job = pay.enqueue(3)
    store.delete([job._id])
    for method in ("result", "status", "cancel"):
        with pytest.raises(JobNotFound, match=job.id):
            ask(job, method)


def test_the_status_is_for_people(pay, clock, ask):
    job = pay.options(delay_s=30, headers={"a": "b"}, tags=["x"], priority=4).enqueue(3)
    status = ask(job, "status")
    assert (status.id, status.task, status.queue, status.state) == (job.id, "shop.pay", "default", State.SCHEDULED)
    assert (status.priority, status.attempt, status.headers, status.tags) == (4, 0, {"a": "b"}, ("x",))
    assert status.run_at == dt.datetime.fromtimestamp(clock.time() + 30, dt.UTC)
    assert (status.started_at, status.finished_at, status.error, status.progress) == (None, None, None, None)


def test_the_status_of_a_dead_job_tells_why(pay, work, ask):
    job = pay.enqueue(-1)
    work()
    status = ask(job, "status")
    assert status.error is not None
    assert (status.state, status.attempt, status.error.type) == (State.DEAD, 1, "ValueError")


@pytest.mark.parametrize("timeout_s", [-1, "1", float("nan")])
def test_a_wait_that_is_no_time_is_refused(pay, ask, timeout_s):
    with pytest.raises(InvalidOption) as caught:
        ask(pay.enqueue(3), "result", timeout_s)
    assert caught.value.field == "timeout_s"


def test_handles_of_one_job_are_equal(app, pay):
    job = pay.enqueue(3)
    assert {job, app.job(job.id)} == {job}
    assert job != pay.enqueue(3)


class _Waiting:
    """The in-memory store with a wait that ends when it is told to."""

    def __init__(self, store, ends_at_look):
        self._store = store
        self._ends_at_look = ends_at_look
        self.waits = []

    def __getattr__(self, name):
        return getattr(self._store, name)

    def wait(self, ids, wait_s, result=False):
        self.waits.append(wait_s)
        [view] = self._store.get(ids, result=result)
        ended = len(self.waits) >= self._ends_at_look
        return [_succeeded(view) if ended else view]


def _succeeded(view) -> JobView:
    return JobView(
        view.id, view.task, view.queue, State.SUCCEEDED, 0, 1, 1, 0.0, result=b"m\x81\xa6amount\x03", result_kept=True
    )


def _waiting_job(store, ends_at_look):
    waiting = _Waiting(store, ends_at_look)
    app = Penstock(store=waiting)

    @app.task(name="shop.wait")
    def wait() -> Receipt:
        raise AssertionError

    return waiting, wait.enqueue()


def test_waiting_without_end_asks_again_and_again(store, ask):
    waiting, job = _waiting_job(store, ends_at_look=3)
    assert ask(job, "result") == Receipt(3)
    assert waiting.waits == [WAIT_S_MAX] * 3


def test_a_wait_is_no_longer_than_asked_for(store, ask):
    waiting, job = _waiting_job(store, ends_at_look=2)
    assert ask(job, "result", WAIT_S_MAX * 1.5) == Receipt(3)
    assert waiting.waits[0] == WAIT_S_MAX
    waiting, job = _waiting_job(store, ends_at_look=2)
    assert ask(job, "result", 50) == Receipt(3)
    assert waiting.waits[0] == 50
    assert 49 < waiting.waits[1] <= 50


def test_no_time_to_wait_is_one_look(store, ask):
    waiting, job = _waiting_job(store, ends_at_look=2)
    with pytest.raises(ResultTimeout):
        ask(job, "result", 0)
    assert waiting.waits == [0]


def test_a_handle_says_which_job_it_is(pay):
    job = pay.enqueue(3)
    assert repr(job) == f"<Job {job.id} of shop.pay>"


def test_a_handle_that_is_to_travel_says_that_its_id_does(pay):
    job = pay.enqueue(3)
    with pytest.raises(TypeError, match=rf"{job.id}.*app\.job\(id\)"):
        job.__reduce_ex__(5)


def test_a_copy_of_a_handle_is_the_handle(pay):
    job = pay.enqueue(3)
    assert copy.copy(job) is job
    assert copy.deepcopy([job]) == [job]
