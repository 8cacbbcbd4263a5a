"""What of a queue is still to be delivered, file by file.

nsqd writes down where reading and writing stand, but not with every record: after a crash that is older than the files,
and nsqd itself reads on from there. So is done here. What stands before the position was delivered. A position that
fits neither the files nor the number of records is not believed, since a message more is better than one that is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from penstock.nsq.data_directory.file_bytes import FileBytes
from penstock.nsq.data_directory.file_names import data_file_name
from penstock.nsq.data_directory.queue_position import QueuePosition
from penstock.nsq.data_directory.records import (
    HEAD_BYTES,
    LENGTH_BYTES,
    MESSAGE_BYTES_MIN,
    Agreement,
    Record,
    agreement,
    head_of,
)
from penstock.nsq.data_directory.recovery import STOPS_NSQD, Found, Knowledge, Lost, Recovery, Why

_NAMED_MAX: Final = 10
"""Files that are missing behind the last one there, named one by one."""


class BadFiles(Enum):
    """What is taken of files that nsqd has put aside.

    It does so where it reads no further: at damage, before which it has delivered everything. nsqd 1.3.0 does it as
    well, with nothing lost, when it has caught up with what is written at the moment at which a file is full.
    """

    NONE = "none"
    DAMAGED = "damaged"
    """From the damage on; nothing where there is none."""
    ALL = "all"


class QueueFile(NamedTuple):
    """A file of a queue. ``is_bad``: nsqd has put it aside."""

    path: Path
    number: int
    is_bad: bool
    size: int


@dataclass
class Queue:
    """A queue as it lies there.

    Attributes:
        files: those with records, in the order in which they were written.
        position: None: there is none that can be read.
        has_position_file: whether there is a file for it at all.
    """

    name: str
    files: list[QueueFile] = field(default_factory=list)
    position: QueuePosition | None = None
    has_position_file: bool = False


class Part(NamedTuple):
    """What of a file is to be delivered: from ``start`` on."""

    file: QueueFile
    start: int
    known: Knowledge


class LostBytes(NamedTuple):
    """Something that is lost, for people. ``size``: in bytes; 0: nobody knows."""

    file: str
    offset: int
    size: int
    why: Why


@dataclass
class Plan:
    """What is to be delivered of a queue.

    Attributes:
        lost: what is missing as a whole.
        notes: what whoever asked for it should know, as sentences.
        delivered: files that nsqd was done with.
    """

    queue: Queue
    bad_files: BadFiles
    parts: list[Part] = field(default_factory=list)
    lost: list[LostBytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    delivered: int = 0


class _Survey(NamedTuple):
    """What following the lengths tells of some files.

    Attributes:
        records: how many there are.
        is_whole: each file ends where a record does.
    """

    records: int
    is_whole: bool
    agreeing: int
    heads: int


def planned(queue: Queue, bad_files: BadFiles = BadFiles.DAMAGED) -> Plan:
    """What of a queue is to be delivered."""
    if bad_files is BadFiles.NONE:
        queue = replace(queue, files=[file for file in queue.files if not file.is_bad])
    plan = Plan(queue, bad_files)
    position = queue.position
    if position is None:
        if queue.files:
            what = "cannot be read" if queue.has_position_file else "is missing"
            plan.notes.append(f"The file with its position {what}, so all its records are taken, also delivered ones.")
        return _with_parts(plan, queue.files, {})
    starts = {position.read_file: position.read_at}
    files = [file for file in queue.files if file.is_bad or file.number >= position.read_file]
    plan.delivered = len(queue.files) - len(files)
    _note_missing(plan, files, position)
    if not _is_sane(position):
        plan.notes.append(
            "Its position has reading ahead of writing, so all its records are taken, also delivered ones."
        )
        plan.delivered = 0
        return _with_parts(plan, queue.files, {})
    reading = next((file for file in files if file.number == position.read_file and not file.is_bad), None)
    if reading is not None:
        starts[position.read_file] = _start(plan, reading, position.read_at)
    survey = _survey([file for file in files if not file.is_bad], starts)
    may_have_fewer = plan.lost or any(file.is_bad for file in files) or not survey.is_whole
    if survey.records < position.depth and not may_have_fewer and (starts[position.read_file] or plan.delivered):
        plan.notes.append(
            f"There are {survey.records} records behind its position, which tells of {position.depth}; so all records "
            "of its files are taken, also delivered ones."
        )
        plan.delivered = 0
        return _with_parts(plan, queue.files, {})
    return _with_parts(plan, files, starts, survey)


def _is_sane(position: QueuePosition) -> bool:
    return (position.read_file, position.read_at) <= (position.write_file, position.write_at)


def _note_missing(plan: Plan, files: Sequence[QueueFile], position: QueuePosition) -> None:
    """Note what the position tells of and is not there."""
    there = {file.number: file for file in files}
    if position.depth <= 0 and not files:
        return
    last = max(there, default=position.read_file)
    if last < position.write_file - _NAMED_MAX:
        plan.notes.append(f"Its position tells of files up to {position.write_file}; the last one there is {last}.")
    for number in range(position.read_file, min(position.write_file, last + _NAMED_MAX) + 1):
        first = position.read_at if number == position.read_file else 0
        end = position.write_at if number == position.write_file else None
        name = data_file_name(plan.queue.name, number)
        if number not in there:
            if end is None or end > first:
                plan.lost.append(LostBytes(name, first, (end or first) - first, Why.NO_FILE))
        elif not there[number].is_bad:
            size = there[number].size
            if end is not None and max(first, size) < end:
                plan.lost.append(LostBytes(name, max(first, size), end - max(first, size), Why.MISSING))
            elif end is None and size < first:
                plan.lost.append(LostBytes(name, size, first - size, Why.MISSING))


def _start(plan: Plan, file: QueueFile, read_at: int) -> int:
    """Where to begin in the file that was read: the position or, where no record begins there, before it."""
    if read_at in (0, file.size):
        return read_at
    if read_at > file.size:
        return file.size
    with FileBytes(file.path) as data:
        head = data.at(read_at, HEAD_BYTES)
        if len(head) == HEAD_BYTES and agreement(head_of(head)) is not Agreement.NO:
            return read_at
        before = 0
        for one in Recovery(data, 0, file.size, Knowledge()):
            if one.offset > read_at:
                break
            before = one.offset
    if before != read_at:
        plan.notes.append(
            f"Its position is within a record: byte {read_at} of {file.path.name}. It is taken from byte {before} on."
        )
    return before


def _survey(files: Sequence[QueueFile], starts: dict[int, int]) -> _Survey:
    """Follow the lengths of records from where each file is begun."""
    count = agreeing = heads = 0
    is_whole = True
    for file in files:
        at = starts.get(file.number, 0)
        with FileBytes(file.path) as data:
            while at + HEAD_BYTES <= file.size:
                head = head_of(data.at(at, HEAD_BYTES))
                if head.size < MESSAGE_BYTES_MIN or at + LENGTH_BYTES + head.size > file.size:
                    break
                found = agreement(head)
                agreeing += found is Agreement.FULL
                heads += found is not Agreement.NO
                count += 1
                at += LENGTH_BYTES + head.size
        is_whole = is_whole and at >= file.size
    return _Survey(count, is_whole and heads == count, agreeing, heads)


def _with_parts(plan: Plan, files: Sequence[QueueFile], starts: dict[int, int], survey: _Survey | None = None) -> Plan:
    survey = survey or _survey([file for file in files if not file.is_bad], starts)
    of_ids = survey if survey.heads else _survey(files, {})
    lowest = Agreement.FULL if 2 * of_ids.agreeing > of_ids.heads else Agreement.LOOSE
    position = plan.queue.position
    is_counted = (
        position is not None
        and not plan.lost
        and survey.is_whole
        and survey.records == position.depth
        and (lowest is Agreement.LOOSE or survey.agreeing == survey.heads)
    )
    for file in files:
        start = 0 if file.is_bad else starts.get(file.number, 0)
        known = Knowledge(lowest, is_counted=is_counted)
        if position is not None and file.number == position.write_file and not file.is_bad:
            known = _of_written(file, start, position.write_at, known)
        if file.is_bad and plan.bad_files is BadFiles.DAMAGED:
            damage = _damage(plan, file, known)
            if damage is None:
                continue
            start = damage
        plan.parts.append(Part(file, start, known))
    return plan


def _of_written(file: QueueFile, start: int, write_at: int, known: Knowledge) -> Knowledge:
    """What is known of the file that was written last."""
    if file.size == write_at:
        return known._replace(ends_with_record=True)
    if not start < write_at < file.size:
        return known
    with FileBytes(file.path) as data:
        head = data.at(write_at, HEAD_BYTES)
    is_boundary = len(head) == HEAD_BYTES and agreement(head_of(head)).value >= known.lowest.value
    return known._replace(boundaries=(write_at,)) if is_boundary else known


def _damage(plan: Plan, file: QueueFile, known: Knowledge) -> int | None:
    """Where nsqd can have stopped in a file that it has put aside; None: it has read all of it."""
    with FileBytes(file.path) as data:
        for one in Recovery(data, 0, file.size, known):
            if isinstance(one, Lost) and one.why in STOPS_NSQD:
                plan.notes.append(f"nsqd has put {file.path.name} aside: it is taken from byte {one.offset} on.")
                return one.offset
    plan.notes.append(
        f"nsqd has put {file.path.name} aside, and nothing is wrong with it: so it does with files that it has read to "
        "their end. Its records are left out, as delivered; --bad-files all takes them."
    )
    return None


class Place(NamedTuple):
    """A record with where it ends in its file."""

    record: Record
    end: int


def read(part: Part, body_bytes_max: int, lose: Callable[[LostBytes], None]) -> Iterator[Place]:
    """The records of a part, one after another.

    Args:
        part: of a plan.
        body_bytes_max: how long a body may be; what is longer is lost.
        lose: is told what is lost.
    """
    with FileBytes(part.file.path) as data:
        for one in Recovery(data, part.start, part.file.size, part.known):
            if isinstance(one, Lost):
                lose(LostBytes(part.file.path.name, one.offset, one.size, one.why))
                continue
            yield from _record(data, part, one, body_bytes_max, lose)


def _record(
    data: FileBytes, part: Part, found: Found, body_bytes_max: int, lose: Callable[[LostBytes], None]
) -> Iterator[Place]:
    head = found.head
    size = head.size - MESSAGE_BYTES_MIN
    if size > body_bytes_max:
        lose(LostBytes(part.file.path.name, found.offset, found.end - found.offset, Why.TOO_LARGE))
        return
    body = data.at(found.offset + HEAD_BYTES, size)
    yield Place(Record(head.timestamp_ns, head.attempts, head.id, body), found.end)
