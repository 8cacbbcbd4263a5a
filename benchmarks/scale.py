"""How much is measured: in full, or just enough to see that everything works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of every suite. ``repeats`` of each row, of which the median is the figure.

    The sizes named ``compared`` are those of the suite with the rivals: how long a subject is kept busy in a row, how
    long that may take at most, and how long a job is waited for whose process was killed.
    """

    repeats: int = 3
    control_s: float = 0.5
    enqueue_s: float = 3.0
    bulk_jobs: int = 200_000
    drain_jobs: int = 200_000
    drain_executors: tuple[int, ...] = (1, 2)
    latency_samples: int = 1_000
    latency_gap_s: float = 0.004
    recovery_kills: int = 100
    depth_low: int = 10_000
    depth_high: int = 3_000_000
    depth_scheduled: int = 1_000_000
    depth_finished: int = 9_000_000
    depth_probes: int = 200
    lines_queues: tuple[int, int] = (500, 5_000)
    lines_unknown: int = 1_000_000
    lines_probes: int = 200
    publish_large: int = 400
    fair_jobs: int = 1_000_000
    rate_windows: int = 2
    rate_window_s: float = 10.0
    looking_jobs: int = 1_000_000
    looking_commits: int = 2_000
    search_finished: int = 9_000_000
    search_ready: int = 1_000_000
    search_repeats: int = 1
    ingest_s: float = 5.0
    ingest_connections: int = 256
    memory_settle_s: float = 3.0
    chord_members: int = 100_000
    chord_members_many: int = 1_000_000
    chain_steps: int = 1_000
    durable_jobs: int = 5_000
    schedules: tuple[int, int] = (1_000, 1_000_000)
    schedule_rounds: int = 100
    schedule_slots: int = 200
    schedule_repeats: int = 1
    nsq_messages: int = 400_000
    nsq_messages_one_by_one: int = 80_000
    nsq_messages_synced: int = 4_000
    nsq_idle: int = 1_000
    nsq_idle_s: float = 10.0
    nsq_waiting: tuple[int, int] = (2_000, 10_000_000)
    compared_s: float = 1.0
    compared_s_max: float = 10.0
    compared_gap_s: float = 0.02
    compared_members: int = 10_000
    compared_steps: int = 1_000
    compared_kills: int = 10
    compared_recovery_s: float = 60.0


FULL = Scale()
QUICK = Scale(
    repeats=1,
    control_s=0.1,
    enqueue_s=0.5,
    bulk_jobs=20_000,
    drain_jobs=20_000,
    drain_executors=(2,),
    latency_samples=100,
    recovery_kills=5,
    depth_high=100_000,
    depth_scheduled=50_000,
    depth_finished=100_000,
    depth_probes=50,
    lines_queues=(100, 1_000),
    lines_unknown=20_000,
    lines_probes=30,
    publish_large=50,
    fair_jobs=20_000,
    rate_windows=1,
    rate_window_s=2.0,
    looking_jobs=50_000,
    looking_commits=200,
    search_finished=50_000,
    search_ready=10_000,
    ingest_s=1.0,
    ingest_connections=64,
    memory_settle_s=0.5,
    chord_members=3_000,
    chord_members_many=12_000,
    chain_steps=50,
    durable_jobs=300,
    schedules=(100, 2_000),
    schedule_rounds=10,
    schedule_slots=20,
    nsq_messages=20_000,
    nsq_messages_one_by_one=5_120,
    nsq_messages_synced=400,
    nsq_idle=100,
    nsq_idle_s=1.0,
    nsq_waiting=(2_000, 40_000),
    compared_members=500,
    compared_steps=50,
    compared_s=0.4,
    compared_s_max=10.0,
    compared_kills=2,
    compared_recovery_s=15.0,
)
