"""Penstock: a durable job system for Python.

```python
from penstock import Context, Penstock, Retry

app = Penstock("penstock-data")

@app.task(queue="images", retry=Retry(max_attempts=5), timeout_s=30)
async def thumbnail(ctx: Context, path: str, *, width: int = 200) -> str: ...

job = thumbnail.enqueue("cat.png", width=400)
job.result(timeout_s=10)
```

Importing this is light: servers, the command line and the database engine are imported by who runs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from penstock.model.errors import (
    AddressUnavailable,
    BodyTooLarge,
    CareFailed,
    ChannelNotFound,
    Conflict,
    EventTimeout,
    InvalidArguments,
    InvalidOption,
    InvalidResult,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobNotFound,
    PenstockError,
    QueueDraining,
    QueueNotFound,
    ResultExpired,
    ResultTimeout,
    ResultTooLarge,
    ScheduleNotFound,
    SoftTimeLimitExceeded,
    StaleCursor,
    StepChanged,
    StepFailed,
    StoreFull,
    StoreOverloaded,
    StoreUnavailable,
    SuspensionCaught,
    TimeLimitExceeded,
    TopicNotFound,
    UnknownTask,
    WorkflowNotFound,
)
from penstock.model.states import State
from penstock.model.version import installed_version
from penstock.model.workflow_views import StepState, WorkflowState

if TYPE_CHECKING:
    __version__: str
    from penstock.model.schedules import ScheduleRun, ScheduleView
    from penstock.model.source_cursors import SourceCursor
    from penstock.tasks.app import Penstock
    from penstock.tasks.arguments.results import Results
    from penstock.tasks.canvas.chains import chain
    from penstock.tasks.canvas.composition import Canvas, Chain, Signature
    from penstock.tasks.canvas.dags import Dag, dag
    from penstock.tasks.canvas.groups import Group, chord, group
    from penstock.tasks.canvas.workflow import Workflow
    from penstock.tasks.canvas.workflow_status import StepStatus, WorkflowStatus
    from penstock.tasks.consumer import Consumer
    from penstock.tasks.context import Context
    from penstock.tasks.flow_rules import Concurrency, Fair, Rate, Retention, Unique
    from penstock.tasks.job_handle import Job, JobStatus
    from penstock.tasks.message import Message
    from penstock.tasks.publishing import Published
    from penstock.tasks.retry import Retry, Snooze
    from penstock.tasks.task import Task

_FACE = {
    "Penstock": "app",
    "Concurrency": "flow_rules",
    "Context": "context",
    "Fair": "flow_rules",
    "Unique": "flow_rules",
    "Consumer": "consumer",
    "Message": "message",
    "Published": "publishing",
    "Job": "job_handle",
    "JobStatus": "job_handle",
    "Rate": "flow_rules",
    "Retention": "flow_rules",
    "Retry": "retry",
    "Snooze": "retry",
    "Signature": "canvas.composition",
    "Canvas": "canvas.composition",
    "Chain": "canvas.composition",
    "chain": "canvas.chains",
    "Group": "canvas.groups",
    "group": "canvas.groups",
    "chord": "canvas.groups",
    "Dag": "canvas.dags",
    "dag": "canvas.dags",
    "Workflow": "canvas.workflow",
    "WorkflowStatus": "canvas.workflow_status",
    "StepStatus": "canvas.workflow_status",
    "Results": "arguments.results",
    "ScheduleView": "app_schedules",
    "ScheduleRun": "app_schedules",
    "SourceCursor": "app",
    "Task": "task",
}


def __getattr__(name: str) -> object:
    """The face is loaded when it is first asked for: the owner and the supervisor import this package, not the face."""
    if name == "__version__":
        return installed_version()
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"penstock.tasks.{_FACE[name]}"), name)
    globals()[name] = found
    return found


__all__ = [  # noqa: RUF022 - grouped by what a reader looks for
    # the application and its tasks
    "Penstock",
    "Task",
    "Signature",
    "Retry",
    # composed work
    "chain",
    "group",
    "chord",
    "dag",
    "Canvas",
    "Chain",
    "Group",
    "Dag",
    "Workflow",
    "WorkflowStatus",
    "StepStatus",
    "WorkflowState",
    "StepState",
    "Results",
    # when its jobs may run
    "Concurrency",
    "Rate",
    "Fair",
    "Retention",
    "Unique",
    # schedules
    "ScheduleView",
    "ScheduleRun",
    # topics
    "Consumer",
    "Message",
    "Published",
    # sources
    "SourceCursor",
    # inside a task
    "Context",
    "Snooze",
    "SoftTimeLimitExceeded",
    "StepFailed",
    "EventTimeout",
    # jobs
    "Job",
    "JobStatus",
    "State",
    # errors
    "PenstockError",
    "InvalidOption",
    "UnknownTask",
    "InvalidArguments",
    "BodyTooLarge",
    "InvalidResult",
    "ResultTooLarge",
    "JobNotFound",
    "JobFailed",
    "TimeLimitExceeded",
    "JobCancelled",
    "JobExpired",
    "ResultTimeout",
    "ResultExpired",
    "Conflict",
    "WorkflowNotFound",
    "ScheduleNotFound",
    "StepChanged",
    "SuspensionCaught",
    "TopicNotFound",
    "ChannelNotFound",
    "StaleCursor",
    "QueueNotFound",
    "QueueDraining",
    "StoreFull",
    "StoreUnavailable",
    "StoreOverloaded",
    "CareFailed",
    "AddressUnavailable",
]
