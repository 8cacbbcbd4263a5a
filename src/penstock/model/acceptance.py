"""What a store checks before it accepts jobs, so that every store refuses the same with the same words.

The doors (the face, the gate) check more and earlier; this is what must hold whoever the client is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from penstock.model import limits
from penstock.model.deliveries import check_holders
from penstock.model.errors import BodyTooLarge, InvalidOption
from penstock.model.flow import UniqueRule
from penstock.model.flow_acceptance import check_unique
from penstock.model.job import MESSAGE_TASK, Extension, JobEntry, JobGroup, LeaseRequest, Outcomes, TaskRecord
from penstock.model.step_history import check_suspended

CHECKSUM_MAX = (1 << 32) - 1
_SHORT = limits.JOB_VALUE_NAME_BYTES_MAX // 4
"""A name and a text that have no more characters have no more bytes than they may."""
_ATTEMPTS_MAX = (1 << 63) - 1
_TASK_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,199}")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Checked(NamedTuple):
    """Jobs that may be accepted.

    Attributes:
        jobs: how many they are.
        plain: none of them has an idempotency key, values or searchable arguments, so nobody need look for these.
    """

    jobs: int
    plain: bool


def check_groups(groups: Sequence[JobGroup], now: float) -> Checked:
    """Pass when these jobs are within the limits. Answers how many they are, and whether they are plain.

    Args:
        groups: what a client asks to be accepted.
        now: Unix seconds by the store's clock.

    Raises:
        InvalidOption: an option is outside what it may be; ``field`` names it.
        BodyTooLarge: one body, or the number of jobs, is over its limit.
    """
    count, plain = 0, True
    body_bytes_max = limits.JOB_BODY_BYTES_MAX
    for group in groups:
        _check_options(group, now)
        count += len(group.jobs)
        for entry in group.jobs:
            if (
                len(entry.id) != 16
                or len(entry.body) > body_bytes_max
                or entry.idempotency_key is not None
                or entry.values is not None
                or entry.searchable is not None
                or not 0 <= entry.checksum <= CHECKSUM_MAX
            ):
                _check_entry(group.task, entry)
                plain = False
    if count > limits.BATCH_JOBS_MAX:
        raise BodyTooLarge(f"{count} jobs in one request; the limit is {limits.BATCH_JOBS_MAX}.")
    return Checked(count, plain)


def _check_entry(task: str, entry: JobEntry) -> None:
    if len(entry.id) != 16:
        raise InvalidOption(f"{task}: a job id has 16 bytes.", field="id")
    if not 0 <= entry.checksum <= CHECKSUM_MAX:
        raise InvalidOption(f"{task}: a body's checksum is a CRC-32, not {entry.checksum}.", field="checksum")
    if entry.identity is not None and not all(0 <= number <= CHECKSUM_MAX for number in entry.identity):
        raise InvalidOption(f"{task}: what a key is compared by is a CRC-32 and a length.", field="identity")
    if len(entry.body) > limits.JOB_BODY_BYTES_MAX:
        raise BodyTooLarge(
            f"{task}: {len(entry.body)} bytes of arguments; the limit for one job is {limits.JOB_BODY_BYTES_MAX}."
        )
    if entry.unique_key is not None:
        _check_unique_key(task, entry.unique_key)
    key = entry.idempotency_key
    if key is not None and len(key.encode()) > limits.IDEMPOTENCY_KEY_BYTES_MAX:
        raise InvalidOption(
            f"{task}: an idempotency key has at most {limits.IDEMPOTENCY_KEY_BYTES_MAX} bytes.",
            field="idempotency_key",
        )
    if entry.values is not None:
        _check_values(task, entry.values)
    if entry.searchable is not None:
        check_searchable(task, entry.searchable)


def _check_values(task: str, values: dict[str, str]) -> None:
    if len(values) > limits.JOB_VALUES_MAX:
        raise InvalidOption(f"{task}: a job has at most {limits.JOB_VALUES_MAX} values.", field="values")
    for name, text in values.items():
        if len(name) + len(text) <= _SHORT and "\n" not in name:
            continue
        if "\n" in name or len(name.encode()) > limits.JOB_VALUE_NAME_BYTES_MAX:
            raise InvalidOption(
                f"{task}: {name[:100]!r} is no name for a value: one line of at most"
                f" {limits.JOB_VALUE_NAME_BYTES_MAX} bytes.",
                field="values",
            )
        if len(text.encode()) > limits.JOB_VALUE_BYTES_MAX:
            raise InvalidOption(
                f"{task}: the value of {name[:100]!r} has at most {limits.JOB_VALUE_BYTES_MAX} bytes; send the SHA-256"
                " of a longer one.",
                field="values",
            )


def check_searchable(task: str, searchable: dict[str, str]) -> None:
    """Pass when a job of this task may be found by these arguments.

    Raises:
        InvalidOption: it may not.
    """
    if len(searchable) > limits.JOB_VALUES_MAX:
        raise InvalidOption(f"{task}: a job is found by at most {limits.JOB_VALUES_MAX} arguments.", field="searchable")
    for name, text in searchable.items():
        if not 0 < len(name.encode()) <= limits.JOB_VALUE_NAME_BYTES_MAX:
            raise InvalidOption(
                f"{task}: the name of an argument to be found by has 1 to {limits.JOB_VALUE_NAME_BYTES_MAX} bytes.",
                field="searchable",
            )
        if len(text.encode()) > limits.JOB_VALUE_BYTES_MAX:
            raise InvalidOption(
                f"{task}: the text of the argument {name[:100]!r}, which a job is found by, has at most "
                f"{limits.JOB_VALUE_BYTES_MAX} bytes: send the SHA-256 of a longer one.",
                field="searchable",
            )


def check_edited(entry: JobEntry, task: str | None) -> None:
    """Pass when a job may be retried by hand with these arguments.

    Args:
        task: of the job that there is; None: there is none.

    Raises:
        InvalidOption: it has a key, or something of it is not what it may be; ``field`` names it. Or it is a message.
        BodyTooLarge: its body is over the limit.
    """
    if entry.idempotency_key is not None:
        raise InvalidOption("A job that is retried keeps the key that it has; give none.", field="idempotency_key")
    _check_entry("The job", entry)
    if task == MESSAGE_TASK:
        raise InvalidOption("A message is what was published: publish another, and delete this one.", field="id")


def check_outcomes(outcomes: Outcomes, now: float) -> None:
    """Pass when a settlement may be committed, as far as it alone can tell.

    Args:
        outcomes: what a client asks to be settled.
        now: Unix seconds by the store's clock.

    Raises:
        InvalidOption: it is of no holder, a time is out of reach, a fence stands in it twice, a child may not be
            enqueued so, or a job may not be suspended so.
        BodyTooLarge: there are too many outcomes, or a child's body is too large.
        ResultTooLarge: a value that is to be recorded is.
    """
    check_holders(outcomes.holder)
    fences = outcomes.fences()
    if len(fences) > limits.SETTLE_JOBS_MAX:
        raise BodyTooLarge(f"{len(fences)} outcomes in one settlement; the limit is {limits.SETTLE_JOBS_MAX}.")
    if len(set(fences)) < len(fences):
        raise InvalidOption("A settlement says of one fence only once what became of it.", field="outcomes")
    if len(fences) > len(outcomes.forgotten) + len(outcomes.released):
        _check_times(outcomes)
        check_suspended(outcomes.suspended)
    for _, groups in outcomes.children:
        check_groups(groups, now)


def _check_times(outcomes: Outcomes) -> None:
    times = [outcome.delay_s for outcomes_of in (outcomes.retried, outcomes.snoozed) for outcome in outcomes_of]
    times += [outcome.keep_s for outcome in outcomes.buried]
    times += [outcome.keep_record_s for outcome in outcomes.cancelled]
    times += [outcome.started_at for outcome in outcomes.lost if outcome.started_at is not None]
    for done in outcomes.succeeded:
        times += (done.started_at, done.finished_at, done.keep_record_s, done.keep_result_s)
    # A sum of floats is not finite as soon as one of them is not.
    if not -limits.TIME_S_MAX < sum(times) < limits.TIME_S_MAX:
        raise InvalidOption("A time in a settlement is not a number, or out of reach.", field="outcomes")


def check_children(groups: Sequence[JobGroup]) -> None:
    """Pass when the children that land with one settlement are not too many together.

    Raises:
        BodyTooLarge: they are.
    """
    count = sum(len(group.jobs) for group in groups)
    if count > limits.BATCH_JOBS_MAX:
        raise BodyTooLarge(f"{count} jobs land with one settlement; the limit is {limits.BATCH_JOBS_MAX}.")


def check_new_queues(known: int, new: int) -> None:
    """Pass when so many queues may be made beside those that there are.

    Raises:
        InvalidOption: there are too many.
    """
    if new and known + new > limits.QUEUES_MAX:
        raise InvalidOption(f"There are {limits.QUEUES_MAX} queues already (QUEUES_MAX).", field="queue")


def check_lease(request: LeaseRequest) -> None:
    """Pass when so many jobs may be leased for so long.

    Raises:
        InvalidOption: they may not.
    """
    if request.limit < 0:
        raise InvalidOption(f"At least 0 jobs are leased, not {request.limit}.", field="limit")
    if request.limited is not None and request.limited < 0:
        raise InvalidOption(f"At least 0 jobs with limits are leased, not {request.limited}.", field="limited")
    _check_lease_s(request.lease_s)


def check_extension(extension: Extension) -> None:
    """Pass when leases may be held on to like this.

    Raises:
        InvalidOption: it is of no holder; a time or a progress is not a number, or out of reach.
    """
    check_holders(extension.holder)
    _check_lease_s(extension.lease_s)
    for _, at in extension.started:
        if not -limits.TIME_S_MAX < at < limits.TIME_S_MAX:
            raise InvalidOption("A time at which a job started is out of reach.", field="started")
    for _, progress in extension.progress:
        total = 0.0 if progress.total is None else progress.total
        if not math.isfinite(progress.done) or not math.isfinite(total):
            raise InvalidOption("Progress is a number.", field="progress")


def _check_lease_s(lease_s: float) -> None:
    if not 0 <= lease_s <= limits.LEASE_S_MAX:
        raise InvalidOption(f"A lease lasts for 0 to {limits.LEASE_S_MAX:.0f} seconds, not {lease_s}.", field="lease_s")


def check_stats(cursor: str | None, *, busiest: bool) -> None:
    """Pass when counts may be asked for like this.

    Raises:
        InvalidOption: the busiest queues are one page, which nothing goes on from.
    """
    if busiest and cursor is not None:
        raise InvalidOption("The busiest queues are one page; leave the cursor out.", field="cursor")


def check_records(records: Sequence[TaskRecord]) -> None:
    """Pass when these tasks may be recorded.

    Raises:
        InvalidOption: one has a name or a number that no task has.
    """
    for record in records:
        check_task(record.name)
        check_queue(record.queue)
        check_priority(record.priority)
        times = (record.keep_result_s, record.keep_record_s, record.expires_s or 0.0)
        if not all(-limits.TIME_S_MAX < time_s < limits.TIME_S_MAX for time_s in times):
            raise InvalidOption(f"{record.name}: a time is not a number, or out of reach.", field="tasks")
        if not 0 <= record.max_attempts <= _ATTEMPTS_MAX:
            raise InvalidOption(f"{record.name}: max_attempts is out of reach.", field="tasks")


def check_queue(name: str, field: str = "queue") -> None:
    """Pass when this may be the name of a queue (or a tag).

    Raises:
        InvalidOption: it may not.
    """
    if not _QUEUE_NAME.fullmatch(name):
        what = "tag" if field == "tag" else "queue"
        raise InvalidOption(f"{name!r} is no name for a {what}: 1 to 64 of A-Z a-z 0-9 _ . -", field=field)


def check_task(name: str) -> None:
    """Pass when this may be the name of a task.

    Raises:
        InvalidOption: it may not.
    """
    if not _TASK_NAME.fullmatch(name):
        raise InvalidOption(
            f"{name!r} is no name for a task: a letter or _, then up to 199 of A-Z a-z 0-9 _ . : -", field="task"
        )


@lru_cache(maxsize=8_192)
def _check_names(task: str, queue: str) -> None:
    """As `check_task` and `check_queue`. Names that passed are remembered: few are in use, and each job has two."""
    check_task(task)
    if task == MESSAGE_TASK:
        raise InvalidOption(f"{task} is the task of messages, which are published to a topic.", field="task")
    check_queue(queue)


def check_priority(priority: int) -> None:
    """Pass when a job may have this priority.

    Raises:
        InvalidOption: it may not.
    """
    if not limits.PRIORITY_MIN <= priority <= limits.PRIORITY_MAX:
        raise InvalidOption(
            f"A priority is between {limits.PRIORITY_MIN} and {limits.PRIORITY_MAX}, not {priority}.", field="priority"
        )


def check_run_at(run_at: float, now: float, field: str = "run_at") -> None:
    """Pass when a job may wait for this time. The past is fine: such a job is ready at once.

    Raises:
        InvalidOption: it is not a number, or too far away.
    """
    if not math.isfinite(run_at) or run_at - now > limits.DELAY_S_MAX:
        raise InvalidOption(f"{field} is at most {limits.DELAY_S_MAX:.0f} seconds from now.", field=field)


def check_edit(priority: int | None, run_at: float | None, now: float) -> None:
    """Pass when a waiting job may be given this priority and this time. None: it keeps its own.

    Raises:
        InvalidOption: it may not.
    """
    if priority is not None:
        check_priority(priority)
    if run_at is not None:
        check_run_at(run_at, now)


def check_wait(wait_s: float) -> None:
    """Pass when a request may wait so long: anything but what is no number. Longer waits are asked for in steps.

    Raises:
        InvalidOption: it is NaN.
    """
    if math.isnan(wait_s):
        raise InvalidOption(f"wait_s is a number of seconds, not {wait_s!r}.", field="wait_s")


def _check_options(group: JobGroup, now: float) -> None:
    _check_names(group.task, group.queue)
    check_priority(group.priority)
    if group.delay_s is not None and group.run_at is not None:
        raise InvalidOption(f"{group.task}: either delay_s or run_at, not both.", field="run_at")
    if group.delay_s is not None:
        check_run_at(now + group.delay_s, now, "delay_s")
    if group.run_at is not None:
        check_run_at(group.run_at, now)
    if group.expires_s is not None and not 0 < group.expires_s <= limits.TIME_S_MAX:
        raise InvalidOption(f"{group.task}: expires_s is a number of seconds, more than 0.", field="expires_s")
    if group.tags is not None and len(group.tags) > limits.JOB_TAGS_MAX:
        raise InvalidOption(f"{group.task}: at most {limits.JOB_TAGS_MAX} tags.", field="tags")
    if group.unique is not None:
        _check_unique(group, group.unique)
    if group.headers is not None:
        check_headers(group.task, group.headers)


def check_headers(whose: str, headers: dict[str, str]) -> None:
    """Pass when a job, or a message, may have these headers. ``whose``: the name of its task or topic, for the text.

    Raises:
        InvalidOption: they are too large.
    """
    size_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())
    if size_bytes > limits.JOB_HEADERS_BYTES_MAX:
        raise InvalidOption(
            f"{whose}: {size_bytes} bytes of headers; the limit is {limits.JOB_HEADERS_BYTES_MAX}.", field="headers"
        )


def _check_unique(group: JobGroup, rule: UniqueRule) -> None:
    check_unique(group.task, rule)
    for entry in group.jobs:
        if entry.unique_key is not None:
            _check_unique_key(group.task, entry.unique_key)


def _check_unique_key(task: str, key: str) -> None:
    if len(key.encode()) > limits.JOB_VALUE_BYTES_MAX:
        raise InvalidOption(
            f"{task}: a unique key has at most {limits.JOB_VALUE_BYTES_MAX} bytes; send the digest of a longer text"
            " (penstock.model.flow_texts).",
            field="unique",
        )
