"""The workflows that `test_workflow_kills` runs: one for each construct, and one for each thing that can be done about
a failure. Each has a queue of its own, whose counts say what was enqueued for it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from penstock import chain, chord, dag, group

DEADLINE_S = 1.0


class Calls:
    """Calls for one sample in one run: ``calls("work", "a")`` is the call ``a``, of the task ``work``.

    Args:
        tasks: the module `workflow_kills_app`, as a producer has imported it.
    """

    def __init__(self, tasks: ModuleType, run: str, sample: str) -> None:
        self.tasks = tasks
        self.run = run
        self.sample = sample
        self.queue = f"{run}.{sample}"

    def __call__(self, task: str, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.of(task).partial(*self.args(name), *args, **kwargs)

    def args(self, name: str) -> tuple[str, str]:
        return self.run, f"{self.sample}.{name}"

    def of(self, task: str) -> Any:
        return getattr(self.tasks, task).options(queue=self.queue)


# --- constructs -------------------------------------------------------------------------------------------------------


def chain_of_lanes(calls: Calls) -> Any:
    return chain(calls("plain", "a"), calls("threaded", "b"), calls("work", "c"))


def group_alone(calls: Calls) -> Any:
    return group(calls("work", name) for name in "abc")


def chord_with_callback(calls: Calls) -> Any:
    return chord((calls("work", name) for name in "abc"), calls("work", "sum"))


def maps_and_chunks(calls: Calls) -> Any:
    items = [" ".join(calls.args(name)) for name in ("a", "b")]
    lists = [calls.args(name) for name in ("c", "d")]
    chunks = [calls.args(name) for name in ("e", "f", "g")]
    parts = calls.of("single").map(items), calls.of("work").starmap(lists), calls.of("work").chunks(chunks, 2)
    return chain(group(*parts), calls("work", "sum"))


def nested(calls: Calls) -> Any:
    inner = chain(calls("work", "b"), calls("work", "c"))
    deeper = chord([calls("work", "d"), calls("work", "e")], calls("work", "f"))
    return chain(calls("work", "a"), group(inner, deeper), calls("work", "g"))


def graph(calls: Calls) -> Any:
    return (
        dag("graph")
        .step("last", calls("work", "d"), takes=["left", "right"])
        .step("left", calls("work", "b"), takes="first")
        .step("right", calls("work", "c"), takes="first")
        .step("first", calls("work", "a"))
    )


def callbacks(calls: Calls) -> Any:
    """One of a step, one of the whole, and two that must not be called."""
    first = calls("work", "a").on_success(calls("callback", "of-a")).on_error(calls("told", "no"))
    both = chain(first, calls("work", "b"))
    return both.on_success(calls("callback", "of-all")).on_error(calls("told", "neither"))


def error_callbacks(calls: Calls) -> Any:
    failing = calls("fail", "b").on_error(calls("told", "of-b")).on_success(calls("callback", "no"))
    both = chain(calls("work", "a"), failing, calls("work", "c"))
    return both.on_error(calls("told", "of-all")).on_success(calls("callback", "neither"))


def returned_call(calls: Calls) -> Any:
    return chain(calls("returns", "a"), calls("work", "b"))


def growing_group(calls: Calls) -> Any:
    return chain(group([calls("grow", "a", 2)], grows=True), calls("work", "sum"))


def children(calls: Calls) -> Any:
    return chain(calls("bears", "a"), calls("work", "b"))


def steps(calls: Calls) -> Any:
    return chain(calls("stepwise", "a"), calls("work", "b"))


def steps_in_a_thread(calls: Calls) -> Any:
    return chain(calls("stepwise_plain", "a"), calls("work", "b"))


# --- failures ---------------------------------------------------------------------------------------------------------


def attempts(calls: Calls) -> Any:
    return chain(calls("tries", "a"), calls("work", "b"))


def fail_fast(calls: Calls) -> Any:
    """The sibling of the one that fails is cancelled."""
    members = group(calls("stay", "stay"), calls("fail", "b", after="fail_fast.stay"))
    return chain(calls("work", "a"), members, calls("work", "c")).on_error(calls("told", "of-all"))


def finish(calls: Calls) -> Any:
    """What does not need the failed step goes on."""
    plan = (
        dag("finish")
        .step("fails", calls("fail", "a"))
        .step("never", calls("work", "b"), takes="fails")
        .step("first", calls("work", "c"))
        .step("second", calls("work", "d"), takes="first")
    )
    return plan.options(on_failure="finish").on_error(calls("told", "of-all"))


def finish_members(calls: Calls) -> Any:
    """The other members of a group end first."""
    members = group(calls("fail", "a"), calls("work", "b"), calls("work", "c"), on_failure="finish")
    return chain(members, calls("work", "d")).on_error(calls("told", "of-all"))


def allow_failures(calls: Calls) -> Any:
    members = group(calls("fail", "a"), calls("work", "b"), calls("work", "c"), allow_failures=1)
    return chord(members, calls("work", "sum"))


def otherwise(calls: Calls) -> Any:
    """Something stands in for a step, and something of two steps for a member."""
    member = calls("fail", "c").otherwise(chain(calls("work", "d"), calls("work", "e")))
    first = calls("fail", "a").otherwise(calls("work", "b"))
    return chain(first, group(member, calls("work", "f")), calls("work", "g"))


def saga(calls: Calls) -> Any:
    first = calls("work", "a").compensate(calls("undo", "undo-a"))
    second = calls("work", "b").compensate(calls("undo", "undo-b"))
    return chain(first, second, calls("fail", "c")).on_error(calls("told", "of-all"))


def retried(calls: Calls) -> Any:
    """Fails, and goes on from there when it is retried."""
    return chain(calls("work", "a"), calls("mend", "b"), calls("work", "c"))


def forked(calls: Calls) -> Any:
    """Succeeds, and is forked from its second step."""
    return chain(calls("work", "a"), calls("work", "b"), calls("work", "c"))


def cancelled(calls: Calls) -> Any:
    """Cancelled from outside while its last step runs."""
    return chain(calls("work", "a").compensate(calls("undo", "undo-a")), calls("stay", "stay"))


def deadline(calls: Calls) -> Any:
    members = group(calls("stay", "stay"), calls("stay", "stay-too"))
    return chain(members, calls("work", "a")).options(deadline_s=DEADLINE_S).on_error(calls("told", "of-all"))


SAMPLES: dict[str, Callable[[Calls], Any]] = {
    sample.__name__: sample
    for sample in (
        chain_of_lanes,
        group_alone,
        chord_with_callback,
        maps_and_chunks,
        nested,
        graph,
        callbacks,
        error_callbacks,
        returned_call,
        growing_group,
        children,
        steps,
        steps_in_a_thread,
        attempts,
        fail_fast,
        finish,
        finish_members,
        allow_failures,
        otherwise,
        saga,
        retried,
        forked,
        cancelled,
        deadline,
    )
}

ENDS = {
    "chain_of_lanes": ("c(b(a()))", 3),
    "group_alone": ("['a()', 'b()', 'c()']", 3),
    "chord_with_callback": ("sum([a(),b(),c()])", 4),
    "maps_and_chunks": ("sum([[a(),b()],[c(),d()],[[e(),f()],[g()]]])", 7),
    "nested": ("g([c(b(a())),f([d(a()),e(a())])])", 7),
    "graph": ("d(b(a()),c(a()))", 4),
    "callbacks": ("b(a())", 4),
    "error_callbacks": ("ValueError: b was asked to fail", 4),
    "returned_call": ("b([a0(),a1()])", 4),
    "growing_group": ("sum(['a()', 'a0()', 'a00()', 'a01()', 'a1()', 'a10()', 'a11()'])", 8),
    "children": ("b(a())", 5),
    "steps": ("b(a(a-one(),it came early,it came late,a-two()))", 2),
    "steps_in_a_thread": ("b(a(a-one(),a-two()))", 2),
    "attempts": ("b(a(3))", 2),
    "fail_fast": ("ValueError: b was asked to fail", 4),
    "finish": ("ValueError: a was asked to fail", 4),
    "finish_members": ("ValueError: a was asked to fail", 4),
    "allow_failures": ("sum([None,b(),c()])", 4),
    "otherwise": ("g([e(d(b())),f(b())])", 7),
    "saga": ("ValueError: c was asked to fail", 6),
    "retried": ("c-again(b-again(a()))", 3),
    "forked": ("c-again(b-again(a()))", 5),
    "cancelled": ("cancelled", 3),
    "deadline": ("DeadlineExceeded: It was not over within 1 s of its start.", 3),
}
"""What each sample comes to (of an error: its type, and what the failed step said), and how many jobs are enqueued for
it, callbacks and compensations among them."""
CALLED_BACK = {
    "callbacks": [("of-a", "[a()]"), ("of-all", "[b(a())]")],
    "error_callbacks": [
        ("of-all", "[ValueError: b was asked to fail]"),
        ("of-b", "[ValueError: b was asked to fail]"),
    ],
    "saga": [
        ("of-all", "[ValueError: c was asked to fail]"),
        ("undo-a", "[a()]"),
        ("undo-b", "[b(a())]"),
    ],
    "cancelled": [("undo-a", "[a()]")],
}
"""What callbacks and compensations of some samples are given."""
