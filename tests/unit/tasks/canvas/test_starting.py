"""How canvases are sent: in one call, or in parts."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from penstock import Conflict, InvalidArguments, InvalidOption, Penstock, Results, StoreUnavailable, chord, group
from penstock.model import limits
from penstock.model.counts import Capabilities
from penstock.model.workflow_views import MembersAdded, WorkflowStarted
from penstock.tasks.canvas.plan_builder import FIRST_BYTES_MAX
from penstock.tasks.canvas.starting import PART_JOBS_MAX


class Recorder:
    """A store that takes workflows and notes the calls. Each is checked to be within the bounds of a request."""

    def __init__(self):
        self.calls = []
        self.answer = None
        self.fails_at = None

    def capabilities(self):
        return Capabilities("memory")

    def start_workflow(self, plan, members=()):
        self._note("start", members)
        self.plan = plan
        return self.answer or WorkflowStarted(plan.id)

    def add_members(self, workflow, members, *, close=()):
        assert workflow == self.plan.id
        if self.fails_at == len(self.calls):
            raise StoreUnavailable("It is gone.")
        self._note("add", members, list(close))
        return MembersAdded(0, 0)

    def cancel_workflow(self, workflow, *, by=None):
        self.calls.append(("cancel", workflow == self.plan.id, by))

    def close(self):
        pass

    def _note(self, name, members, *rest):
        jobs = sum(len(one.jobs) for added in members for one in added.groups)
        assert jobs <= limits.BATCH_JOBS_MAX
        self.calls.append((name, jobs, *rest))


class AsyncRecorder:
    """A recorder as an event loop sees it."""

    def __init__(self, store):
        self.store = store

    def __getattr__(self, name):
        async def call(*arguments, **options):
            return getattr(self.store, name)(*arguments, **options)

        return call


def made():
    store = Recorder()
    app = Penstock(store=store)

    async def async_store():
        return AsyncRecorder(store)

    app._connection.async_store = async_store

    @app.task(name="fetch")
    def fetch(url: str) -> str:
        return url

    @app.task(name="count")
    def count(urls: Results[str]) -> int:
        return len(urls)

    return store, fetch, count


def test_what_is_small_is_one_call():
    store, fetch, count = made()
    workflow = chord((fetch.s(str(number)) for number in range(10_000)), count.s()).enqueue()
    assert store.calls == [("start", 10_000)]
    assert store.plan.steps[0].group.total == 10_000
    assert (workflow.name, workflow.duplicate, workflow.durability) == ("chord(fetch, count)", False, "memory")


@pytest.mark.parametrize("runs", ["blocking", "async"])
@pytest.mark.parametrize("more", [1, PART_JOBS_MAX - 1, PART_JOBS_MAX, PART_JOBS_MAX + 1])
def test_what_is_large_is_sent_in_parts_and_closed_with_the_last(more, runs):
    store, fetch, count = made()
    canvas = chord((fetch.s(str(number)) for number in range(10_000 + more)), count.s())
    if runs == "async":
        asyncio.run(_started(canvas))
    else:
        canvas.enqueue()
    assert store.plan.steps[0].group.total is None
    assert sum(call[1] for call in store.calls) == 10_000 + more
    assert [call[2] for call in store.calls[1:-1]] == [[]] * (len(store.calls) - 2)
    assert store.calls[-1][2] == [0]


async def _started(canvas):
    await canvas.enqueue_async()


def test_what_has_many_bytes_is_sent_in_parts():
    store, fetch, count = made()
    chord((fetch.s("x" * 1_000_000) for _ in range(30)), count.s()).enqueue()
    first, *rest = store.calls
    assert first[1] <= FIRST_BYTES_MAX // 1_000_000 + 1
    assert first[1] + sum(call[1] for call in rest) == 30
    assert rest[-1][2] == [0]


def test_several_large_groups_are_all_closed():
    store, fetch, count = made()
    large = [(fetch.s("x") for _ in range(7_000)) for _ in range(3)]
    group(*[chord(members, count.s()) for members in large]).enqueue()
    assert [step.group.total for step in store.plan.steps if step.group] == [3, 7_000, None, None]
    assert sum(call[1] for call in store.calls) == 21_000
    closed = [call[2] for call in store.calls[1:] if call[2]]
    assert closed == [[3], [5]]


def test_a_group_that_grows_is_closed_by_its_producer_at_once():
    store, fetch, _ = made()
    group([fetch.s("a")], grows=True).enqueue()
    assert store.calls == [("start", 1), ("add", 0, [0])]
    assert store.plan.steps[0].group.total is None


def test_the_memory_of_a_producer_does_not_grow_with_the_members():
    _store, fetch, count = made()

    def peak_bytes(many):
        tracemalloc.reset_peak()
        chord((fetch.s(str(number)) for number in range(many)), count.s()).enqueue()
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        few, many = peak_bytes(12_000), peak_bytes(60_000)
    finally:
        tracemalloc.stop()
    assert many < few * 1.2


def test_a_member_that_cannot_be_made_cancels_the_workflow():
    store, fetch, count = made()

    def members():
        yield from (fetch.s("a") for _ in range(15_000))
        yield fetch.s(3)

    with pytest.raises(InvalidArguments, match="member of group 'group'"):
        chord(members(), count.s()).enqueue()
    assert store.calls[-1] == ("cancel", True, "its producer")


def test_a_generator_that_raises_cancels_the_workflow():
    store, fetch, count = made()

    def members():
        yield from (fetch.s("a") for _ in range(15_000))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(_started(chord(members(), count.s())))
    assert store.calls[-1] == ("cancel", True, "its producer")


def test_a_store_that_goes_away_leaves_the_group_open():
    store, fetch, count = made()
    store.fails_at = 2
    with pytest.raises(StoreUnavailable):
        chord((fetch.s("a") for _ in range(20_000)), count.s()).enqueue()
    assert not [call for call in store.calls if call[0] == "add" and call[2]]


def test_nothing_is_sent_of_what_cannot_be_built():
    store, fetch, count = made()
    with pytest.raises(InvalidArguments):
        chord([fetch.s("a"), fetch.s(3)], count.s()).enqueue()
    assert store.calls == []


def test_a_large_group_has_only_plain_calls():
    store, fetch, count = made()
    early = [fetch.s("a") | fetch.s(), *(fetch.s("b") for _ in range(10_001))]
    with pytest.raises(InvalidOption, match=r"Step 'group': .*only calls of tasks"):
        chord(early, count.s()).enqueue()
    assert store.calls == []
    late = [*(fetch.s("b") for _ in range(10_001)), fetch.s("a") | fetch.s()]
    with pytest.raises(InvalidOption, match=r"Step 'group': .*only calls of tasks"):
        chord(late, count.s()).enqueue()
    assert store.calls[-1][0] == "cancel"


def test_a_later_member_is_held_against_what_takes_the_group():
    store = Recorder()
    app = Penstock(store=store)

    @app.task(name="text")
    def text() -> str:
        return ""

    @app.task(name="number")
    def number() -> int:
        return 0

    @app.task(name="gather")
    def gather(texts: Results[str]) -> None: ...

    with pytest.raises(InvalidOption, match="a member of group 'group' returns `int`"):
        chord([*(text.s() for _ in range(10_500)), number.s()], gather.s()).enqueue()
    assert store.calls[-1][0] == "cancel"


def test_a_duplicate_is_the_first_one_and_nothing_is_added():
    store, fetch, count = made()
    store.answer = WorkflowStarted(b"f" * 16, duplicate=True)
    workflow = chord((fetch.s("a") for _ in range(12_000)), count.s()).options(idempotency_key="k").enqueue()
    assert (workflow.duplicate, workflow.id.replace("-", "")) == (True, (b"f" * 16).hex())
    assert len(store.calls) == 1


def test_a_key_of_another_workflow_is_a_conflict():
    store, fetch, _ = made()
    store.answer = WorkflowStarted(b"f" * 16, conflict=True)
    with pytest.raises(Conflict, match="idempotency key 'k'"):
        fetch.s("a").options(idempotency_key="k").enqueue()
