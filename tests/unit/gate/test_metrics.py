"""The Prometheus text parses, and says what happened."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from penstock.gate.metrics import SECONDS_BOUNDS, GateCounters
from penstock.model import limits
from penstock.model.health import StoreHealth
from penstock.model.job import StatsPage
from penstock.testing.conformance.kit import put


def samples(door: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = door.call("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.body.decode()))
    assert all(family.documentation and family.type != "unknown" for family in families)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_an_idle_gate_has_figures(door: Any) -> None:
    assert samples(door)["penstock_gate_requests_in_flight", ()] == 1


def test_jobs_are_counted_by_queue_and_state(door: Any) -> None:
    door.post({"task": "any.call"})
    door.post({"task": "images.thumbnail", "args": ["a"], "delay_s": 9})
    found = samples(door)
    assert found["penstock_jobs", (("queue", "default"), ("state", "ready"))] == 1
    assert found["penstock_jobs", (("queue", "images"), ("state", "scheduled"))] == 1
    assert found["penstock_jobs_accepted_total", (("queue", "images"),)] == 1
    assert found["penstock_jobs_unaccounted", (("queue", "images"),)] == 0


def test_only_so_many_queues_are_shown_by_name_and_the_rest_as_one(door: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "PAGE_QUEUES", 2)
    for name, count in (("a", 1), ("other", 2), ("b", 4), ("c", 3), ("d", 1)):
        put(door.memory, count, queue=name)
    found = samples(door)
    accepted = {
        labels[0][1]: value for (name, labels), value in found.items() if name == "penstock_jobs_accepted_total"
    }
    assert accepted == {"b": 4, "c": 3, "other": 4}
    assert found["penstock_jobs", (("queue", "other"), ("state", "ready"))] == 4
    assert found["penstock_jobs_unaccounted", (("queue", "other"),)] == 0


def test_a_queue_called_as_the_rest_is_counted_with_it(door: Any) -> None:
    put(door.memory, 2, queue="other")
    put(door.memory, 1, queue="a")
    found = samples(door)
    assert found["penstock_jobs_accepted_total", (("queue", "other"),)] == 2
    assert found["penstock_jobs_accepted_total", (("queue", "a"),)] == 1


def test_an_age_that_was_not_found_is_left_out_and_is_not_zero(door: Any, monkeypatch: Any) -> None:
    put(door.memory, queue="unknown")
    put(door.memory, queue="known")
    put(door.memory, queue="none-ready", delay_s=9.0)
    ask = door.memory.stats

    def without_one(**asked: Any) -> StatsPage:
        page: StatsPage = ask(**asked)
        page.queues["unknown"].oldest_ready_age_s = None
        return page

    monkeypatch.setattr(door.memory, "stats", without_one)
    shown = [labels for name, labels in samples(door) if name == "penstock_oldest_ready_age_seconds"]
    assert sorted(shown) == [(("queue", "known"),), (("queue", "none-ready"),)]


def test_few_queues_leave_no_rest(door: Any) -> None:
    put(door.memory, 2, queue="a")
    assert not any(("queue", "other") in labels for _, labels in samples(door))


def test_what_is_held_is_shown_with_since_when(door: Any) -> None:
    put(door.memory, queue="images", task="any.call")
    none_held = samples(door)
    assert [none_held["penstock_holds", (("kind", kind),)] for kind in ("paused", "draining")] == [0, 0]
    door.memory.pause(queue="images", note="a deploy")
    door.memory.pause(task="any.call")
    door.memory.pause(queue="images", task="any.call")
    door.memory.drain(queue="images")
    found = samples(door)
    assert [found["penstock_holds", (("kind", kind),)] for kind in ("paused", "draining")] == [3, 1]
    held = {labels: at for (name, labels), at in found.items() if name == "penstock_held_since_seconds"}
    expected = {
        (("kind", kind), ("queue", queue), ("task", task)): door.memory.holds()[0].at
        for kind, queue, task in (
            ("paused", "images", ""),
            ("paused", "", "any.call"),
            ("paused", "images", "any.call"),
            ("draining", "images", ""),
        )
    }
    assert held == expected
    for scope in ({"queue": "images"}, {"task": "any.call"}, {"queue": "images", "task": "any.call"}):
        door.memory.resume(**scope)
    assert not any(name == "penstock_held_since_seconds" for name, _ in samples(door))


def test_what_is_wrong_with_the_store_is_shown(door: Any) -> None:
    assert samples(door)["penstock_store_disk_full", ()] == 0
    odd = 'a "name"\\ with\nwhat must be quoted'
    door.store.ill = StoreHealth(
        disk_full=True, results_dropped=3, jobs_set_aside=2, redo="failed", fault_counts={"settling": 5, odd: 1}
    )
    found = samples(door)
    assert found["penstock_store_disk_full", ()] == 1
    assert found["penstock_store_results_dropped_total", ()] == 3
    assert found["penstock_store_jobs_set_aside", ()] == 2
    assert found["penstock_store_redo_on", ()] == 0
    assert found["penstock_store_failures_total", (("name", "settling"),)] == 5
    assert found["penstock_store_failures_total", (("name", odd.replace("\n", " ")),)] == 1


def test_requests_are_counted_by_route_and_status(door: Any) -> None:
    door.post({"task": "any.call"})
    door.post({"task": "no.such"})
    door.call("GET", "/nonsense/" + "x" * 100)
    found = samples(door)
    assert found["penstock_gate_requests_total", (("route", "jobs"), ("status", "202"))] == 1
    assert found["penstock_gate_requests_total", (("route", "jobs"), ("status", "422"))] == 1
    assert found["penstock_gate_requests_total", (("route", "other"), ("status", "404"))] == 1
    assert found["penstock_gate_body_bytes_total", ()] == len(b'{"task": "any.call"}') + len(b'{"task": "no.such"}')
    assert found["penstock_gate_request_seconds_count", ()] == 3


def test_seconds_fall_into_the_bucket_whose_bound_they_do_not_pass() -> None:
    counters = GateCounters()
    for seconds in (0.0, SECONDS_BOUNDS[0], SECONDS_BOUNDS[0] * 1.01, SECONDS_BOUNDS[-1] * 2):
        counters.count("jobs", 202, 10, seconds)
    found = counters.statistics()
    assert (found.seconds[0], found.seconds[1], found.seconds[-1]) == (2, 1, 1)
    assert found.body_bytes == 40
