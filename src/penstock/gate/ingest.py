"""``POST /v1/jobs``: from bytes to jobs that are durable."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime
from time import monotonic
from typing import Any, Final

import msgspec

from penstock.gate.admission import Admission
from penstock.gate.batch import JobBatch, conflict, outcome
from penstock.gate.job_json import (
    JobRequest,
    check_headers_size,
    check_size,
    decode_items,
    decode_request,
    job_id_text,
    split_request,
    too_many_jobs,
)
from penstock.gate.json_nesting import SLICE_BYTES
from penstock.gate.problems import Problem, problem_of
from penstock.gate.queue_shares import QueueShares
from penstock.gate.request_bodies import JSON, LINES, check_utf8, kind_of
from penstock.gate.requests import RouteRequest
from penstock.gate.side_thread import SideThread
from penstock.gate.task_catalog import Catalog, KnownTask
from penstock.gate.told_texts import check_comparable, with_texts
from penstock.http.messages import JSON_HEADERS, Answer
from penstock.model import limits
from penstock.model.acceptance import check_run_at
from penstock.model.errors import BodyTooLarge, InvalidOption, PenstockError, UnknownTask
from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.ports import AsyncStore
from penstock.tasks import names

logger = logging.getLogger("penstock.gate")

_KINDS: Final = (JSON, LINES)
_SEND: Final = f"{JSON} or {LINES}"
_JOBS_A_TURN: Final = 200
_SPLIT_BYTES_MIN: Final = 1_024
"""To split a text costs as much as to read about so much of it a second time."""
_IDS_AT_ONCE: Final = 32
_IDS_FRESH_S: Final = 0.005
_FLAGS: Final = {"true": True, "false": False}
_BLANK: Final = b" \t\r\n"
_NULL: Final = b"null"


class Ingest:
    """Takes jobs in.

    Args:
        store: where they go.
        catalog: which tasks there are.
        admission: what may be on its way at once.
        queues: which queues its clients may name.
        side_thread: where large texts are read.
        durability: the level that an answer names.
    """

    def __init__(
        self,
        store: AsyncStore,
        catalog: Catalog,
        admission: Admission,
        queues: QueueShares,
        side_thread: SideThread,
        durability: str,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._admission = admission
        self._durability = durability
        self._side_thread = side_thread
        self._queues = queues
        self._ids = JobIds()
        self._ids_side_thread = JobIds()
        self._accepted_tail = f'","state":"ready","duplicate":false,"durability":"{durability}"}}'.encode()

    async def post_jobs(self, request: RouteRequest) -> Answer:
        """One object, an array, or one object a line.

        Raises:
            Problem: nothing was accepted, and why.
        """
        get = request.headers.get
        kind = kind_of(request.headers, _KINDS, _SEND)
        atomic = _atomic(request.parameters("atomic")) if request.query_string else False
        flight, length, incoming = request.flight, get("content-length"), request.incoming
        if incoming.complete:
            body = self._admission.read_now(flight, length, incoming)
        else:
            body = await self._admission.read(flight, length, incoming)
        large = len(body) > limits.GATE_LOOP_BYTES_MAX
        texts = await self._side_thread.run(_texts_of, body, kind) if large else _texts_of(body, kind)
        if texts is None:
            return await self._accept_one(request, body)
        return await self._accept_many(request, texts, atomic=atomic)

    async def _accept_one(self, request: RouteRequest, body: bytes) -> Answer:
        # The usual job, without a coroutine more.
        group = self._group_now(body, self._ids) if len(body) <= limits.GATE_LOOP_BYTES_MAX else None
        if group is None:
            group = await self._group(body)
        client = request.flight.client
        if client is not None and not self._queues.knows(group.queue):
            await self._queues.admit(client, (group.queue,))
        self._admission.take_jobs(request.flight, 1)
        try:
            answer = await self._store.enqueue((group,))
        finally:
            self._admission.release_jobs(request.flight, 1)
        if not answer.exceptions:
            return 202, JSON_HEADERS, b'{"id":"' + job_id_text(group.jobs[0].id).encode() + self._accepted_tail
        exception = answer.exceptions[0]
        if exception.conflict:
            raise conflict(exception)
        members = {**outcome(exception), "durability": self._durability}
        return 202, JSON_HEADERS, msgspec.json.encode(members)

    async def _accept_many(self, request: RouteRequest, texts: list[Any], *, atomic: bool) -> Answer:
        batch = JobBatch(len(texts))
        await self._read_many(texts, batch)
        if batch.groups and not (atomic and batch.problems):
            # Whatever is accepted is also told, so room for that is looked for before.
            self._admission.expect_answer(request.flight)
            if request.flight.client is not None:
                await self._queues.admit(request.flight.client, {group.queue for group in batch.groups})
            self._admission.take_jobs(request.flight, len(batch.positions))
            try:
                batch.settle(await self._store.enqueue(batch.groups, atomic=atomic))
            finally:
                self._admission.release_jobs(request.flight, len(batch.positions))
        if atomic and batch.problems:
            batch.refuse_rest()
        if len(texts) <= _JOBS_A_TURN:
            return batch.answer(self._durability)
        return await self._side_thread.run(batch.answer, self._durability)

    async def _read_many(self, texts: list[Any], batch: JobBatch) -> None:
        """Each job's group or problem, whatever the others are; others' requests have their turns between."""
        failed = False
        byte_count = 0
        for index, text in enumerate(texts):
            job = bytes(text)
            byte_count += len(job)
            if index % _JOBS_A_TURN == _JOBS_A_TURN - 1 or byte_count > limits.GATE_LOOP_BYTES_MAX:
                await asyncio.sleep(0)
                byte_count = 0
            try:
                batch.add(index, await self._group(job))
            except Problem as problem:
                batch.refuse(index, problem)
            except PenstockError as error:
                batch.refuse(index, problem_of(error))
            except Exception:
                if not failed:
                    logger.exception("A job could not be read.", extra={"action": "request-failed"})
                failed = True
                batch.refuse(index, Problem("internal", "The gate has logged what happened."))

    async def _group(self, text: bytes) -> JobGroup:
        """The group of the one job in ``text``, once there is such a task."""
        group = await self._group_known(text)
        if group is not None:
            return group
        wanted = decode_request(text)
        try:
            await self._catalog.find(wanted.task)
        except UnknownTask as error:
            raise Problem("unknown-task", error.message, field="task") from None
        group = await self._group_known(text)
        if group is None:
            raise Problem("unknown-task", f"There is no task `{wanted.task}` any more.", field="task")
        return group

    async def _group_known(self, text: bytes) -> JobGroup | None:
        if len(text) <= limits.GATE_LOOP_BYTES_MAX:
            return self._group_now(text, self._ids)
        return await self._side_thread.run(self._group_now, text, self._ids_side_thread)

    def _group_now(self, text: bytes, ids: JobIds) -> JobGroup | None:
        """The group of the one job in ``text``; None: somebody must be asked whether there is such a task."""
        check_size(text)
        if len(text) > _SPLIT_BYTES_MIN:
            group = self._group_of_parts(text, ids)
            if group is not None:
                return group
        wanted = decode_request(text)
        task = self._catalog.get(wanted.task)
        return None if task is None else group_of(wanted, task, ids)

    def _group_of_parts(self, text: bytes, ids: JobIds) -> JobGroup | None:
        """The group of a job whose arguments can be read apart from the rest, so that a large text is read once. None:
        they cannot, or something is wrong with them."""
        parts = split_request(text)
        if parts is None:
            return None
        wanted, kwargs = parts
        task = self._catalog.get(wanted.task)
        body = None if task is None or task.check_kwargs is None else task.check_kwargs(kwargs)
        return None if task is None or body is None else _group_with_body(wanted, task, body, ids)


def _first_byte(body: bytes) -> bytes:
    """The first that is not blank; empty: there is none."""
    for at in range(0, len(body), SLICE_BYTES):
        piece = body[at : at + SLICE_BYTES].lstrip(_BLANK)
        if piece:
            return piece[:1]
    return b""


def _texts_of(body: bytes, kind: str) -> list[Any] | None:
    """The text of each job; None: the body is one job's.

    Raises:
        Problem: ``malformed-body``, ``body-too-large``.
    """
    check_utf8(body)
    if kind == JSON and body.startswith(b"{"):
        return None
    if kind == LINES:
        texts: list[Any] = _lines_of(body)
    else:
        first = _first_byte(body)
        if not first:
            raise Problem("malformed-body", "The body is empty.")
        if first != b"[":
            return None
        texts = decode_items(body)
    if not texts:
        raise Problem("malformed-body", "There is no job in the body.")
    if len(texts) > limits.BATCH_JOBS_MAX:
        raise too_many_jobs()
    return texts


class JobIds:
    """Job ids, made some at a time; none is older than a moment, for jobs are in the order of their ids."""

    __slots__ = ("_left", "_made_at")

    def __init__(self) -> None:
        self._left: list[bytes] = []
        self._made_at = 0.0

    def take(self) -> bytes:
        """The next."""
        now = monotonic()
        if not self._left or now - self._made_at > _IDS_FRESH_S:
            self._left = new_ids(_IDS_AT_ONCE)[::-1]
            self._made_at = now
        return self._left.pop()


def group_of(wanted: JobRequest, task: KnownTask, ids: JobIds) -> JobGroup:
    """The group of one job that is asked for.

    Raises:
        InvalidOption: an option is outside what it may be.
        InvalidArguments: the arguments do not fit the task.
        BodyTooLarge: they are too large.
        Problem: the headers are too large.
    """
    args, kwargs = bytes(wanted.args), bytes(wanted.kwargs)
    body = task.check(b"[]" if args == _NULL else args, b"{}" if kwargs == _NULL else kwargs)
    return _group_with_body(wanted, task, body, ids)


def _group_with_body(wanted: JobRequest, task: KnownTask, body: bytes, ids: JobIds) -> JobGroup:
    if len(body) > limits.JOB_BODY_BYTES_MAX:
        raise BodyTooLarge(
            f"{task.name}: {len(body)} bytes of arguments; the limit for one job is {limits.JOB_BODY_BYTES_MAX}."
        )
    key = wanted.idempotency_key
    if key is None:
        entry = JobEntry(ids.take(), body, checksum(body))
    else:
        names.check_idempotency_key(key)
        check_comparable(body, "With a key", "idempotency_key")
        entry = JobEntry(ids.take(), body, checksum(body), key, task.identity(body))
    if task.texts is not None:
        queue = task.queue if wanted.queue is None else wanted.queue
        entry = with_texts(entry, task.name, task.texts.of(queue), wanted.headers)
    jobs = [entry]
    if wanted.has_no_options():
        own = (task.queue, task.priority, None, None, task.expires_s, None, task.tags, task.unique)
        return JobGroup(task.name, jobs, *own)
    return _group_with_options(wanted, task, jobs)


def _group_with_options(wanted: JobRequest, task: KnownTask, jobs: list[JobEntry]) -> JobGroup:
    if wanted.delay_s is not None and wanted.run_at is not None:
        raise InvalidOption("run_at and delay_s are both given: give one.", field="run_at")
    if wanted.headers is not None:
        check_headers_size(wanted.headers)
    tags = wanted.tags
    return JobGroup(
        task=task.name,
        jobs=jobs,
        queue=task.queue if wanted.queue is None else names.check_queue(wanted.queue),
        priority=task.priority if wanted.priority is None else names.check_priority(wanted.priority),
        delay_s=None if wanted.delay_s is None else names.check_seconds("delay_s", wanted.delay_s),
        run_at=None if wanted.run_at is None else _run_at(wanted.run_at),
        expires_s=(
            task.expires_s
            if wanted.expires_s is None
            else names.check_seconds("expires_s", wanted.expires_s, zero=False)
        ),
        headers=names.check_headers(wanted.headers) if wanted.headers else None,
        tags=task.tags if not tags else list(names.check_tags([*(task.tags or ()), *tags])),
        unique=task.unique,
    )


def _run_at(at: datetime) -> float:
    """A time in the past is fine. What is too far is refused here, not in a request that others share."""
    seconds = at.timestamp()
    check_run_at(seconds, time.time())
    return seconds


def _lines_of(body: bytes) -> list[bytes]:
    """The lines that are not blank."""
    if body.count(b"\n") > 2 * limits.BATCH_JOBS_MAX:
        raise too_many_jobs()
    return [line for line in body.split(b"\n") if line.strip(_BLANK)]


def _atomic(parameters: dict[str, str]) -> bool:
    value = parameters.get("atomic", "false")
    if value not in _FLAGS:
        raise Problem("invalid-option", f"`atomic` is true or false, not {value!r}.", field="atomic")
    return _FLAGS[value]
