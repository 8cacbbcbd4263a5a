"""The resources of the gate: every path, with what answers it."""

from __future__ import annotations

from penstock.gate.ingest import Ingest
from penstock.gate.limit_routes import LimitRoutes
from penstock.gate.operator_routes import OperatorRoutes
from penstock.gate.reads import Lookups
from penstock.gate.routing import Route, Routes
from penstock.gate.schedule_routes import ScheduleRoutes
from penstock.gate.searches import Searches
from penstock.gate.topic_routes import TopicRoutes
from penstock.gate.workflow_routes import WorkflowRoutes


def routes_of(
    ingest: Ingest,
    lookups: Lookups,
    searches: Searches,
    limits: LimitRoutes,
    operators: OperatorRoutes,
    topics: TopicRoutes,
    workflows: WorkflowRoutes,
    schedules: ScheduleRoutes,
) -> Routes:
    """All of them. The name of a `Route` is what metrics call it."""
    whole = {
        "/v1/jobs": Route("jobs", {"GET": searches.get_jobs, "POST": ingest.post_jobs}),
        "/v1/dead": Route("dead", {"GET": searches.get_dead}),
        "/v1/limits": Route("limits", {"GET": limits.get_all, "PUT": limits.put}, reading="PUT"),
        "/v1/queues": Route("queues", {"GET": operators.get_queues}),
        "/v1/holds": Route("holds", {"GET": operators.get_holds}),
        "/v1/actions": Route("actions", {"GET": operators.get_actions, "POST": operators.post_action}),
        "/v1/audit": Route("audit", {"GET": operators.get_audit}),
        "/v1/topics": Route("topics", {"GET": topics.get_topics}),
        "/v1/workflows": Route("workflows", {"GET": workflows.get_workflows}),
        "/v1/schedules": Route("schedules", {"GET": schedules.get_all}),
        "/v1/stats": Route("stats", {"GET": lookups.get_stats}),
        "/metrics": Route("metrics", {"GET": lookups.get_metrics}),
        "/health/live": Route("live", {"GET": lookups.get_live}, open_to_all=True),
        "/health/ready": Route("ready", {"GET": lookups.get_ready}, open_to_all=True),
    }
    single = {
        ("jobs", ""): Route("job", {"GET": lookups.get_job, "DELETE": lookups.delete_job}),
        ("jobs", "result"): Route("result", {"GET": lookups.get_result}),
        ("jobs", "retry"): Route("retry", {"POST": operators.retry_job}),
        ("jobs", "run-now"): Route("run-now", {"POST": operators.run_job_now}, reading=""),
        ("jobs", "signal"): Route("signal", {"POST": workflows.signal}),
        ("jobs", "values"): Route("values", {"GET": workflows.get_values}),
        ("workflows", ""): Route("workflow", {"GET": workflows.get_workflow, "DELETE": workflows.delete}),
        ("workflows", "steps"): Route("steps", {"GET": workflows.get_steps}),
        ("workflows", "steps/"): Route("step", {"GET": workflows.get_step}),
        ("workflows", "steps//results"): Route("step-results", {"GET": workflows.get_results}),
        ("workflows", "result"): Route("workflow-result", {"GET": workflows.get_result}),
        ("workflows", "values"): Route("workflow-values", {"GET": workflows.get_values}),
        ("workflows", "fork"): Route("workflow-fork", {"POST": workflows.fork}),
        ("workflows", "signal"): Route("workflow-signal", {"POST": workflows.signal}),
        ("limits", ""): Route(
            "limit", {"GET": limits.get_all, "PUT": limits.put, "DELETE": limits.delete}, reading="PUT"
        ),
        ("actions", ""): Route("action", {"GET": operators.get_action, "DELETE": operators.delete_action}),
        ("queues", ""): Route("queue", {"GET": operators.get_queue, "DELETE": operators.delete_queue}),
        ("topics", ""): Route(
            "topic", {"GET": topics.get_topic, "PUT": topics.put_topic, "DELETE": topics.delete_topic}
        ),
        ("topics", "messages"): Route("messages", {"POST": topics.post_messages}),
        ("topics", "channels/"): Route("channel", {"PUT": topics.put_channel, "DELETE": topics.delete_channel}),
    }
    for verb in ("cancel", "pause", "resume", "retry"):
        single["workflows", verb] = Route(f"workflow-{verb}", {"POST": workflows.act(verb)}, reading="")
    single |= {
        ("schedules", ""): Route(
            "schedule", {"GET": schedules.get, "PUT": schedules.put, "DELETE": schedules.delete}, reading="PUT"
        ),
        ("schedules", "runs"): Route("schedule-runs", {"GET": schedules.get_runs}),
        ("schedules", "run"): Route("schedule-run", {"POST": schedules.run}, reading=""),
        ("schedules", "pause"): Route("schedule-pause", {"POST": schedules.held("pause")}, reading=""),
        ("schedules", "resume"): Route("schedule-resume", {"POST": schedules.held("resume")}, reading=""),
        ("schedules", "backfill"): Route("schedule-backfill", {"POST": schedules.backfill}),
    }
    for kind in ("queue", "task"):
        for change in ("pause", "drain", "resume"):
            single[f"{kind}s", change] = Route(f"{kind}-{change}", {"POST": operators.hold(kind, change)})
        single[f"{kind}s", "empty"] = Route(f"{kind}-empty", {"POST": operators.empty(kind)})
    return Routes(whole, single | _topic_holds(topics))


def _topic_holds(topics: TopicRoutes) -> dict[tuple[str, str], Route]:
    """What pauses and resumes a topic as a whole."""
    return {
        ("topics", change): Route(f"topic-{change}", {"POST": topics.hold(change)}) for change in ("pause", "resume")
    }
