"""What could not work is refused when it is built; the message names the step."""

from __future__ import annotations

import pytest

from penstock import BodyTooLarge, InvalidArguments, InvalidOption, PenstockError, chain, chord, dag, group
from penstock.model import limits
from tests.unit.tasks.canvas.composed_tasks import (
    anything,
    app,
    clean_up,
    fetch,
    foreign,
    join,
    limited,
    parse,
    publish,
    stream,
    told,
    total,
    unique,
)

FAILING = group([fetch.s("a")], allow_failures=1)


@pytest.mark.parametrize(
    ("canvas", "said"),
    [
        (chain(total.s([1]), parse.s()), "Step 'parse' .* 'text' takes `str`, and step 'total' hands over `int`"),
        (chain(fetch.s("a"), publish.s()), "Step 'publish' .* takes `list.str.`, and step 'fetch' hands over `str`"),
        (chain(clean_up.s(), parse.s()), "Step 'parse' .* hands over `None`"),
        (chain(fetch.s("a"), join.partial(1)), "Step 'join' .* 'b' takes `int`"),
        (chord([total.s([1])], publish.s()), "Step 'publish' .* a member of group 'group' returns `int`"),
        (chord([fetch.s("a")], parse.s()), "Step 'parse' .* takes `str`, and group 'group' hands over a list"),
        (chord([total.s([1])], stream.s()), "Step 'stream' .* a member of group 'group' returns `int`"),
        (chord(FAILING, publish.s()), r"Step 'publish' .* may fail: .* `list\[str \| None\]`"),
        (chain(fetch.s("a"), stream.s()), "Step 'stream' .* takes `Results`, and step 'fetch' is no group"),
        (chain(total.s([1]), group(parse.s(), parse.s())), "Step 'group' .* takes `str`"),
        (chain(fetch.s("a").otherwise(total.si([1])), parse.s()), "Step 'parse' .* hands over `int`"),
        (chain(fetch.s("a")).on_success(publish.s()), "on_success.* takes `list.str.`"),
        (chain(fetch.s("a")).on_error(publish.s()), "on_error.* takes `list.str.`, and the error hands over"),
        (fetch.s("a").otherwise(join.s(2), with_error=True), "Step 'fetch-otherwise' .* the error hands over"),
        (fetch.s("a").compensate(publish.s()), "compensate.* takes `list.str.`"),
        (dag("d").step("a", fetch.s("x")).step("b", publish.s(), named={"paths": "a"}), "Step 'b' .* 'paths'"),
    ],
)
def test_a_value_of_the_wrong_type(canvas, said):
    with pytest.raises(InvalidOption, match=said) as caught:
        canvas.build()
    assert caught.value.field


@pytest.mark.parametrize(
    ("canvas", "said"),
    [
        (chain(fetch.s("a"), fetch.s("b")), r"Step 'fetch-2' .* takes 1 positional argument, .* Use \.si"),
        (chain(fetch.s("a"), fetch.s(url="b")), "Step 'fetch-2' .*'url' is given by name"),
        (chain(total.s([1]), join.s()), "Step 'join': .*'b' is missing"),
        (chain(fetch.s("a"), parse.s(3)), "Step 'parse': .*'text': Expected `str`"),
        (group(fetch.s(3)), "member of group 'group'.*Expected `str`"),
        (group(chain(fetch.s(3))), "Step 'fetch': .*Expected `str`"),
        (dag("d").step("a", fetch.s("x")).step("b", parse.s(), named={"tongue": "a"}), "takes no argument 'tongue'"),
        (dag("d").step("a", fetch.s("x")).step("b", parse.s("t"), named={"text": "a"}), "'text' is given by position"),
        (dag("d").step("a", fetch.s("x")).step("b", parse.s(text="t"), named={"text": "a"}), "'text' is given by name"),
        (fetch.s("a").on_error(told.partial(error=1)), "'error' is given by name"),
    ],
)
def test_arguments_that_do_not_fit(canvas, said):
    with pytest.raises(InvalidArguments, match=said):
        canvas.build()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: dag("d").step("a", fetch.s(), takes="b").step("b", fetch.s(), takes="a"),
            "'a' needs 'b', which needs 'a'",
        ),
        (lambda: dag("d").step("a", fetch.s(), takes="a"), "'a' needs 'a'"),
        (
            lambda: (
                dag("d").step("x", fetch.s("u")).step("a", fetch.s(), takes="b").step("b", fetch.si("v"), after="a")
            ),
            "'a' needs 'b', which needs 'a'",
        ),
        (lambda: dag("d").step("a", fetch.s(), takes="bb").step("b", fetch.s("x")), "'a' needs 'bb', .*did you mean b"),
        (lambda: dag("d").step("a", fetch.s("x"), after=["nowhere"]), "'a' needs 'nowhere'"),
        (lambda: dag("d").step("a", fetch.s("x")).returns("b"), "it returns 'b'"),
        (lambda: dag("d").step("a", fetch.s("x")).step("a", fetch.s("y")), "two steps 'a': give one"),
        (lambda: dag("d"), "no steps|no call"),
        (
            lambda: chain(fetch.s("a").options(name="x"), parse.s().options(name="x")),
            "two steps 'x'",
        ),
        (lambda: dag("d").step("a", fetch.s("x").options(name="b")), "'a' is named 'b'"),
        (lambda: dag("d").step("a", fetch.s("x"), takes=[1]), "takes of step 'a' is 1: give text"),
        (lambda: dag("d").step("a", fetch.s("x"), after=1), "after of step 'a' is 1: give the name of a step"),
        (
            lambda: dag("d").step("a", fetch.s("x"), named=["b"]),
            "named of step 'a' is \\['b'\\]: give {\"parameter\": \"step\"}",
        ),
        (lambda: dag("d").step("a", fetch.s("x"), named={"url": 1}), "named of step 'a' is 1: give text"),
        (lambda: dag("d").enqueue(), "Dag 'd' has no steps"),
        (
            lambda: chain(dag("d").step("a", fetch.s("x")).step("b", fetch.s("y")), anything.s()),
            "d has several results",
        ),
    ],
)
def test_a_graph_that_is_none(make, said):
    with pytest.raises(InvalidOption, match=said):
        make().build()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: chain(fetch.s("a"), foreign.s()), "Step 'foreign': .*another application"),
        (lambda: group(fetch.s("a"), foreign.s("b")), "another application"),
        (lambda: fetch.s("a").on_success(foreign.s()), "another application"),
        (lambda: chain(fetch.s("a"), limited.s("x")), "Step 'limited' .* by 'tenant', and tenant would be handed over"),
        (lambda: chain(fetch.s("a"), unique.s()), "Step 'unique' .* by all its arguments"),
        (lambda: limited.chunks([("a", "b")], 1), "a job of a chunk makes many calls"),
        (
            lambda: chain(fetch.options(idempotency_key="k").s("a"), parse.s()),
            "Step 'fetch' .*no idempotency key of its own",
        ),
        (lambda: chain(fetch.s("a"), chain(parse.s()).options(deadline_s=3)), "give the others to the whole"),
        (lambda: group(chain(fetch.s("a"), parse.s()).options(name="x")), "it is several steps"),
        (lambda: fetch.s("a").otherwise(group([fetch.si("b")]), with_error=True), "is a group, and takes no error"),
        (lambda: group(3), "a group is of calls"),
        (lambda: group("ab"), "a group is of calls|a member of a group is a call"),
        (lambda: group(fetch.s("a"), fetch), "a member of a group is a call"),
    ],
)
def test_other_misuse(make, said):
    with pytest.raises(InvalidOption, match=said):
        make().build()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (chain, "parts"),
        (lambda: chain(fetch.s("a"), fetch), "parts"),
        (lambda: chord([fetch.s("a")], fetch), "callback"),
        (lambda: group([fetch.s("a")], allow_failures=-1), "allow_failures"),
        (lambda: group([fetch.s("a")], allow_failures=True), "allow_failures"),
        (lambda: group([fetch.s("a")], on_failure="ignore"), "on_failure"),
        (lambda: group([fetch.s("a")], on_abandoned="ignore"), "on_abandoned"),
        (lambda: group([fetch.s("a")], open_s=0), "open_s"),
        (lambda: fetch.s("a").options(on_failure="ignore"), "on_failure"),
        (lambda: fetch.s("a").options(name=""), "name"),
        (lambda: fetch.s("a").options(deadline_s=0), "deadline_s"),
        (lambda: fetch.s("a").options(idempotency_key=""), "idempotency_key"),
        (lambda: fetch.s("a").on_error(fetch), "on_error"),
        (lambda: fetch.s("a").on_success(chain(fetch.s("b"))), "on_success"),
        (lambda: fetch.s("a").on_success(fetch.s("b").on_error(told.s())), "on_success"),
        (lambda: fetch.s("a").compensate(3), "compensate"),
        (lambda: fetch.s("a").otherwise(3), "alternative"),
        (lambda: fetch.chunks([("a",)], 0), "n"),
        (lambda: fetch.map(3), "items"),
        (lambda: dag(""), "name"),
        (lambda: dag("a/b"), "name"),
        (lambda: dag("d").step("a", fetch), "canvas"),
        (lambda: dag("d").step("a", fetch.s(), takes=3), "takes"),
        (lambda: dag("d").returns(), "steps"),
    ],
)
def test_what_can_be_told_at_once_is_told_at_once(make, field):
    with pytest.raises(InvalidOption) as caught:
        make()
    assert caught.value.field == field


def test_a_group_that_is_too_large_for_a_list_wants_results():
    with pytest.raises(InvalidOption, match=r"Step 'publish' .* more than 10000 members .* take `Results`"):
        chord((fetch.s("a") for _ in range(limits.RESULTS_INLINE_MAX + 1)), publish.s()).build()
    assert chord((fetch.s("a") for _ in range(limits.RESULTS_INLINE_MAX)), publish.s()).build()


def test_too_many_steps():
    with pytest.raises(InvalidOption, match="WORKFLOW_STEPS_MAX"):
        chain(*[fetch.s("a"), *[anything.s()] * limits.WORKFLOW_STEPS_MAX]).build()


def test_too_many_bytes():
    with pytest.raises(BodyTooLarge, match="REQUEST_BYTES_MAX"):
        chain(*[fetch.s("a" * 3_000_000), *[fetch.si("a" * 3_000_000)] * 5]).build()


def test_a_refusal_says_the_step_once():
    with pytest.raises(PenstockError) as caught:
        group(group(chain(fetch.s("a"), join.s()))).build()
    assert caught.value.message.count("Step '") == 1


def test_calls_with_callbacks_are_no_plain_jobs():
    with pytest.raises(InvalidOption, match=r"use call\.enqueue"):
        fetch.connection.application().enqueue_many([fetch.s("a").on_success(parse.s())])


def test_groups_that_stand_in_each_other_too_deep():
    nested = fetch.s("a")
    for _ in range(limits.CANVAS_NESTING_MAX + 2):
        nested = group([nested])
    with pytest.raises(InvalidOption, match=r"inside of 100 groups and alternatives.* \(CANVAS_NESTING_MAX\) is 100"):
        nested.build()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: fetch.s("a").options(queue="slow"), r"queue is no option of a workflow.* task\.options\(queue=…\)\.s"),
        (lambda: chain(fetch.s("a")).options(allow_failures=1), r"group\(…, allow_failures=…\)"),
        (lambda: chain(7), "parts is 7: a chain is of calls"),
        (lambda: total.starmap([1, 2]).build(), r"items has 1 in it: .* such as \[1, 2\]"),
        (lambda: fetch.chunks(["ab"], 2).build(), "items has 'ab' in it"),
        (lambda: app.enqueue_many([chain(fetch.s("a"))]), "is no call of a task"),
    ],
)
def test_what_is_written_as_in_other_systems_says_how_it_is_written_here(wrong, said):
    with pytest.raises(InvalidOption, match=said):
        wrong()
