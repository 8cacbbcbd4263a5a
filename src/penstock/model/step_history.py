"""The history of a job: which record stands at which place, and until when a suspended job waits. Pure.

Every store goes by these rules. What a job's function makes of its history is `penstock.tasks.replay`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from penstock.model import limits
from penstock.model.durable_steps import JobRecords, Record, RecordKind, Suspended
from penstock.model.errors import InvalidOption, ResultTooLarge
from penstock.model.job import JobView

NEVER: Final = limits.TIME_S_MAX
"""When a job is due that waits for an event without a limit (Unix seconds). Nobody is shown it."""


def is_end(record: Record) -> bool:
    """Whether nothing follows from a record any more, so that no other takes its place."""
    if record.kind is RecordKind.EVENT:
        return record.value is not None or record.timed_out
    return record.kind is RecordKind.STEP


def added(standing: Record | None, new: Record) -> Record:
    """What stands at a place once ``new`` was recorded there. ``standing`` None: nothing did."""
    return new if standing is None or not is_end(standing) else standing


def timed(suspended: Suspended, now: float) -> Record:
    """What a suspended job waits for, with the time that it waits until."""
    record, delay_s = suspended.record, suspended.delay_s
    if record.until is not None or delay_s is None:
        return record
    return replace(record, until=now + max(0.0, min(delay_s, limits.DELAY_S_MAX)))


def due(record: Record) -> float:
    """When a job that waits for this is to run whatever happens (Unix seconds)."""
    return NEVER if record.until is None else record.until


def waits(last: Record | None, run_at: float | None) -> bool:
    """Whether a scheduled job is suspended.

    Args:
        last: the record at its last place; None: it has none.
        run_at: when it is due. A job whose last wait is over, and that is to be retried, is due at another time.
    """
    return last is not None and not is_end(last) and run_at == due(last)


def reason_of(record: Record) -> str:
    """What a suspended job waits for, for people."""
    if record.kind is RecordKind.EVENT:
        return f"waits for event {record.name!r}"
    return "sleeps" if record.kind is RecordKind.SLEEP else f"tries step {record.name!r} again"


def shown(view: JobView) -> JobView:
    """A job as people see it: when it may start is None where nobody knows."""
    return replace(view, run_at=None) if view.run_at is not None and view.run_at >= NEVER else view


# --- what may be asked for -------------------------------------------------------------------------------------------
def check_name(name: str, what: str) -> None:
    """Pass when this may be the name of a step, an event or a published value. ``what``: which of these, for the text.

    Raises:
        InvalidOption: it may not.
    """
    if not 0 < len(name.encode("utf-8", "replace")) <= limits.STEP_NAME_BYTES_MAX:
        raise InvalidOption(
            f"The name of {what} has 1 to {limits.STEP_NAME_BYTES_MAX} bytes: give a short one.", field="name"
        )


def check_value(value: bytes | None, what: str) -> None:
    """Pass when an encoded value may be kept. ``what``: of what it is, for the text.

    Raises:
        ResultTooLarge: it is over the limit.
    """
    if value is not None and len(value) > limits.RECORD_BYTES_MAX:
        raise ResultTooLarge(
            f"The value of {what} has {len(value)} bytes; the limit (RECORD_BYTES_MAX) is {limits.RECORD_BYTES_MAX}."
            " Keep where the data is, not the data."
        )


def check_place(place: int) -> None:
    """Pass when a job may have a record at this place.

    Raises:
        InvalidOption: it has too many.
    """
    if not 0 <= place < limits.RECORDS_OF_JOB_MAX:
        raise InvalidOption(
            f"A job records at most {limits.RECORDS_OF_JOB_MAX} durable steps (RECORDS_OF_JOB_MAX): let one step do"
            " more, use ctx.checkpoint for a cursor over long input, or let the job enqueue others.",
            field="records",
        )


def check_records(records: Sequence[Record]) -> None:
    """Pass when these may be recorded.

    Raises:
        InvalidOption: there are too many, or a name is none.
        ResultTooLarge: a value is over the limit.
    """
    for record in records:
        check_place(record.place)
        check_name(record.name, "a durable step")
        check_value(record.value, f"step {record.name!r}")
        if record.until is not None and not abs(record.until) < NEVER:
            raise InvalidOption("The time that a job waits until is out of reach.", field="until")


def check_jobs(jobs: Sequence[JobRecords]) -> None:
    """Pass when these jobs may record this, as far as it alone can tell.

    Raises:
        InvalidOption: there are too many records, or a name is none.
        ResultTooLarge: a value is over the limit.
    """
    for job in jobs:
        check_records(job.records)
        check_value(job.checkpoint, "a checkpoint")
        for name, value in job.published.items():
            check_name(name, "a published value")
            check_value(value, f"the published value {name!r}")


def check_suspended(outcomes: Sequence[Suspended]) -> None:
    """Pass when jobs may be suspended like this.

    Raises:
        InvalidOption: a time is out of reach, a name is none, or there are too many records.
        ResultTooLarge: a value is over the limit.
    """
    for outcome in outcomes:
        check_records([*outcome.before, outcome.record])
        if outcome.delay_s is not None and not abs(outcome.delay_s) < NEVER:
            raise InvalidOption("The time that a job is suspended for is out of reach.", field="delay_s")
        if is_end(outcome.record):
            raise InvalidOption("A job is suspended for what has not ended yet.", field="record")


def check_published(there: int) -> None:
    """Pass when so many values may be published under one id.

    Raises:
        InvalidOption: they may not.
    """
    if there > limits.PUBLISHED_VALUES_MAX:
        raise InvalidOption(
            f"At most {limits.PUBLISHED_VALUES_MAX} values are published by one workflow (PUBLISHED_VALUES_MAX): put"
            " several into one, as a dict.",
            field="published",
        )
