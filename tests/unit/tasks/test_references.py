"""What is public travels to another process, and is copied, as people expect."""

from __future__ import annotations

import concurrent.futures
import copy
import importlib.util
import inspect
import multiprocessing
import sys
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from pickle import HIGHEST_PROTOCOL as PROTOCOL
from pickle import PicklingError

import pytest

import penstock
from penstock import PenstockError, Retry, Snooze, State
from penstock.model import errors
from penstock.tasks.app import Penstock

NAME = "penstock_tests_picklable"


@pytest.fixture
def module(monkeypatch):
    """The module beside this one, under a name that another process can import it by."""
    place = Path(__file__).parent
    spec = importlib.util.spec_from_file_location(NAME, place / "picklable.py")
    found = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, NAME, found)
    spec.loader.exec_module(found)
    return found


def again(thing, protocol=PROTOCOL):
    return ForkingPickler.loads(ForkingPickler.dumps(thing, protocol))


@pytest.mark.parametrize("protocol", range(2, PROTOCOL + 1))
@pytest.mark.parametrize("name", ["p.double", "p.half", "p.hidden", "p.price"])
def test_a_task_is_itself_again(module, name, protocol):
    task = module.app.get(name)
    assert again(task, protocol) is task
    assert again(task.s(3), protocol).task is task
    with_options = again(task.options(priority=3, headers={"a": "b"}, delay_s=1), protocol)
    assert with_options.s(1).job_options == task.options(priority=3, headers={"a": "b"}, delay_s=1).s(1).job_options


def test_an_application_is_itself_again(module):
    assert again(module.app) is module.app
    assert copy.deepcopy({"app": module.app})["app"] is module.app
    assert copy.copy(module.app) is module.app


def test_a_task_is_its_own_copy():
    task = Penstock("nowhere").task(name="t")(lambda: None)
    assert copy.copy(task) is task
    assert copy.deepcopy([task.s()])[0].task is task
    assert copy.deepcopy(task.options(priority=1)).s().job_options.priority == 1


def test_what_nobody_could_find_again_is_refused():
    app = Penstock("nowhere")
    task = app.task(name="t")(lambda: None)
    for thing in (app, task, task.s()):
        with pytest.raises(PicklingError, match="no attribute of a module"):
            ForkingPickler.dumps(thing)


def test_a_task_looks_like_its_function(module):
    assert module.double.__name__ == "double"
    assert module.double.__qualname__ == "double"
    assert module.double.__module__ == NAME
    assert inspect.signature(module.double) == inspect.signature(module.double.function)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_runs_a_task(module, method, tmp_path, monkeypatch):
    (tmp_path / f"{NAME}.py").write_text(Path(module.__spec__.origin).read_text())
    monkeypatch.syspath_prepend(tmp_path)
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.map(module.double, [1, 2]) == [2, 4]


PUBLIC = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PenstockError)]


def _made(kind):
    names = inspect.signature(kind).parameters
    extra = {"field": "x", "error_type": "KeyError", "traceback": "Traceback", "job": "t 1", "refused": True}
    return kind("what happened", **{name: value for name, value in extra.items() if name in names})


@pytest.mark.parametrize("way", [again, copy.copy, copy.deepcopy, lambda error: again(error, 2)])
@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
def test_an_exception_is_the_same_again(kind, way):
    for error in (_made(kind), kind()):
        error.add_note("a note")
        found = way(error)
        assert type(found) is kind
        assert (str(found), found.args, vars(found)) == (str(error), error.args, vars(error))
        assert found.message == error.message


def test_every_public_exception_was_looked_at():
    assert {name for name in penstock.__all__ if isinstance(getattr(penstock, name), type)} & {
        kind.__name__ for kind in PUBLIC
    } == {kind.__name__ for kind in PUBLIC} - {"IllegalTransition"}


class Later(Snooze):
    """A subclass of somebody's own."""


@pytest.mark.parametrize("way", [again, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", [Snooze, Later])
def test_a_snooze_is_the_same_again(kind, way):
    found = way(kind(2.5))
    assert (type(found), found.delay_s, str(found)) == (kind, 2.5, "runs again in 2.5 s")


@pytest.mark.parametrize("way", [again, copy.copy, copy.deepcopy])
def test_values_are_the_same_again(module, way):
    retry = Retry(max_attempts=3, on=(OSError,))
    assert way(retry) == retry
    assert way(State.DEAD) is State.DEAD
    status = module.double.enqueue(3).status()
    assert way(status) == status


def raises_snooze(_number):
    raise Snooze(1.5)


def test_a_snooze_comes_back_from_another_process():
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool, pytest.raises(Snooze) as caught:
        pool.submit(raises_snooze, 1).result()
    assert caught.value.delay_s == 1.5
