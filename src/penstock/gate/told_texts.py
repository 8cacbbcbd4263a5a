"""What stores are told of the arguments of a job that came over HTTP, and how many of those are looked at for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from penstock.gate.json_numbers import digits_of_long_integers
from penstock.gate.problems import Problem
from penstock.model import limits
from penstock.model.errors import InvalidArguments, PenstockError
from penstock.model.job import JobEntry
from penstock.tasks.job_texts import JobTexts

_BLANK: Final = b" \t\r\n"


def with_texts(entry: JobEntry, task: str, texts: JobTexts | None, headers: Mapping[str, str] | None) -> JobEntry:
    """The job with what limits, searches and its unique key use of its arguments and headers.

    Args:
        entry: with a body that has been checked.
        task: its task's name.
        texts: computes that; None: nothing is told.
        headers: of the job.

    Raises:
        InvalidArguments: they cannot be read.
        Problem: ``body-too-large``: they are too many to be read here.
    """
    if texts is None:
        return entry
    if texts.reads_arguments:
        check_comparable(entry.body, f"Where jobs of {task} are limited, unique or found by arguments", "kwargs")
    try:
        values, searchable, unique_key = texts.of_body(entry.body, headers)
    except PenstockError:
        raise
    except Exception as error:
        raise InvalidArguments(f"{task}: its arguments cannot be read: {error}", field="args") from error
    return replace(entry, values=values, searchable=searchable, unique_key=unique_key)


def check_comparable(body: bytes, where: str, field: str) -> None:
    """Pass when the arguments of a job are few enough to be made, and compared, at the door.

    What stands in strings and looks like a list, an object or a member counts as one.
    """
    if len(body) <= limits.GATE_LOOP_BYTES_MAX:
        return
    most_digits = limits.JOB_COMPARED_DIGITS_MAX
    for count, most, what in (
        (body.count(b"[") + body.count(b"{"), limits.JOB_COMPARED_PARTS_MAX, "lists and objects"),
        (body.translate(None, _BLANK).count(b'":'), limits.JOB_COMPARED_MEMBERS_MAX, "members of objects"),
        (digits_of_long_integers(body, most_digits), most_digits, "digits in integers of 200 digits and more"),
    ):
        if count > most:
            raise Problem("body-too-large", f"{where}, arguments may have {most} {what}, not {count}.", field=field)
