"""Dead jobs that are to run again with other arguments, which are checked as those of a new job."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from penstock.gate.job_json import check_size
from penstock.gate.request_bodies import object_of
from penstock.gate.task_catalog import KnownTask
from penstock.gate.told_texts import with_texts
from penstock.model import limits
from penstock.model.errors import BodyTooLarge
from penstock.model.job import JobEntry, JobView, checksum

_NULL: Final = b"null"


class NewArguments(Struct, forbid_unknown_fields=True):
    """What the job is to be called with. Both are replaced as a whole; one that is absent is empty."""

    args: Raw = Raw(b"[]")
    kwargs: Raw = Raw(b"{}")


_NEW: Final = msgspec.json.Decoder(NewArguments)


def read_arguments(body: bytes) -> NewArguments:
    """The new arguments in a request's body.

    Raises:
        Problem: ``malformed-body``, ``body-too-large``, ``invalid-option``.
    """
    check_size(body)
    return object_of(body, _NEW)


def edited_entry(view: JobView, task: KnownTask, wanted: NewArguments) -> JobEntry:
    """The job with its new arguments, and with what rules and searches use of them.

    Raises:
        InvalidArguments: they do not fit the task.
        BodyTooLarge: they are too large.
    """
    args, kwargs = bytes(wanted.args), bytes(wanted.kwargs)
    body = task.check(b"[]" if args == _NULL else args, b"{}" if kwargs == _NULL else kwargs)
    if len(body) > limits.JOB_BODY_BYTES_MAX:
        raise BodyTooLarge(
            f"{task.name}: {len(body)} bytes of arguments; the limit for one job is {limits.JOB_BODY_BYTES_MAX}."
        )
    texts = None if task.texts is None else task.texts.of(view.queue)
    return with_texts(JobEntry(view.id, body, checksum(body)), task.name, texts, view.headers)
