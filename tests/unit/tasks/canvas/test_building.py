"""What canvases become: the plan of a workflow, as a value."""

from __future__ import annotations

import pytest

from penstock import Canvas, Group, InvalidOption, Penstock, Signature, chain, chord, dag, group
from penstock.model import limits
from penstock.model.workflow_plan import OnFailure
from tests.unit.tasks.canvas.composed_tasks import (
    anything,
    app,
    blocks,
    body,
    clean_up,
    fetch,
    join,
    limited,
    members,
    parse,
    publish,
    publish_some,
    spread,
    steps,
    stream,
    told,
    total,
)

NO_ARGS = [[], {}]


def test_each_part_of_a_chain_takes_the_value_of_the_one_before():
    assert steps(chain(fetch.s("a"), parse.s(lang="de"), total.s())) == [
        ("fetch", [["a"], {}], [], []),
        ("parse", [[], {"lang": "de"}], [0], []),
        ("total", NO_ARGS, [1], []),
    ]


def test_a_pipe_is_a_chain():
    assert steps(fetch.s("a") | parse.s() | total.s()) == steps(chain(fetch.s("a"), parse.s(), total.s()))
    assert steps(chain(fetch.s("a"), chain(parse.s(), total.s()))) == steps(fetch.s("a") | (parse.s() | total.s()))


def test_what_is_immutable_waits_and_takes_nothing():
    assert steps(chain(fetch.s("a"), clean_up.si(), parse.si("text"))) == [
        ("fetch", [["a"], {}], [], []),
        ("clean_up", NO_ARGS, [], [0]),
        ("parse", [["text"], {}], [], [1]),
    ]


def test_a_value_becomes_the_next_positional_argument():
    [_, second] = chain(total.s([1]), join.partial(5)).build().plan.steps
    assert (body(second.call.jobs[0]), second.takes[0].step) == ([[5], {}], 0)


def test_a_value_may_go_to_any_number_of_arguments_that_a_task_takes():
    assert steps(dag("d").step("a", total.s([1])).step("b", spread.s(4, x=5), takes=["a", "a"], named={"y": "a"})) == [
        ("a", [[[1]], {}], [], []),
        ("b", [[4], {"x": 5}], [0, 0, ("y", 0)], []),
    ]


def test_the_callback_of_a_chord_takes_its_group():
    canvas = chord((fetch.s(url) for url in "abc"), publish.s())
    built = canvas.build()
    assert [(step.name, step.group and step.group.total) for step in built.plan.steps] == [
        ("group", 3),
        ("publish", None),
    ]
    assert built.plan.steps[1].takes[0].step == 0
    [added] = built.members
    assert (added.step, added.first, [body(job)[0] for job in added.groups[0].jobs]) == (0, 0, [["a"], ["b"], ["c"]])
    assert built.plan.name == "chord(fetch, publish)"
    assert [(output.step, output.name) for output in built.plan.outputs] == [(1, None)]


def test_members_that_are_more_than_a_call_are_blocks_at_their_places():
    canvas = group(fetch.s("a"), chain(fetch.s("b"), parse.s()), fetch.s("c"), group(fetch.s("d"), fetch.s("e")))
    assert [step[0] for step in steps(canvas)] == ["group", "fetch", "parse", "group-2"]
    assert blocks(canvas) == [(None, False), ((0, 1, 2, 1), False), ((0, 1, 2, 1), True), ((0, 3, 3, 3), True)]
    assert members(canvas) == [
        (0, 0, [[["a"], {}]]),
        (0, 2, [[["c"], {}]]),
        (3, 0, [[["d"], {}], [["e"], {}]]),
    ]
    assert canvas.build().plan.steps[0].group.total == 4


def test_a_group_in_a_chain_gives_each_member_the_value_before_it():
    canvas = chain(fetch.s("a"), group(parse.s(), parse.s(), parse.si("own"), parse.s() | total.s()))
    assert steps(canvas)[1:] == [
        ("group", 4, [0], []),
        ("parse", [["own"], {}], [], [0]),
        ("parse-2", NO_ARGS, [0], []),
        ("total", NO_ARGS, [3], []),
    ]
    assert members(canvas) == [(1, 0, [NO_ARGS, NO_ARGS])]


def test_a_group_of_immutable_calls_in_a_chain_only_waits():
    canvas = chain(fetch.s("a"), group(fetch.si("b"), fetch.si("c")))
    assert steps(canvas)[1] == ("group", 2, [], [0])
    assert members(canvas) == [(1, 0, [[["b"], {}], [["c"], {}]])]


def test_canvases_nest_to_any_depth():
    canvas = fetch.s("x")
    for _ in range(50):
        canvas = chain(group(canvas, fetch.s("y")), anything.s())
    plan = canvas.build().plan
    assert len(plan.steps) == 100
    assert all(need < number for number, step in enumerate(plan.steps) for need in step.needs())


def test_alike_neighbours_share_a_group_of_jobs_and_keep_their_order():
    quick = fetch.options(priority=5)
    [added] = group(fetch.s("a"), fetch.s("b"), quick.s("c"), quick.s("d"), fetch.s("e")).build().members
    assert [(one.priority, [body(job)[0][0] for job in one.jobs]) for one in added.groups] == [
        (0, ["a", "b"]),
        (5, ["c", "d"]),
        (0, ["e"]),
    ]


def test_maps():
    assert members(fetch.map(["a", "b"])) == [(0, 0, [[["a"], {}], [["b"], {}]])]
    assert members(join.starmap([(1, 2), (3, 4)])) == [(0, 0, [[[1, 2], {}], [[3, 4], {}]])]
    assert fetch.options(priority=3).map("a").build().members[0].groups[0].priority == 3


def test_a_map_can_be_enqueued_again():
    canvas = fetch.map(["a", "b"])
    assert members(canvas) == members(canvas)


def test_chunks_make_many_calls_in_one_job():
    canvas = join.chunks([(1, 2), (3, 4), (5, 6)], 2)
    [added] = canvas.build().members
    assert [group.each for group in added.groups] == [True]
    assert members(canvas) == [(0, 0, [[[[1, 2], [3, 4]], {}], [[[5, 6]], {}]])]
    assert canvas.build().returns == list[list[int]]


def test_chunks_in_a_chain_only_wait():
    assert steps(chain(fetch.s("a"), join.chunks([(1, 2)], 5)))[1] == ("group", 1, [], [0])


def test_a_dag_puts_its_steps_behind_what_they_need():
    canvas = (
        dag("report")
        .step("publish", join.s(), takes=["clean", "count"], after=["log"])
        .step("clean", total.s(), named={"numbers": "extract"})
        .step("log", clean_up.si())
        .step("extract", parse.s("text"))
        .step("count", total.s(), takes="extract")
    )
    assert steps(canvas) == [
        ("log", NO_ARGS, [], []),
        ("extract", [["text"], {}], [], []),
        ("clean", NO_ARGS, [("numbers", 1)], []),
        ("count", NO_ARGS, [1], []),
        ("publish", NO_ARGS, [2, 3], [0]),
    ]
    assert [output.name for output in canvas.build().plan.outputs] == [None]


def test_a_dag_with_several_ends_comes_to_a_dict():
    canvas = dag("d").step("a", fetch.s("x")).step("b", parse.s(), takes="a").step("c", parse.s(), takes="a")
    assert [(output.step, output.name) for output in canvas.build().plan.outputs] == [(1, "b"), (2, "c")]
    assert canvas.build().returns == {"b": list[int], "c": list[int]}
    [output] = canvas.returns("a").build().plan.outputs
    assert (output.step, output.name) == (0, None)


def test_a_step_of_a_dag_may_be_any_canvas():
    canvas = dag("d").step("all", fetch.map("ab")).step("sum", chain(publish.s(), anything.s()), takes="all")
    assert [(name, takes) for name, _, takes, _ in steps(canvas)] == [("all", []), ("publish", [0]), ("sum", [1])]


def test_a_dag_inside_of_a_canvas_takes_what_comes_before_it_and_keeps_its_names_apart():
    inner = dag("inner").step("a", parse.s()).step("b", total.s(), takes="a")
    canvas = chain(fetch.s("x"), group(inner, inner))
    assert [(name, takes) for name, _, takes, _ in steps(canvas)] == [
        ("fetch", []),
        ("group", []),
        ("inner/a", [0]),
        ("inner/b", [2]),
        ("inner-2/a", [0]),
        ("inner-2/b", [4]),
    ]


def test_a_dag_with_several_results_may_be_a_member():
    inner = dag("inner").step("a", fetch.s("x")).step("b", fetch.s("y"))
    plan = group(inner).build().plan
    assert [(step.name, step.into, step.part) for step in plan.steps[1:]] == [
        ("inner/a", True, "a"),
        ("inner/b", True, "b"),
    ]


def test_callbacks_of_the_whole_are_those_of_the_workflow():
    canvas = chain(fetch.s("a"), parse.s()).on_success(total.s()).on_error(told.s("x")).on_error(clean_up.si())
    plan = canvas.build().plan
    assert [callback.takes for callback in plan.on_success] == [True]
    assert [(body(callback.call.jobs[0]), callback.takes) for callback in plan.on_error] == [
        ([["x"], {}], True),
        (NO_ARGS, False),
    ]
    assert not any(step.on_success or step.on_error for step in plan.steps)


def test_callbacks_inside_are_those_of_steps():
    inner = chain(fetch.s("b"), parse.s()).on_success(total.s()).on_error(clean_up.si())
    plan = group(fetch.s("a"), inner, fetch.s("c").on_success(anything.s())).build().plan
    assert [(step.name, len(step.on_success), len(step.on_error)) for step in plan.steps] == [
        ("group", 0, 0),
        ("fetch", 0, 1),
        ("parse", 1, 1),
        ("fetch-2", 1, 0),
    ]


def test_what_stands_in_is_given_the_same_values():
    canvas = chain(fetch.s("a"), parse.s().otherwise(parse.partial(lang="de")), total.s())
    assert steps(canvas)[1:] == [
        ("parse", NO_ARGS, [0], []),
        ("parse-otherwise", [[], {"lang": "de"}], [0], []),
        ("total", NO_ARGS, [1], []),
    ]
    plan = canvas.build().plan
    assert (plan.steps[1].alternative.first, plan.steps[1].alternative.last) == (2, 2)
    assert (plan.steps[2].block.owner, plan.steps[2].into, plan.steps[2].takes_error) == (1, True, False)


def test_what_stands_in_may_take_the_error_first():
    plan = fetch.s("a").otherwise(told.s("x"), with_error=True).build().plan
    assert (plan.steps[1].takes_error, body(plan.steps[1].call.jobs[0])) == (True, [["x"], {}])


def test_a_group_may_have_something_that_stands_in_for_it():
    plan = chord(group(fetch.map("ab"), chain(fetch.s("c"))).otherwise(fetch.si("x")), anything.s()).build().plan
    assert [step.name for step in plan.steps] == ["group", "group-2", "fetch", "group-otherwise", "anything"]
    assert (plan.steps[0].alternative.first, plan.steps[4].takes[0].step) == (3, 0)


def test_a_compensation_takes_the_value_of_its_step():
    plan = chain(fetch.s("a").compensate(anything.s()), parse.s()).build().plan
    assert plan.steps[0].compensation.takes is True
    assert body(plan.steps[0].compensation.call.jobs[0]) == NO_ARGS


def test_options_of_the_whole():
    canvas = chain(fetch.s("a")).options(name="n", deadline_s=5, keep_s=7, on_failure="finish")
    plan = canvas.options(name="m").build().plan
    assert (plan.name, plan.deadline_s, plan.keep_s, plan.on_failure) == ("m", 5.0, 7.0, OnFailure.FINISH)


def test_policies_of_a_group():
    plan = group([fetch.s("a")], allow_failures=3, on_failure="finish", open_s=9, on_abandoned="close").build().plan
    found = plan.steps[0].group
    assert (found.failures_max, found.on_failure, found.open_s, found.closes) == (3, OnFailure.FINISH, 9.0, True)


def test_steps_are_named_by_their_options_where_they_are_inside():
    canvas = chain(fetch.s("a").options(name="load"), group([fetch.si("b")]).options(name="all"), publish.s())
    assert [name for name, *_ in steps(canvas)] == ["load", "all", "publish"]


def test_options_of_members_are_those_of_their_jobs():
    [added] = group(fetch.options(queue="slow", delay_s=3).s("a")).build().members
    assert (added.groups[0].queue, added.groups[0].delay_s) == ("slow", 3.0)


def test_a_canvas_is_a_value():
    first = fetch.s("a")
    assert first.on_error(clean_up.si()) is not first
    assert first.links is None
    whole = chain(first, parse.s())
    whole.options(name="x").on_success(total.s())
    assert (whole.whole, whole.links) == (None, None)


def test_the_same_work_has_the_same_identity():
    def built(url="a", **options):
        return chord([fetch.s(url)], publish.s()).options(idempotency_key="k", **options).build().plan

    assert built().identity == built().identity is not None
    assert built().identity != built("b").identity
    assert built().identity != built(deadline_s=3).identity
    assert built().id != built().id
    assert chord([fetch.s("a")], publish.s()).build().plan.identity is None


def test_what_a_canvas_comes_to():
    assert chain(fetch.s("a"), parse.s()).build().returns == list[int]
    assert group(fetch.s("a"), fetch.s("b")).build().returns == list[str]
    assert group(fetch.map("a"), fetch.map("b")).build().returns == list[list[str]]
    assert group([fetch.s("a")], allow_failures=1).build().returns == list[str | None]


def test_what_a_task_that_returns_calls_comes_to():
    mine = Penstock("nowhere")

    @mine.task(name="choose")
    def choose(number: int) -> int | Canvas[int] | Signature[int]:
        return number

    @mine.task(name="several")
    def several(number: int) -> Group[str]:
        raise AssertionError

    @mine.task(name="count")
    def count(texts: list[str]) -> int:
        return len(texts)

    assert choose.s(1).build().returns is int
    assert choose.map([1]).build().returns == list[int]
    assert chain(several.s(1), count.s()).build().returns is int
    assert several.s(1).build().returns == list[str]
    with pytest.raises(InvalidOption, match="hands over `int`"):
        chain(choose.s(1), count.s()).build()


def test_results_are_streamed_to_who_takes_them_in_pages():
    assert [take.streams for take in chord(fetch.map("a"), stream.s()).build().plan.steps[1].takes] == [True]
    assert [take.streams for take in chord(fetch.map("a"), publish.s()).build().plan.steps[1].takes] == [False]


def test_failures_that_are_allowed_are_none():
    assert chord(group([fetch.s("a")], allow_failures=1), publish_some.s()).build()


def test_what_limits_count_by_is_told_when_it_is_given():
    plan = chain(fetch.s("a"), limited.partial(tenant="acme")).build().plan
    assert plan.steps[1].call.jobs[0].values == {"tenant": "acme"}
    assert plan.steps[1].call.jobs[0].searchable is None


def test_a_description_names_the_tasks():
    assert chain(fetch.s("a"), parse.s()).build().plan.name == "chain(fetch, parse)"
    assert group(fetch.s("a")).build().plan.name == "group(fetch)"
    assert fetch.s("a").build().plan.name == "fetch"
    assert dag("d").step("a", fetch.s("x")).build().plan.name == "d"
    assert chain(fetch.s("a"), *[anything.s()] * 9).build().plan.name == "chain(fetch, anything, anything, anything, …)"


def test_a_group_without_members_hands_on_an_empty_list():
    plan = chord([], publish.s()).build().plan
    assert (plan.steps[0].group.total, plan.steps[1].takes[0].step) == (0, 0)


def test_an_iterator_is_used_up():
    canvas = group(fetch.s(url) for url in "ab")
    assert repr(canvas) == "<group(fetch)>"
    assert canvas.build().plan.steps[0].group.total == 2
    with pytest.raises(InvalidOption, match="used up"):
        canvas.build()


def test_the_plan_of_a_long_chain():
    plan = chain(*[fetch.s("a"), *[anything.s() for _ in range(999)]]).build().plan
    assert [step.takes[0].step for step in plan.steps[1:]] == list(range(999))
    assert len({step.name for step in plan.steps}) == 1000


def test_everything_is_of_the_application(request):
    assert app.tasks["tests.unit.tasks.canvas.composed_tasks.fetch"] is fetch
    assert limits.WORKFLOW_STEPS_MAX >= 1000
