"""The one error tree.

* PenstockError
    * InvalidOption: an option of a task, a job or the configuration is outside what it may be
    * UnknownTask: no task of this name is known here
    * InvalidArguments: arguments do not fit the task's signature
        * BodyTooLarge: they fit, but their encoded form is over the limit
    * InvalidResult: what a task returned cannot be stored, or does not fit its annotation
        * ResultTooLarge: its encoded form is over the limit
    * JobNotFound: no record of this job (never accepted, or its record's time is up)
    * TopicNotFound: there is no topic of this name
        * ChannelNotFound: the topic has no channel of this name
    * WorkflowNotFound: there is no such workflow, or no such step of it
    * ScheduleNotFound: there is no schedule of this name
    * StepChanged: a job's durable steps are not those that it has recorded
    * StepFailed: raised inside a job: a durable step of it raised
    * EventTimeout: raised inside a job: the event it waited for has not come in time
    * SuspensionCaught: a job has caught what suspends it, and has gone on
    * JobFailed: the job is dead
    * JobCancelled: the job was cancelled
    * JobExpired: the job was not started in time
    * ResultTimeout: the job did not finish within the time the caller would wait
    * ResultExpired: the job succeeded, its result is no longer kept
    * Conflict: an idempotency key was used before with other arguments
    * StaleCursor: the position of a source has been passed, or another reader has the partition
    * QueueNotFound: there is no such queue
    * QueueDraining: an operator lets a queue run empty; it takes no new jobs
    * StoreFull: the disk or a named limit of the store is full
    * StoreUnavailable: the store cannot be reached or opened
        * StoreOverloaded: it can, and asks to come back later
    * CareFailed: what was to be done with a store's file could not be done, and left nothing behind
    * AddressUnavailable: a server cannot listen where it should
    * TimeLimitExceeded: a job ran longer than its time limit
        * SoftTimeLimitExceeded: raised inside the job, which may still clean up
    * IllegalTransition: a move between states that the transition table does not have (a bug, never an outcome)

Each class has a stable ``code`` that travels on the wire; a subclass docstring is its default message.
"""

from __future__ import annotations

from typing import ClassVar


class PenstockError(Exception):
    """Something went wrong in Penstock."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        """The text without the class name."""
        return str(self.args[0])


class InvalidOption(PenstockError):
    """An option is outside what it may be."""

    code = "invalid-option"

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class UnknownTask(PenstockError):
    """No task of this name is known here."""

    code = "unknown-task"


class InvalidArguments(PenstockError):
    """The arguments do not fit the task's signature."""

    code = "invalid-arguments"

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class BodyTooLarge(InvalidArguments):
    """The encoded arguments are over the limit for one job."""

    code = "body-too-large"


class InvalidResult(PenstockError):
    """What the task returned cannot be stored."""

    code = "invalid-result"


class ResultTooLarge(InvalidResult):
    """What the task returned is over the limit for one result."""

    code = "result-too-large"


class JobNotFound(PenstockError):
    """There is no record of this job."""

    code = "not-found"


class TopicNotFound(PenstockError):
    """There is no topic of this name."""

    code = "topic-not-found"


class ChannelNotFound(TopicNotFound):
    """The topic has no channel of this name."""

    code = "channel-not-found"


class WorkflowNotFound(PenstockError):
    """There is no workflow, or no step of it, with this name or number."""

    code = "workflow-not-found"


class ScheduleNotFound(PenstockError):
    """There is no schedule of this name."""

    code = "schedule-not-found"


class StepChanged(PenstockError):
    """The durable steps of a job are not those that it has recorded: its code has changed, or a name is used twice."""

    code = "step-changed"


class StepFailed(PenstockError):
    """A durable step raised."""

    code = "step-failed"

    def __init__(self, message: str | None = None, *, error_type: str = "", traceback: str | None = None) -> None:
        """What the step raised: its class name, its text and its traceback. Where that was in this run, it is the
        ``__cause__``."""
        super().__init__(message)
        self.type = error_type
        self.traceback = traceback


class SuspensionCaught(PenstockError):
    """The function of a job has caught what suspends it, and has gone on."""

    code = "suspension-caught"


class EventTimeout(PenstockError):
    """The event has not come in time."""

    code = "event-timeout"


class JobFailed(PenstockError):
    """The job is dead."""

    code = "job-failed"

    def __init__(
        self, message: str | None = None, *, error_type: str = "", traceback: str | None = None, job: str = ""
    ) -> None:
        """``job``: its task and id, for the text; ``message`` stays what the function said."""
        super().__init__(message)
        self.type = error_type
        self.traceback = traceback
        self.job = job

    def __str__(self) -> str:
        said = [self.job, self.type, self.message if self.message != self.type else ""]
        return ": ".join(filter(None, said))


class JobCancelled(PenstockError):
    """The job was cancelled."""

    code = "job-cancelled"


class JobExpired(PenstockError):
    """The job was not started before it expired."""

    code = "job-expired"


class ResultTimeout(PenstockError):
    """The job did not finish in time."""

    code = "result-timeout"


class ResultExpired(PenstockError):
    """The job's result is no longer kept."""

    code = "result-expired"


class Conflict(PenstockError):
    """The idempotency key was used before with other arguments."""

    code = "conflict"


class StaleCursor(PenstockError):
    """The position of a source has been passed, or another reader has the partition."""

    code = "stale-cursor"

    def __init__(self, message: str | None = None, *, offset: int = 0, fence: int = 0) -> None:
        """``offset``, ``fence``: the position in force."""
        super().__init__(message)
        self.offset = offset
        self.fence = fence


class QueueNotFound(PenstockError):
    """There is no such queue."""

    code = "queue-not-found"


class QueueDraining(PenstockError):
    """The queue is draining: it takes no new jobs until it is resumed."""

    code = "queue-draining"


class StoreFull(PenstockError):
    """The store is full."""

    code = "store-full"

    def __init__(self, message: str | None = None, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        """It was known beforehand: nothing was written, nothing has to be undone."""


class StoreUnavailable(PenstockError):
    """The store cannot be reached."""

    code = "unavailable"

    def __init__(self, message: str | None = None, *, damaged: bool = False) -> None:
        super().__init__(message)
        self.damaged = damaged
        """It is not the disk that failed but something that was found on it, and other jobs may be sound."""


class StoreOverloaded(StoreUnavailable):
    """The store has as many requests waiting as it takes; try again later."""

    code = "overloaded"


class CareFailed(PenstockError):
    """What was to be done with the store's file could not be done."""

    code = "care-failed"


class AddressUnavailable(PenstockError):
    """The address to listen on cannot be had."""

    code = "address-unavailable"


class TimeLimitExceeded(PenstockError):
    """The job ran longer than its time limit."""

    code = "time-limit-exceeded"


class SoftTimeLimitExceeded(TimeLimitExceeded):
    """The job ran longer than its soft time limit; it may clean up until the hard one."""

    code = "soft-time-limit-exceeded"


class IllegalTransition(PenstockError):
    """The transition table has no such move."""

    code = "illegal-transition"


def _descendants(root: type[PenstockError]) -> list[type[PenstockError]]:
    found = [root]
    for child in root.__subclasses__():
        found.extend(_descendants(child))
    return found


BY_CODE: dict[str, type[PenstockError]] = {kind.code: kind for kind in _descendants(PenstockError)}
"""The class for each code that may arrive on the wire."""
