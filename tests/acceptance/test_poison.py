"""Jobs that kill their executor, and those that happen to be there: nobody pays for another's crash."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from penstock.model import limits
from penstock.model.ids import parse_id
from penstock.model.job import JobView
from penstock.model.states import State
from penstock.store.wire.client.blocking import Client

from .conftest import Node, Place, until
from .test_worker import Site, Worker
from .test_worker import site as site  # noqa: PLC0414 - a fixture

BYSTANDERS = {"bystander": limits.LONE_NEW_MAX + 4, "bystander_thread": 3, "bystander_process": 1}


def work(site: Site, executors: int) -> Worker:
    return site.work("poison_app:app", executors=executors).wait_ready()


def crowd(site: Site, but: str = "") -> list[bytes]:
    """Harmless jobs in every lane, all of them under way. ``but``: none of these."""
    crowded = {task: count for task, count in BYSTANDERS.items() if task != but}
    ids = [
        job_id for task, count in crowded.items() for job_id in site.enqueue(f"poison_app.{task}", "it", count=count)
    ]
    site.marked("it", len(ids))
    return ids


def held_against(view: JobView) -> tuple[int, int, int, bool]:
    return view.attempt, view.losses, view.strays, view.suspect


class TestPoison:
    @pytest.mark.parametrize(
        ("task", "executors"),
        [("exits", 1), ("exits", 2), ("exits_after_it_returned", 1), ("exits_in_a_thread", 1), ("crashes", 1)],
    )
    def test_neighbours_of_poison_are_not_charged(self, site: Site, task: str, executors: int) -> None:
        work(site, executors)
        # The lane of processes runs one job at a time, and the poison needs it.
        ids = crowd(site, but="bystander_process" if task == "crashes" else "")
        poison = site.end(f"poison_app.{task}", wait_s=60.0)
        assert (poison.state, poison.error.type, poison.losses) == (State.DEAD, "WorkerLost", limits.LOSSES_MAX)
        assert len(site.marked("poison")) == limits.LOSSES_MAX + 1, "once in company, then alone"
        site.go("it")
        views = site.client.wait(ids, 60.0)
        assert [(view.state, *held_against(view)) for view in views] == [(State.SUCCEEDED, 1, 0, 0, False)] * len(ids)

    def test_several_poison_jobs_at_once(self, site: Site) -> None:
        work(site, 1)
        (ids, poison) = crowd(site), [site.enqueue(f"poison_app.{task}")[0] for task in ("exits", "exits_in_a_thread")]
        assert {(view.state, view.losses) for view in site.client.wait(poison, 60.0)} == {
            (State.DEAD, limits.LOSSES_MAX)
        }
        site.go("it")
        assert {held_against(view) for view in site.client.wait(ids, 60.0)} == {(1, 0, 0, False)}

    def test_what_a_job_left_behind_is_held_against_no_other(self, site: Site) -> None:
        work(site, 1)
        assert site.result("poison_app.leaves_a_bomb") == "done"
        (job_id,) = site.enqueue("poison_app.bystander_process", "it")
        until(lambda: site.client.get([job_id])[0].suspect)
        site.marked("it", 2)
        site.go("it")
        assert held_against(site.ended(job_id)) == (1, 0, 0, False)

    def test_one_that_crashes_only_now_and_then_succeeds_in_between(self, site: Site) -> None:
        work(site, 1)
        ids = crowd(site)
        view = site.end("poison_app.exits_once", wait_s=60.0)
        assert (view.state, *held_against(view)) == (State.SUCCEEDED, 1, 0, 0, False)
        site.go("it")
        assert {held_against(view) for view in site.client.wait(ids, 60.0)} == {(1, 0, 0, False)}

    def test_other_work_goes_on_while_suspects_run(self, site: Site) -> None:
        work(site, 1)
        ids = crowd(site)
        site.end("poison_app.exits", wait_s=60.0)
        site.go("other")
        assert site.result("poison_app.bystander", "other") == "done"
        assert site.result("poison_app.bystander_process", "other") == "done"
        site.go("it")
        site.client.wait(ids, 60.0)

    def test_a_suspect_can_be_cancelled(self, site: Site) -> None:
        work(site, 1)
        ids = crowd(site)
        site.end("poison_app.exits", wait_s=60.0)
        site.client.cancel(ids)
        assert {view.state for view in site.client.wait(ids, 60.0)} == {State.CANCELLED}

    def test_suspects_that_do_not_finish_before_a_shutdown_go_back(self, site: Site) -> None:
        worker = site.work("poison_app:app", executors=1, grace_s=0.1).wait_ready()
        ids = crowd(site)
        site.end("poison_app.exits", wait_s=60.0)
        assert worker.stop()[0] == 0
        views = site.client.get(ids)
        assert [(view.state, *held_against(view)) for view in views] == [(State.READY, 0, 0, 0, True)] * len(ids)
        site.go("it")
        work(site, 2)
        assert {held_against(view) for view in site.client.wait(ids, 60.0)} == {(1, 0, 0, False)}


class TestStrays:
    def test_a_job_outlives_its_forkservers(self, site: Site) -> None:
        worker = work(site, 1)
        (job_id,) = site.enqueue("poison_app.bystander", "it")
        for times in range(1, limits.LOSSES_MAX + 1):
            site.marked("it", times)
            (old,) = worker.processes["forkserver"]
            os.kill(old, signal.SIGKILL)
            while worker.processes.get("forkserver", [old]) == [old] or not worker.processes.get("executor"):
                worker.note_all()
        site.marked("it", limits.LOSSES_MAX + 1)
        site.go("it")
        view = site.ended(job_id)
        assert (view.state, *held_against(view)) == (State.SUCCEEDED, 1, 0, limits.LOSSES_MAX, False)

    def test_a_job_outlives_its_supervisors(self, place: Place, node: Callable[..., Node]) -> None:
        it = node()
        it.wait_ready()
        flag = place.path / "go"
        job_id = parse_id(place.json("enqueue", "shop:app", "shop.pause", f'"{flag}"')["id"])
        client = Client.connect(place.store)
        for times in range(limits.LOSSES_MAX + 1):

            def runs(times: int = times) -> bool:
                (view,) = client.get([job_id])
                return view is not None and view.started_at is not None and view.strays == times

            until(runs)
            until(lambda: it.pids("supervisor"))
            os.kill(it.pids("supervisor")[0], signal.SIGKILL)
        flag.touch()
        (view,) = client.wait([job_id], 60.0)
        assert view is not None
        assert (view.state, *held_against(view)) == (State.SUCCEEDED, 1, 0, limits.LOSSES_MAX + 1, False)
        client.close()
