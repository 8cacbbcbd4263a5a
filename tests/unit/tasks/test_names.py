"""Names and options are refused at the door, each by the name of its field."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.job import MESSAGE_TASK
from penstock.tasks import names


def _function():
    pass


def test_a_task_is_named_after_its_module_and_function():
    assert names.default_task_name(_function) == f"{__name__}._function"


def test_a_function_of_main_takes_the_name_of_its_file(monkeypatch):
    monkeypatch.setattr(_function, "__module__", "__main__")
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=None, __file__=__file__))
    assert names.default_task_name(_function) == "test_names._function"


def test_what_is_typed_into_an_interpreter_is_named_after_main(monkeypatch):
    space = {"__name__": "__main__"}
    exec(compile("def f(): pass", "<stdin>", "exec"), space)
    started_as_module = SimpleNamespace(__spec__=SimpleNamespace(name="shop.jobs"), __file__=__file__)
    for main in (SimpleNamespace(__spec__=None), SimpleNamespace(__spec__=None, __file__=__file__), started_as_module):
        monkeypatch.setitem(sys.modules, "__main__", main)
        assert names.check_task_name(names.default_task_name(space["f"])) == "__main__.f"


def test_a_cell_of_a_notebook_is_named_after_main(monkeypatch):
    space = {"__name__": "__main__"}
    exec(compile("def f(): pass", "kernel_7/123456.py", "exec"), space)
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace())
    assert names.default_task_name(space["f"]) == "__main__.f"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("shop.ad", "shop.add"), ("add", "shop.add"), ("Shop.add", "shop.add"), ("elephant", None), ("", None)],
)
def test_the_closest_name_is_the_one_spelled_nearly_so_or_the_same_without_its_module(name, meant):
    assert names.closest(name, ["shop.refund", "shop.add"]) == meant


def test_a_function_of_a_module_run_with_dash_m_takes_the_name_of_that_module(monkeypatch):
    monkeypatch.setattr(_function, "__module__", "__main__")
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=SimpleNamespace(name="shop.jobs")))
    assert names.default_task_name(_function) == "shop.jobs._function"


@pytest.mark.parametrize("name", ["a", "_a.b:c-d", "module.function", "a" * 200])
def test_good_task_names_pass(name):
    assert names.check_task_name(name) == name


@pytest.mark.parametrize("name", ["", "1a", "a b", "a" * 201, "ä", "a\n", None, 3])
def test_bad_task_names_are_refused(name):
    with pytest.raises(InvalidOption) as caught:
        names.check_task_name(name)
    assert caught.value.field == "name"


@pytest.mark.parametrize("queue", ["", "a b", "a" * 65, "a/b", "a\n", None, 3])
def test_bad_queues_are_refused(queue):
    with pytest.raises(InvalidOption) as caught:
        names.check_queue(queue)
    assert caught.value.field == "queue"


def test_a_tag_counts_once():
    assert names.check_tags(["b", "a", "b"]) == ("b", "a")


@pytest.mark.parametrize("tags", ["word", 3, ["a b"], [""], [3], [f"t{n}" for n in range(limits.JOB_TAGS_MAX + 1)]])
def test_bad_tags_are_refused(tags):
    with pytest.raises(InvalidOption) as caught:
        names.check_tags(tags)
    assert caught.value.field == "tags"


@pytest.mark.parametrize(
    "headers", [3, {"a": 1}, {1: "a"}, {"a": "x" * limits.JOB_HEADERS_BYTES_MAX}, {"a": "\ud800"}, ["a"]]
)
def test_bad_headers_are_refused(headers):
    with pytest.raises(InvalidOption) as caught:
        names.check_headers(headers)
    assert caught.value.field == "headers"


def test_headers_up_to_the_limit_pass():
    headers = {"a": "x" * (limits.JOB_HEADERS_BYTES_MAX - 1)}
    assert names.check_headers(headers) == headers


@pytest.mark.parametrize("key", ["", 3, b"a", "ä" * 129, "\ud800"])
def test_bad_idempotency_keys_are_refused(key):
    with pytest.raises(InvalidOption) as caught:
        names.check_idempotency_key(key)
    assert caught.value.field == "idempotency_key"


@pytest.mark.parametrize("priority", [101, -101, True, 1.0, "1", None])
def test_bad_priorities_are_refused(priority):
    with pytest.raises(InvalidOption) as caught:
        names.check_priority(priority)
    assert caught.value.field == "priority"


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "1", None, limits.DELAY_S_MAX * 2])
def test_bad_durations_are_refused(value):
    with pytest.raises(InvalidOption) as caught:
        names.check_seconds("delay_s", value)
    assert caught.value.field == "delay_s"


def test_zero_is_a_duration_unless_it_is_not():
    assert names.check_seconds("delay_s", 0) == 0
    with pytest.raises(InvalidOption):
        names.check_seconds("timeout_s", 0, zero=False)


def test_the_name_of_messages_is_given_to_no_task():
    with pytest.raises(InvalidOption, match=r"@app\.consumer") as refused:
        names.check_task_name(MESSAGE_TASK)
    assert refused.value.field == "name"


def test_a_channel_is_no_queue_to_enqueue_into_and_it_is_told_what_is():
    with pytest.raises(InvalidOption, match=r"published to its topic.*@app\.consumer"):
        names.check_queue("orders:mail")
    with pytest.raises(InvalidOption) as refused:
        names.check_queue("a b")
    assert "published" not in refused.value.message
