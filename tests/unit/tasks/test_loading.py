"""Finding an application by ``module:attribute``."""

from __future__ import annotations

import sys

import pytest

from penstock import Concurrency, Penstock
from penstock.model.errors import InvalidOption
from penstock.tasks.loading import check_tasks, load_app

SOURCE = """
from penstock.tasks.app import Penstock

app = Penstock("of-the-app")
number = 3

class nest:
    inner = app
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with a module of its own name, forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_it_is_found_in_the_working_directory(place):
    (place / "found_here.py").write_text(SOURCE)
    assert load_app("found_here:app").url == str(place / "of-the-app")
    assert load_app("found_here:nest.inner").url == str(place / "of-the-app")


def test_a_url_is_over_what_it_says_itself(place):
    (place / "redirected.py").write_text(SOURCE)
    assert load_app("redirected:app", "elsewhere").url == str(place / "elsewhere")


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (SOURCE, "refused", "module:attribute"),
        (SOURCE, "refused:", "module:attribute"),
        (SOURCE, ":app", "module:attribute"),
        (SOURCE, "no_such_module:app", "no module 'no_such_module'"),
        (SOURCE, "no_such_package.jobs:app", "no module 'no_such_package'"),
        (SOURCE, "refused:nothing", "It has refused:app"),
        (SOURCE, "refused:number", "is an int, not a Penstock application"),
        ("import no_such_library", "refused:app", "no_such_library"),
        ("1 / 0", "refused:app", "ZeroDivisionError: division by zero .*refused.py, line 1"),
        ("def (", "refused:app", "SyntaxError.*refused.py, line 1"),
        ("raise SystemExit(3)", "refused:app", "SystemExit"),
        ("from penstock.tasks.app import Penstock\nPenstock('redis://x')", "refused:app", "redis"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_the_reason_in_a_line(place, text, path, words):
    (place / "refused.py").write_text(text + "\n")
    with pytest.raises(InvalidOption, match=words) as caught:
        load_app(path)
    assert caught.value.field == "app"
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("wrong", ["@app.task\ndef job(a: range): ...", '@app.task(queue="no queue")\ndef job(): ...'])
def test_a_task_that_is_refused_is_told_with_the_line_in_the_application(place, wrong):
    (place / "strict.py").write_text(f"from penstock.tasks.app import Penstock\napp = Penstock()\n\n{wrong}\n")
    with pytest.raises(InvalidOption) as caught:
        load_app("strict:app")
    assert caught.value.message.endswith(f"({place / 'strict.py'}, line 4)")


def test_a_limit_of_a_queue_that_would_never_hold_is_refused_before_anything_starts(app):
    @app.task(queue="mail")
    def send(to: str) -> None: ...

    @app.task(queue="mail")
    def clean() -> None: ...

    app.queue("mail", limits=[Concurrency(2, per="to"), Concurrency(2, per="header:user")])
    app.queue("idle", limits=[Concurrency(2, per="anything")])
    check_tasks("shop:app", app)
    narrow = Penstock("nowhere")
    narrow.queue("mail", limits=[Concurrency(2, per="form")])
    narrow.task(queue="mail", name="shop.send")(send.function)
    with pytest.raises(InvalidOption, match=r"per 'form', and no task .*\(shop\.send\).*'header:form'"):
        check_tasks("shop:app", narrow)
