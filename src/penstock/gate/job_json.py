"""What crosses the door: the request for a job, checked by msgspec, and the JSON of the answers.

``args`` and ``kwargs`` stay raw here: they are decoded once, against the task's signature, and stored as they came.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import astuple

from penstock.gate.json_nesting import nested_too_deep
from penstock.gate.problems import Problem
from penstock.gate.request_bodies import members_of, not_json, not_this_object
from penstock.model import limits
from penstock.model.ids import id_text
from penstock.model.job import DeadCounts, JobView, QueueStats

_NO_ARGS_TEXT: Final = b"[]"
_NO_ARGS: Final = Raw(_NO_ARGS_TEXT)
_NO_KWARGS: Final = Raw(b"{}")
_KWARGS_NAME: Final = b'"kwargs"'
_NAME_BEFORE_BYTES: Final = 1_024
"""Where to look for the name of ``kwargs``; further on they are found by reading all before them."""
_NO_KWARGS_END: Final = b'"kwargs":{}}'
_BLANK: Final = b" \t\r\n"


class JobRequest(Struct, forbid_unknown_fields=True, gc=False):
    """One job as a client asks for it. None and absent mean the same: what the task says.

    Attributes:
        run_at: RFC 3339 with an offset; not together with ``delay_s``.
    """

    task: str
    args: Raw = _NO_ARGS
    kwargs: Raw = _NO_KWARGS
    queue: str | None = None
    priority: int | None = None
    delay_s: float | None = None
    run_at: Annotated[datetime, Meta(tz=True)] | None = None
    expires_s: float | None = None
    idempotency_key: str | None = None
    headers: dict[str, str] | None = None
    tags: list[str] | None = None

    def has_no_options(self) -> bool:
        """Whether it is all as the task says."""
        return (
            self.queue is None
            and self.priority is None
            and self.delay_s is None
            and self.run_at is None
            and self.expires_s is None
            and self.headers is None
            and self.tags is None
        )


class _Arguments(Struct, gc=False):
    """What of a request is not decoded with it."""

    args: Raw = Raw(b"")
    kwargs: Raw = Raw(b"")


_REQUEST = msgspec.json.Decoder(JobRequest)
_ARGUMENTS = msgspec.json.Decoder(_Arguments)
_ITEMS = msgspec.json.Decoder(list[Raw])
_COMMAS_MAX: Final = 2 * limits.BATCH_JOBS_MAX
"""An array with fewer commas has few enough items to be cut up however many they are."""


@cache
def _full_batch() -> msgspec.json.Decoder[Any]:
    """Cuts up an array of at most `limits.BATCH_JOBS_MAX` items, and stops at the first that is too many."""
    fields = [(f"item_{index}", Raw, None) for index in range(limits.BATCH_JOBS_MAX)]
    return msgspec.json.Decoder(
        msgspec.defstruct("FullBatch", fields, array_like=True, forbid_unknown_fields=True, gc=False)
    )


def check_size(text: bytes) -> None:
    """Pass when the text of one job is neither longer nor deeper than it may be. To be called before it is decoded.

    Raises:
        Problem: ``body-too-large``, ``malformed-body``.
    """
    if len(text) > limits.JOB_TEXT_BYTES_MAX:
        raise Problem("body-too-large", f"The JSON of one job may have {limits.JOB_TEXT_BYTES_MAX} bytes.")
    if nested_too_deep(text):
        raise not_json(RecursionError())


def check_headers_size(headers: dict[str, str]) -> None:
    """Pass when the headers of one job, or message, are not larger than they may be.

    Raises:
        Problem: ``body-too-large``.
    """
    size_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())
    if size_bytes > limits.JOB_HEADERS_BYTES_MAX:
        raise Problem(
            "body-too-large",
            f"`headers` has {size_bytes} bytes; the limit for one job is {limits.JOB_HEADERS_BYTES_MAX}.",
            field="headers",
        )


def split_request(text: bytes) -> tuple[JobRequest, memoryview] | None:
    """A request without its ``kwargs``, and their text. None: it cannot be told apart so; `decode_request` reads it.

    A decoder reads ``kwargs`` twice: with the request, to find where they end, and against the task's signature. Where
    ``kwargs`` are the last member they end one byte before the text does, and only what is before them is read with the
    request, ``{}`` standing in their place. When that makes a request, their name was found where the request's own
    member begins: in a string, or inside of another value, it would make none. The text of ``kwargs`` is left for the
    caller to read: if it is one JSON object, with nothing behind, the two together are the whole request.

    Only requests without ``args`` are split. ``text`` must have passed `check_size`.
    """
    at = text.find(_KWARGS_NAME, 0, _NAME_BEFORE_BYTES)
    if at < 0 or not text.endswith(b"}}"):
        return None
    begins = text.find(b"{", at)
    if text[at + len(_KWARGS_NAME) : begins].strip(_BLANK) != b":":
        return None
    try:
        wanted = _REQUEST.decode(text[:at] + _NO_KWARGS_END)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if bytes(wanted.args) != _NO_ARGS_TEXT:
        return None
    return wanted, memoryview(text)[begins:-1]


def decode_request(text: bytes) -> JobRequest:
    """One job's request, of a text that has passed `check_size`.

    Raises:
        Problem: ``malformed-body`` (not JSON, not an object), ``invalid-option`` (a field is missing, unknown or of the
            wrong type), ``body-too-large`` (all but the arguments).
    """
    try:
        if len(text) > limits.JOB_OPTIONS_BYTES_MAX:
            _check_options_size(text)
        return _REQUEST.decode(text)
    except msgspec.ValidationError as error:
        raise not_this_object(str(error), "A job", members_of(_REQUEST)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from None


def _check_options_size(text: bytes) -> None:
    """Pass when what is decoded with a request is not so much that this takes long."""
    found = _ARGUMENTS.decode(text)
    if len(text) - len(bytes(found.args)) - len(bytes(found.kwargs)) > limits.JOB_OPTIONS_BYTES_MAX:
        most = limits.JOB_OPTIONS_BYTES_MAX
        raise Problem("body-too-large", f"All but the arguments of one job may have {most} bytes of JSON.")


def decode_items(body: bytes) -> list[Raw]:
    """The items of an array, not looked into.

    Raises:
        Problem: ``malformed-body``, ``body-too-large``.
    """
    try:
        if body.count(b",") < _COMMAS_MAX:
            return _ITEMS.decode(body)
        # Sixteen million bytes of `0,0,0` would be cut into half a gigabyte of items.
        return [item for item in astuple(_full_batch().decode(body)) if item is not None]
    except msgspec.ValidationError:
        raise too_many_jobs() from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from None


def too_many_jobs() -> Problem:
    """The problem of a request over its limit."""
    return Problem("body-too-large", f"A request may have {limits.BATCH_JOBS_MAX} jobs.")


def job_id_text(job_id: bytes) -> str:
    """`penstock.model.ids.id_text`, without the object in between."""
    digits = job_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def time_text(seconds: float | None) -> str | None:
    """RFC 3339 in UTC, to the microsecond."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def time_of(text: str) -> float:
    """A time in RFC 3339 with an offset, in Unix seconds. A ``+`` before the offset may have become a space, as it does
    in the query of a URL.

    Raises:
        ValueError: it is none.
    """
    if text[-6:-5] == " ":
        text = f"{text[:-6]}+{text[-5:]}"
    try:
        found: datetime = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
        return found.timestamp()
    except (msgspec.ValidationError, OverflowError) as error:
        raise ValueError(str(error)) from None


def view_json(view: JobView, *, with_traceback: bool = True) -> dict[str, Any]:
    """A job as ``GET /v1/jobs/{id}`` shows it; among many without the traceback, which may be long.

    One that is held back also has ``reason``, and ``key`` if the reason is one for a key; one that waits for a time or
    an event has ``reason``. One of a workflow has ``workflow``, ``step`` and, in a group, ``place``; one that returned
    a call has ``became``, the workflow that took its place."""
    progress, error = view.progress, view.error
    more = {
        "reason": view.reason,
        "key": view.key,
        "workflow": view.workflow and job_id_text(view.workflow),
        "step": view.step,
        "place": view.place,
        "became": view.became and job_id_text(view.became),
    }
    return {
        "id": id_text(view.id),
        "task": view.task,
        "queue": view.queue,
        "state": view.state.value,
        "attempt": view.attempt,
        "max_attempts": view.max_attempts,
        "created_at": time_text(view.created_at),
        "run_at": time_text(view.run_at),
        "started_at": time_text(view.started_at),
        "finished_at": time_text(view.finished_at),
        "progress": progress and {"done": progress.done, "total": progress.total, "note": progress.note},
        "error": error
        and {"type": error.type, "message": error.message, "traceback": error.traceback if with_traceback else None},
        "tags": view.tags or [],
        **{name: value for name, value in more.items() if value is not None},
    }


def dead_json(counts: DeadCounts) -> dict[str, Any]:
    """Dead jobs by task and type of error, as ``GET /v1/dead`` shows them."""
    kinds = [{"task": kind.task, "error": kind.error, "count": kind.count} for kind in counts.kinds]
    return {"kinds": kinds, "others": counts.others}


def stats_json(stats: dict[str, QueueStats]) -> dict[str, dict[str, float | None]]:
    """Counts by queue, as ``GET /v1/stats`` shows them."""
    return {queue: counts_json(counts) for queue, counts in sorted(stats.items())}


def counts_json(counts: QueueStats) -> dict[str, float | None]:
    """The counts of one queue, or of all together."""
    return {name: getattr(counts, name) for name in QueueStats.__struct_fields__}
