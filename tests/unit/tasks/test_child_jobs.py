"""Jobs that a job enqueues with its own success."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock.model import limits
from penstock.model.errors import BodyTooLarge, InvalidArguments, InvalidOption
from penstock.model.ids import id_text
from penstock.model.states import State
from penstock.tasks.app import Penstock
from penstock.tasks.child_jobs import Children
from penstock.tasks.context import Context
from penstock.tasks.retry import Retry, Snooze
from penstock.testing.running import run_ready


@pytest.fixture
def children(app):
    return Children(app._connection)


def _leaf(app):
    @app.task(name="leaf", queue="leaves")
    def leaf(number: int, *, text: str = "") -> int:
        return number

    return leaf


class TestAsking:
    """What is kept of the calls."""

    def test_calls_that_are_alike_travel_in_one_group_in_order(self, app, children):
        leaf = _leaf(app)
        ids = [children.add(leaf.s(number)) for number in range(3)]
        [group] = children.groups
        assert (group.task, group.queue, [job.id for job in group.jobs]) == ("leaf", "leaves", ids)
        assert [leaf.decode(job.body)[0] for job in group.jobs] == [(0,), (1,), (2,)]
        assert children.count == 3

    def test_the_options_of_a_call_apply(self, app, children):
        leaf = _leaf(app)
        moment = datetime(2027, 1, 1, tzinfo=UTC)
        children.add(leaf.options(delay_s=5, priority=7, queue="q", headers={"a": "b"}, tags=["t"]).s(1))
        children.add(leaf.options(run_at=moment, expires_s=60, idempotency_key="k").s(2))
        first, second = children.groups
        assert (first.delay_s, first.priority, first.queue, first.headers, first.tags) == (5, 7, "q", {"a": "b"}, ["t"])
        assert (second.run_at, second.expires_s, second.jobs[0].idempotency_key) == (moment.timestamp(), 60, "k")
        assert second.jobs[0].identity is not None

    @pytest.mark.parametrize(("args", "kwargs"), [((), {}), (("x",), {}), ((1, 2), {}), ((1,), {"nope": 1})])
    def test_arguments_that_do_not_fit_are_refused_at_the_call(self, app, children, args, kwargs):
        with pytest.raises(InvalidArguments):
            children.add(_leaf(app).s(*args, **kwargs))
        assert (children.count, children.groups) == (0, [])

    def test_a_task_of_another_application_is_refused(self, children):
        with pytest.raises(InvalidOption, match="another application"):
            children.add(_leaf(Penstock()).s(1))

    def test_they_are_counted(self, app, children):
        leaf = _leaf(app)
        for number in range(limits.CHILDREN_MAX):
            children.add(leaf.s(number))
        with pytest.raises(InvalidOption, match="CHILDREN_MAX"):
            children.add(leaf.s(1))
        assert children.count == limits.CHILDREN_MAX == sum(len(group.jobs) for group in children.groups)

    def test_their_bytes_are_counted_and_the_largest_job_is_no_exception(self, app, children):
        leaf = _leaf(app)
        largest = "x" * (limits.JOB_BODY_BYTES_MAX - 100)
        children.add(leaf.s(1, text=largest))
        with pytest.raises(BodyTooLarge, match="CHILDREN_BYTES_MAX"):
            children.add(leaf.s(2, text="x" * 1_000))
        assert children.count == 1

    def test_headers_and_tags_are_counted_where_no_two_calls_are_alike(self, app, children):
        leaf = _leaf(app)

        def with_headers(number):
            return leaf.options(headers={"h": "x" * 7_000, "n": str(number)}).s(number)

        with pytest.raises(BodyTooLarge, match="CHILDREN_BYTES_MAX"):
            for number in range(limits.CHILDREN_MAX):
                children.add(with_headers(number))
        assert children.size_bytes <= limits.CHILDREN_BYTES_MAX
        assert 500 < children.count < 600

    def test_a_group_of_which_no_call_was_kept_is_not_sent(self, app, children):
        leaf = _leaf(app)
        children.add(leaf.s(1, text="x" * (limits.JOB_BODY_BYTES_MAX - 100)))
        with pytest.raises(BodyTooLarge):
            children.add(leaf.options(queue="other").s(2, text="x" * 1_000))
        assert [group.queue for group in children.groups] == ["leaves"]


class TestLanding:
    """With a job that runs in `run_ready`."""

    def test_they_land_with_the_success(self, app, store, clock):
        leaf = _leaf(app)
        ids = []

        @app.task(name="parent")
        def parent(ctx: Context) -> str:
            ids.append(ctx.enqueue(leaf.s(1)))
            ids.append(ctx.enqueue(leaf.options(delay_s=9).s(2)))
            assert "leaves" not in store.stats().queues
            return "done"

        parent.enqueue()
        assert run_ready(app, store, clock) == 1
        assert [app.job(job_id).state for job_id in ids] == [State.READY, State.SCHEDULED]
        assert run_ready(app, store, clock) == 1
        assert app.job(ids[0]).result() == 1

    def test_coroutines_may_too(self, app, store, clock):
        leaf = _leaf(app)

        @app.task(name="parent")
        async def parent(ctx: Context) -> str:
            return ctx.enqueue(leaf.s(3))

        job = parent.enqueue()
        run_ready(app, store, clock)
        assert app.job(job.result()).state is State.READY

    @pytest.mark.parametrize("error", [ValueError("no"), Snooze(1.0)])
    def test_they_do_not_land_when_the_attempt_ends_otherwise_and_once_when_it_is_repeated(
        self, app, store, clock, error
    ):
        leaf = _leaf(app)
        attempts = []

        @app.task(name="parent", retry=Retry(base_s=1.0, jitter=False))
        def parent(ctx: Context) -> None:
            attempts.append(ctx.enqueue(leaf.s(1)))
            if len(attempts) == 1:
                raise error

        parent.enqueue()
        assert run_ready(app, store, clock) == 1
        assert "leaves" not in store.stats().queues
        clock.advance(5.0)
        store.tick()
        assert run_ready(app, store, clock) == 1
        assert store.stats().queues["leaves"].accepted_total == 1
        assert app.job(attempts[1]).state is State.READY

    def test_they_do_not_land_when_the_result_cannot_be_kept(self, app, store, clock):
        leaf = _leaf(app)

        @app.task(name="parent")
        def parent(ctx: Context) -> object:
            ctx.enqueue(leaf.s(1))
            return object()

        job = parent.enqueue()
        run_ready(app, store, clock)
        assert app.job(job.id).state is State.DEAD
        assert "leaves" not in store.stats().queues

    def test_a_key_that_was_used_before_adds_nothing(self, app, store, clock):
        leaf = _leaf(app)
        first = leaf.options(idempotency_key="k").enqueue(1)

        @app.task(name="parent", queue="parents")
        def parent(ctx: Context) -> None:
            ctx.enqueue(leaf.options(idempotency_key="k").s(1))

        job = parent.enqueue()
        run_ready(app, store, clock)
        assert app.job(job.id).state is State.SUCCEEDED
        assert store.stats().queues["leaves"].accepted_total == 1
        assert app.job(first.id).result() == 1


class TestCallingByHand:
    """With `Context.local`."""

    def test_a_call_is_checked_and_goes_nowhere(self, app, store):
        leaf = _leaf(app)
        context = Context.local()
        assert context.enqueue(leaf.s(1)) != context.enqueue(leaf.s(1))
        with pytest.raises(InvalidArguments):
            context.enqueue(leaf.s("x"))
        assert store.stats().queues == {}

    def test_a_test_sees_what_was_asked_for(self, app):
        leaf = _leaf(app)
        seen = []

        def note(call):
            seen.append((call.task.name, call.args))
            return bytes(16)

        assert Context.local(enqueue=note).enqueue(leaf.s(1)) == id_text(bytes(16))
        assert seen == [("leaf", (1,))]

    @pytest.mark.parametrize("wrong", ["task", "result", None, 5])
    def test_what_is_no_call_is_refused_with_how_to_make_one(self, app, wrong):
        leaf = _leaf(app)
        given = {"task": leaf, "result": leaf(1)}.get(wrong, wrong)
        with pytest.raises(InvalidOption, match=r"ctx\.enqueue\(task\.s\(1\)\)"):
            Context.local().enqueue(given)


def test_a_job_that_is_run_in_a_test_sees_its_headers(app, store, clock):
    seen = []

    @app.task(name="bearing")
    def bearing(ctx: Context, number: int) -> None:
        seen.append((number, ctx.headers))
        if number:
            ctx.enqueue(bearing.options(headers={"from": "parent"}).s(0))

    bearing.enqueue(1)
    assert [run_ready(app, store, clock) for _ in range(3)] == [1, 1, 0]
    assert seen == [(1, {}), (0, {"from": "parent"})]
