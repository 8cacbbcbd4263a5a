"""The options of one job, checked."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from penstock.model.acceptance import check_run_at
from penstock.tasks import names


class JobOptions(Struct, frozen=True):
    """The options of one or more jobs. None: as the task has it. Made by `checked`.

    Attributes:
        run_at: Unix seconds.
        tags: the task's own and those asked for; None: the task's own.
        alike: jobs of one task with equal ``alike`` are sent in one group.
    """

    delay_s: float | None
    run_at: float | None
    priority: int | None
    queue: str | None
    expires_s: float | None
    idempotency_key: str | None
    headers: dict[str, str] | None
    tags: list[str] | None
    alike: tuple[Any, ...]

    @classmethod
    def checked(
        cls,
        *,
        delay_s: float | None,
        run_at: datetime | float | None,
        priority: int | None,
        queue: str | None,
        expires_s: float | None,
        idempotency_key: str | None,
        headers: Mapping[str, str] | None,
        tags: Iterable[str] | None,
        task_tags: tuple[str, ...],
    ) -> JobOptions:
        """Check what `penstock.tasks.task.Task.options` was given.

        Raises:
            InvalidOption: one is outside what it may be; ``field`` names it.
        """
        if delay_s is not None and run_at is not None:
            names.refuse("run_at", "is given, and so is delay_s: give one of them")
        delay_s = None if delay_s is None else names.check_seconds("delay_s", delay_s)
        moment = None if run_at is None else unix_seconds(run_at)
        if priority is not None:
            names.check_priority(priority)
        if queue is not None:
            names.check_queue(queue)
        if expires_s is not None:
            expires_s = names.check_seconds("expires_s", expires_s, zero=False)
        if idempotency_key is not None:
            names.check_idempotency_key(idempotency_key)
        fields = None if headers is None else names.check_headers(headers)
        all_tags = None if tags is None else names.check_tags((*task_tags, *names.check_tags(tags)))
        header_items = () if fields is None else tuple(sorted(fields.items()))
        return cls(
            delay_s=delay_s,
            run_at=moment,
            priority=priority,
            queue=queue,
            expires_s=expires_s,
            idempotency_key=idempotency_key,
            headers=fields or None,
            tags=None if all_tags is None else list(all_tags),
            alike=(delay_s, moment, priority, queue, expires_s, header_items, all_tags),
        )


def unix_seconds(given: Any, field: str = "run_at") -> float:
    """A moment given as an aware datetime or as Unix seconds, in Unix seconds.

    Raises:
        InvalidOption: it is neither, or too far away.
    """
    if isinstance(given, datetime):
        if given.utcoffset() is None:
            names.refuse(
                field, f"is {names.shown(given)}, which has no time zone: add one, such as tzinfo=timezone.utc"
            )
    elif not isinstance(given, (int, float)) or isinstance(given, bool):
        names.refuse(field, f"is {names.shown(given)}: give an aware datetime or Unix seconds")
    try:
        moment = given.timestamp() if isinstance(given, datetime) else float(given)
    except OverflowError:
        moment = math.inf
    if not math.isfinite(moment):
        names.refuse(field, f"is {names.shown(given)}: give a finite number")
    check_run_at(moment, time.time(), field)
    return moment
