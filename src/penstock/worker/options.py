"""What a worker is told, and what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.model import limits


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker runs.

    Attributes:
        app: ``module:attribute``.
        executors: processes.
        concurrency: async jobs at a time in each.
        queues: in order of preference; None: all.
        grace_s: how long running jobs may take to finish at a shutdown.
        log: the least severe level that executors log: debug, info, warning or error.
        log_format: text or json.
        holder: the 16 bytes that name this worker to the store. What another one of that name left behind is released
            at the start: it must be dead. None: a name of its own.
    """

    app: str
    executors: int = 1
    concurrency: int = limits.CONCURRENCY
    queues: tuple[str, ...] | None = None
    grace_s: float = limits.GRACE_S
    log: str = "info"
    log_format: str = "text"
    holder: bytes | None = None


@dataclass(frozen=True, slots=True)
class ExecutorStatistics:
    """One executor, now. ``held``: jobs that it was handed and that have not ended. ``running``: those of them that
    have been seen on its scoreboard."""

    pid: int
    ready: bool
    held: int
    running: int


@dataclass(frozen=True, slots=True)
class FlowStatistics:
    """Jobs in and outcomes out. ``leased``, ``settled``, ``refused`` and ``turned_away`` count from the start.

    Attributes:
        refused: outcomes that came too late, because their leases had been lost.
        backlog: jobs that are leased and not handed to an executor yet.
        unsettled: outcomes that the store has not taken yet.
        lease_requests: those under way.
        turned_away: jobs that this worker could not run, and left to others.
    """

    leased: int
    settled: int
    refused: int
    backlog: int
    unsettled: int
    lease_requests: int
    turned_away: int = 0


@dataclass(frozen=True, slots=True)
class SupervisorStatistics:
    """What a supervisor has done since it started, and what it holds.

    Attributes:
        template_pid: of the forkserver; None: it is being started.
        recalled: jobs taken back from executors before they started.
        deaths: executors that died or were killed.
    """

    executors: tuple[ExecutorStatistics, ...]
    template_pid: int | None
    flow: FlowStatistics
    recalled: int
    deaths: int
