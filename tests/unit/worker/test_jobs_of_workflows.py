"""What lanes do for jobs of workflows: results are kept, several calls made, and what a job returned lands."""

from __future__ import annotations

import msgspec
import pytest

from penstock import Context, InvalidOption, chain, group
from penstock.model import limits
from penstock.model.ids import id_text
from penstock.model.job import JobExtra
from penstock.tasks.arguments.untyped_values import decode
from tests.unit.worker.test_lanes import BODY, FENCES, Seat, outcomes_of
from tests.unit.worker.test_lanes import seat as seat  # noqa: PLC0414 - a fixture

STEP = JobExtra(workflow=b"w" * 16, step=3)
REFERENCE = b"\xc7\x14\x50" + b"w" * 16 + b"\x00\x00\x00\x07"


def values_of(outcomes):
    return [None if one.result is None else decode(one.result[1:]) for one in outcomes.succeeded]


@pytest.mark.parametrize("task", ["t", "forgetting", "kept", "adds_quietly"])
def test_the_result_of_a_step_is_kept_whatever_its_task_says(seat: Seat, task: str) -> None:
    seat.value = "value"
    bodies = [b"m\x92\x91\x01\x80" if task == "adds_quietly" else BODY] * 4
    seat.hand_over(bodies, extras=[STEP, JobExtra(), STEP, JobExtra(tags=["x"])], task=task)
    said = outcomes_of(seat, 4)
    by_fence = dict(zip([one.fence for one in said.succeeded], values_of(said), strict=True))
    assert [by_fence[FENCES[place]] for place in (0, 2)] == [11 if task == "adds_quietly" else "value"] * 2
    others = {fence: by_fence.get(fence) for fence in (FENCES[1], FENCES[3])}
    assert set(others.values()) == ({"value"} if task == "kept" else {None})


def test_headers_of_a_step_are_seen(seat: Seat) -> None:
    found = []
    seat.act_in = lambda ctx: found.append(ctx.headers)
    seat.hand_over([BODY], extras=[JobExtra({"a": "b"}, workflow=b"w" * 16, step=1)], task="kept")
    outcomes_of(seat, 1)
    assert found == [{"a": "b"}]


@pytest.mark.parametrize("extra", [JobExtra(each=True), JobExtra(workflow=b"w" * 16, step=0, place=2, each=True)])
@pytest.mark.parametrize("task", ["adds", "adds_quietly"])
def test_a_chunk_makes_its_calls_one_after_the_other(seat: Seat, task: str, extra: JobExtra) -> None:
    contexts = []
    seat.act_in = lambda ctx: contexts.append(ctx.job_id)
    body = b"m" + msgspec.msgpack.encode([[[1, 2], [3], [5, 6]], {}])
    seat.hand_over([body, b"m" + msgspec.msgpack.encode([[], {}])], extras=[extra] * 2, task=task)
    said = outcomes_of(seat, 2)
    kept = task == "adds" or extra.workflow is not None
    assert values_of(said) == ([[3, 13, 11], []] if kept else [])
    assert len(contexts) == (3 if task == "adds" else 0)


def test_a_chunk_whose_calls_do_not_fit_is_refused(seat: Seat) -> None:
    body = b"m" + msgspec.msgpack.encode([[[1, 2], ["x"]], {}])
    seat.hand_over([body, BODY, b"m\x92\x91\x01\x80"], extras=[JobExtra(each=True)] * 3, task="adds_quietly")
    said = outcomes_of(seat, 3)
    assert [one.fence for one in said.refused] == [FENCES[0], FENCES[2]]


def test_a_chunk_fails_with_the_first_call_that_raises(seat: Seat) -> None:
    calls = []

    def act(ctx: Context) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("no")

    seat.act_in = act
    body = b"m" + msgspec.msgpack.encode([[[1], [2], [3]], {}])
    seat.hand_over([body], extras=[JobExtra(each=True)], task="adds")
    said = outcomes_of(seat, 1)
    assert ([one.error.type for one in said.retried], len(calls)) == (["ValueError"], 2)


@pytest.mark.parametrize("task", ["t", "forgetting", "kept"])
@pytest.mark.parametrize("extra", [JobExtra(), STEP])
def test_a_call_that_a_job_returns_takes_the_place_of_its_value(seat: Seat, task: str, extra: JobExtra) -> None:
    seat.value = chain(seat.leaf.s(1), group(seat.leaf.si(2), seat.leaf.si(3)))
    seat.hand_over([BODY], extras=[extra], task=task)
    said = outcomes_of(seat, 1)
    [(fence, plan, members)] = said.expansions
    assert (fence, [step.name for step in plan.steps]) == (FENCES[0], ["leaf", "group"])
    assert [len(one.jobs) for added in members for one in added.groups] == [2]
    assert values_of(said) == [None]
    assert said.children == said.workflows == said.members == []


def test_options_of_a_returned_call_hold_for_a_lone_job_only(seat: Seat) -> None:
    seat.value = seat.leaf.s(1).options(deadline_s=5).on_success(seat.leaf.si(2))
    seat.hand_over([BODY, BODY], extras=[JobExtra(), STEP], task="kept")
    said = outcomes_of(seat, 2)
    assert [(fence, plan.deadline_s, len(plan.on_success)) for fence, plan, _ in said.expansions] == [
        (FENCES[0], 5.0, 1)
    ]
    assert [(one.fence, one.error.type) for one in said.buried] == [(FENCES[1], "InvalidOption")]


def test_a_returned_call_that_could_not_work_ends_the_job(seat: Seat) -> None:
    seat.value = chain(seat.leaf.s(1), seat.leaf.s(2))
    seat.hand_over([BODY], task="kept")
    [dead] = outcomes_of(seat, 1).buried
    assert (dead.error.type, "Step 'leaf-2'" in dead.error.message) == ("InvalidArguments", True)


def test_a_returned_call_may_not_be_large(seat: Seat) -> None:
    seat.value = seat.leaf.map(range(limits.CHILDREN_MAX + 1))
    seat.hand_over([BODY], task="kept")
    [dead] = outcomes_of(seat, 1).buried
    assert "CHILDREN_MAX" in dead.error.message


def test_a_canvas_that_a_job_enqueues_becomes_a_workflow_with_its_success(seat: Seat) -> None:
    ids = []

    def ask(ctx: Context) -> None:
        ids.append(ctx.enqueue(chain(seat.leaf.s(1), seat.leaf.s())))
        ids.append(ctx.enqueue(seat.leaf.s(5)))
        ids.append(ctx.enqueue(seat.leaf.s(6).on_error(seat.leaf.si(7))))

    seat.act_in = ask
    seat.hand_over([BODY], task="kept")
    said = outcomes_of(seat, 1)
    assert [(fence, id_text(plan.id), len(plan.steps)) for fence, plan, _ in said.workflows] == [
        (FENCES[0], ids[0], 2),
        (FENCES[0], ids[2], 1),
    ]
    assert [id_text(job.id) for _, groups in said.children for one in groups for job in one.jobs] == [ids[1]]


def test_what_lands_is_dropped_when_the_job_raises(seat: Seat) -> None:
    def ask(ctx: Context) -> None:
        ctx.enqueue(chain(seat.leaf.s(1), seat.leaf.s()))
        ctx.add_members(seat.leaf.s(1))
        raise ValueError("no")

    seat.act_in = ask
    seat.hand_over([BODY], extras=[STEP], task="kept")
    said = outcomes_of(seat, 1)
    assert (len(said.retried), said.workflows, said.members) == (1, [], [])


def test_members_that_a_job_adds_are_reported_in_order_with_its_success(seat: Seat) -> None:
    ids = []

    def ask(ctx: Context) -> None:
        quick = seat.leaf.options(priority=5)
        ids.extend(ctx.add_members(seat.leaf.s(1), seat.leaf.s(2), quick.s(3)))
        ids.extend(ctx.add_members(seat.leaf.s(4)))

    seat.act_in = ask
    seat.hand_over([BODY], extras=[STEP], task="kept")
    [(fence, groups)] = outcomes_of(seat, 1).members
    assert (fence, [(one.priority, len(one.jobs)) for one in groups]) == (FENCES[0], [(0, 2), (5, 1), (0, 1)])
    assert [id_text(job.id) for one in groups for job in one.jobs] == ids


def test_only_a_job_of_a_workflow_adds_members_and_only_plain_calls(seat: Seat) -> None:
    said = []

    def ask(ctx: Context) -> None:
        for call in (seat.leaf.s(1), seat.leaf.s(1).on_success(seat.leaf.s()), chain(seat.leaf.s(1))):
            try:
                ctx.add_members(call)  # type: ignore[arg-type]  # that is what is asked
            except InvalidOption as error:
                said.append(error.message)

    seat.act_in = ask
    seat.hand_over([BODY, BODY], extras=[STEP, JobExtra()], task="kept")
    outcomes_of(seat, 2)
    assert len(said) == 5
    assert sum("of no workflow" in one for one in said) == 2


def test_results_that_are_too_many_for_a_list_end_the_job_with_advice(seat: Seat) -> None:
    bodies = [b"m\x92\x91" + REFERENCE + b"\x80", b"m\x92\x91\x01\x80", b"m\x92\x91\x93\x01\x02\x03\x80"]
    seat.hand_over(bodies, extras=[STEP] * 3, task="counts")
    said = outcomes_of(seat, 3)
    [dead] = said.buried
    assert (dead.fence, dead.error.type, "take `Results`" in dead.error.message) == (FENCES[0], "ResultTooLarge", True)
    assert [one.fence for one in said.refused] == [FENCES[1]]
    assert values_of(said) == [3]
