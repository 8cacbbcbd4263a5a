"""What the gate counts, and the Prometheus text of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from penstock.gate.admission import AdmissionStatistics
from penstock.model.counts import added
from penstock.model.health import StoreHealth
from penstock.model.holds import Hold, HoldKind
from penstock.model.job import QueueStats, StatsPage
from penstock.model.workflow_views import WorkflowState

OTHERS: Final = "other"
"""The queue label of all queues that are not shown by name."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_STATES: Final = ("scheduled", "blocked", "ready", "running", "succeeded", "dead", "cancelled", "expired")
_TOTALS: Final = tuple(name for name in QueueStats.__struct_fields__ if name.endswith("_total"))


@dataclass(frozen=True, slots=True)
class GateStatistics:
    """What a gate has done.

    Attributes:
        requests: answered, by route and status.
        body_bytes: of request bodies, read.
        seconds: how long answers took, counted by upper bound (`SECONDS_BOUNDS`, then all others).
        seconds_sum: together.
    """

    requests: dict[tuple[str, int], int]
    body_bytes: int
    seconds: tuple[int, ...]
    seconds_sum: float


class GateCounters:
    """Plain numbers, because they are touched at every request.

    Args:
        before: what to go on from. None: nothing.
    """

    __slots__ = ("_seconds", "body_bytes", "requests", "seconds_sum")

    def __init__(self, before: GateStatistics | None = None) -> None:
        before = before or GateStatistics({}, 0, (0,) * (len(SECONDS_BOUNDS) + 1), 0.0)
        self.requests = dict(before.requests)
        self.body_bytes = before.body_bytes
        self.seconds_sum = before.seconds_sum
        self._seconds = list(before.seconds)

    def count(self, route: str, status: int, byte_count: int, seconds: float) -> None:
        """One request has its answer."""
        key = (route, status)
        self.requests[key] = self.requests.get(key, 0) + 1
        self.body_bytes += byte_count
        self.seconds_sum += seconds
        self._seconds[bisect_left(SECONDS_BOUNDS, seconds)] += 1

    def statistics(self) -> GateStatistics:
        """A snapshot."""
        return GateStatistics(dict(self.requests), self.body_bytes, tuple(self._seconds), self.seconds_sum)


def by_label(page: StatsPage) -> dict[str, QueueStats]:
    """The counts of the busiest queues by name, and of all others together under `OTHERS`.

    Whoever scrapes keeps a series for each name that there ever was, so only so many queues are shown by name. One that
    is itself called as the others are is counted with them.
    """
    shown = dict(page.queues)
    others = added(counts for counts in (shown.pop(OTHERS, None), page.others) if counts is not None)
    return shown if others == QueueStats() else {**shown, OTHERS: others}


def exposition(
    queues: dict[str, QueueStats],
    workflows: dict[str, int],
    holds: Sequence[Hold],
    health: StoreHealth,
    gate: GateStatistics,
    admission: AdmissionStatistics,
) -> str:
    """The Prometheus text format of it all."""
    store = (*_queue_lines(queues), *_workflow_lines(workflows), *_hold_lines(holds), *_health_lines(health))
    return "\n".join((*store, *_gate_lines(gate), *_admission_lines(admission), ""))


def _queue_lines(queues: dict[str, QueueStats]) -> Iterator[str]:
    ordered = sorted(queues.items())
    yield from _head("penstock_jobs", "gauge", "Records now.")
    for queue, counts in ordered:
        for state in _STATES:
            yield f'penstock_jobs{{queue="{queue}",state="{state}"}} {getattr(counts, state)}'
    for name in _TOTALS:
        yield from _head(f"penstock_jobs_{name}", "counter", "Since the store was made.")
        for queue, counts in ordered:
            yield f'penstock_jobs_{name}{{queue="{queue}"}} {getattr(counts, name)}'
    yield from _head(
        "penstock_jobs_refused", "gauge", "Of those that are ready: refused by a worker, for others to run."
    )
    for queue, counts in ordered:
        yield f'penstock_jobs_refused{{queue="{queue}"}} {counts.refused}'
    yield from _head("penstock_oldest_ready_age_seconds", "gauge", "How long the job that waits longest was ready.")
    for queue, counts in ordered:
        is_known = counts.oldest_ready_age_s is not None or not counts.ready
        if queue != OTHERS and is_known:
            yield f'penstock_oldest_ready_age_seconds{{queue="{queue}"}} {counts.oldest_ready_age_s or 0.0}'
    yield from _head("penstock_jobs_unaccounted", "gauge", "Accepted less everything that can be named: 0, or a bug.")
    for queue, counts in ordered:
        yield f'penstock_jobs_unaccounted{{queue="{queue}"}} {counts.unaccounted()}'


def _workflow_lines(workflows: dict[str, int]) -> Iterator[str]:
    yield from _head("penstock_workflows", "gauge", "Workflows, with those that are over while their records are kept.")
    for state in WorkflowState:
        yield f'penstock_workflows{{state="{state.value}"}} {workflows.get(state.value, 0)}'


def _hold_lines(holds: Sequence[Hold]) -> Iterator[str]:
    yield from _head("penstock_holds", "gauge", "Queues and tasks that an operator has paused, or drains.")
    for kind in HoldKind:
        yield f'penstock_holds{{kind="{kind.value}"}} {sum(hold.kind is kind for hold in holds)}'
    yield from _head(
        "penstock_held_since_seconds",
        "gauge",
        "Since when, in Unix time. Without a task: the whole queue; without a queue: the task in all queues.",
    )
    for hold in holds:
        labels = f'queue="{hold.queue or ""}",task="{hold.task or ""}",kind="{hold.kind.value}"'
        yield f"penstock_held_since_seconds{{{labels}}} {hold.at}"


def _health_lines(health: StoreHealth) -> Iterator[str]:
    rows = (
        ("disk_full", "gauge", int(health.disk_full), "1: new jobs are refused because the disk is full."),
        ("reserve_bytes", "gauge", health.reserve_bytes, "Room kept for working jobs off on a full disk."),
        ("results_dropped_total", "counter", health.results_dropped, "Results dropped because the disk was full."),
        ("records_dropped_total", "counter", health.records_dropped, "Records dropped because the disk was full."),
        ("jobs_set_aside", "gauge", health.jobs_set_aside, "Jobs that a chore cannot handle: damaged."),
        (
            "workflows_set_aside",
            "gauge",
            health.workflows_set_aside,
            "Workflows that cannot go on: a defect, or damaged.",
        ),
        ("redo_on", "gauge", int(health.redo == "on"), "1: the redo log takes enqueues."),
        ("redo_set_aside", "gauge", health.redo_set_aside, "Records of the redo log that could not be applied."),
        ("faults", "gauge", len(health.faults), "Things that fail at present."),
    )
    for name, kind, value, text in rows:
        yield from _head(f"penstock_store_{name}", kind, text)
        yield f"penstock_store_{name} {value}"
    yield from _head("penstock_store_failures_total", "counter", "Failures by name, since the owner started.")
    for name, count in sorted(health.fault_counts.items()):
        label = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        yield f'penstock_store_failures_total{{name="{label}"}} {count}'


def _gate_lines(gate: GateStatistics) -> Iterator[str]:
    yield from _head("penstock_gate_requests_total", "counter", "Requests answered.")
    for (route, status), count in sorted(gate.requests.items()):
        yield f'penstock_gate_requests_total{{route="{route}",status="{status}"}} {count}'
    yield from _head("penstock_gate_body_bytes_total", "counter", "Bytes of request bodies read.")
    yield f"penstock_gate_body_bytes_total {gate.body_bytes}"
    yield from _head("penstock_gate_request_seconds", "histogram", "From the head of a request to its answer.")
    reached = 0
    for bound, count in zip((*map(str, SECONDS_BOUNDS), "+Inf"), gate.seconds, strict=True):
        reached += count
        yield f'penstock_gate_request_seconds_bucket{{le="{bound}"}} {reached}'
    yield f"penstock_gate_request_seconds_sum {gate.seconds_sum}"
    yield f"penstock_gate_request_seconds_count {reached}"


def _admission_lines(admission: AdmissionStatistics) -> Iterator[str]:
    rows = (
        ("requests_in_flight", admission.flights, "Requests without an answer yet."),
        ("body_bytes_in_flight", admission.body_bytes, "Bytes of request bodies in memory."),
        ("answer_bytes_in_flight", admission.answer_bytes, "Bytes of answers that clients have not taken."),
        ("jobs_pending", admission.pending_jobs, "Jobs that wait for the store."),
        ("waiters", admission.waiters, "Requests parked by wait_s."),
    )
    for name, value, text in rows:
        yield from _head(f"penstock_gate_{name}", "gauge", text)
        yield f"penstock_gate_{name} {value}"


def _head(name: str, kind: str, text: str) -> Iterable[str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"
