"""An application knows its tasks and its jobs."""

from __future__ import annotations

import asyncio
import os
import uuid

import pytest

from penstock.model.errors import InvalidOption, JobNotFound, UnknownTask
from penstock.tasks.app import Penstock


def publish(paths: list[str]) -> int:
    return len(paths)


@pytest.fixture
def task(app: Penstock):
    return app.task(publish)


def test_tasks_are_known_by_name(app, task):
    assert app.get(task.name) is task
    assert dict(app.tasks) == {task.name: task}


def test_an_unknown_task_is_named(app):
    with pytest.raises(UnknownTask, match=r"shop\.nothing"):
        app.get("shop.nothing")


def test_an_unknown_task_that_is_nearly_right_is_told_what_was_meant(app):
    app.task(name="shop.publish")(publish)
    with pytest.raises(UnknownTask, match=r"'shop\.publsh'; did you mean shop\.publish\?"):
        app.get("shop.publsh")


def test_the_tasks_are_read_only(app, task):
    with pytest.raises(TypeError):
        app.tasks["other"] = task


@pytest.mark.parametrize(
    "url", ["postgresql://db/jobs", "redis://localhost", "kafka+redis://a,b", "http://x", "", "a\0b", 3]
)
def test_what_is_no_directory_is_refused(url):
    with pytest.raises(InvalidOption) as caught:
        Penstock(url)
    assert caught.value.field == "url"


def test_a_url_that_is_given_stands(monkeypatch):
    monkeypatch.setenv("PENSTOCK_URL", "elsewhere")
    assert Penstock("here").url == os.path.abspath("here")


def test_without_a_url_the_environment_decides_at_the_first_use(monkeypatch):
    app = Penstock()
    monkeypatch.setenv("PENSTOCK_URL", "elsewhere")
    assert app.url == os.path.abspath("elsewhere")
    monkeypatch.delenv("PENSTOCK_URL")
    assert app.url == os.path.abspath("elsewhere")
    assert Penstock().url == os.path.abspath("penstock-data")


def test_a_url_from_the_environment_that_is_no_directory_is_refused_at_the_first_use(monkeypatch):
    monkeypatch.setenv("PENSTOCK_URL", "redis://localhost")
    app = Penstock()
    task = app.task(publish)
    with pytest.raises(InvalidOption, match="redis"):
        task.enqueue(["a"])


def test_an_application_can_be_sent_elsewhere():
    app = Penstock("here")
    app.redirect("there")
    assert app.url == os.path.abspath("there")
    with pytest.raises(InvalidOption):
        app.redirect("redis://localhost")


def test_a_job_is_found_by_its_id(app, task, work):
    job = task.enqueue(["a"])
    work()
    for key in (job.id, uuid.UUID(job.id)):
        found = app.job(key)
        assert found == job
        assert (found.state, found.task) == ("succeeded", task.name)
        assert found.result(0) == 1
    assert asyncio.run(app.job_async(job.id)) == job


@pytest.mark.parametrize("key", ["01920000-0000-7000-8000-000000000000", "not an id", 3])
def test_a_job_that_is_not_there_is_not_found(app, key):
    with pytest.raises(JobNotFound, match=str(key)):
        app.job(key)
    with pytest.raises(JobNotFound):
        asyncio.run(app.job_async(key))


def test_a_job_of_a_task_that_is_not_here_gives_plain_data(app, task, store, work):
    job = task.enqueue(["a"])
    work()
    assert Penstock(store=store).job(job.id).result(0) == 1


def test_a_store_given_by_hand_outlives_the_application(app, task):
    with app:
        job = task.enqueue(["a"])
    app.close()
    assert job.status().state == "ready"


def test_an_application_closes_asynchronously(app, task):
    async def use():
        async with app:
            return await task.enqueue_async(["a"])

    assert asyncio.run(use()).status().state == "ready"


def test_an_application_says_where_its_jobs_are_and_how_many_tasks_it_has(app, task, monkeypatch):
    monkeypatch.setenv("PENSTOCK_URL", "redis://user:secret@host")
    assert repr(app) == "<Penstock in a MemoryStore with 1 task>"
    assert repr(Penstock("here")) == f"<Penstock in {os.path.abspath('here')} with 0 tasks>"
    assert repr(Penstock()) == "<Penstock in what PENSTOCK_URL says with 0 tasks>"


def test_a_task_says_its_name(task):
    assert repr(task) == f"<Task {task.name}>"
    assert repr(task.options(headers={"token": "secret"})) == f"<<Task {task.name}> with options>"
