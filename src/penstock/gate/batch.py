"""The jobs of one request on their way through `penstock.gate.ingest`, and what is answered for each."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.gate.job_json import job_id_text
from penstock.gate.problems import Problem
from penstock.http.messages import JSON_HEADERS, Answer
from penstock.model.job import EnqueueAnswer, Enqueued, JobGroup

__all__ = ["JobBatch", "conflict", "outcome"]


class JobBatch:
    """Jobs of one request on their way through, in the order they came.

    Attributes:
        groups: what the store is asked for; jobs in a row that are alike share one.
        positions: the index in the request of each job in ``groups``, counted over all of them.
        problems: by index.
    """

    def __init__(self, count: int) -> None:
        self.groups: list[JobGroup] = []
        self.positions: list[int] = []
        self.problems: dict[int, Problem] = {}
        self._ids: dict[int, bytes] = {}
        self._exceptions: dict[int, Enqueued] = {}
        self._count = count
        self._accepted = 0

    def add(self, index: int, group: JobGroup) -> None:
        """One job, in a group of its own as yet."""
        self.positions.append(index)
        self._ids[index] = group.jobs[0].id
        if self.groups and _alike(self.groups[-1], group):
            self.groups[-1].jobs.append(group.jobs[0])
        else:
            self.groups.append(group)

    def refuse(self, index: int, problem: Problem) -> None:
        """One job that is not accepted."""
        self.problems[index] = problem

    def settle(self, answer: EnqueueAnswer) -> None:
        """The store has answered for `groups`."""
        for exception in answer.exceptions:
            index = self.positions[exception.index]
            if exception.conflict:
                self.problems[index] = conflict(exception)
            else:
                self._exceptions[index] = exception

    def refuse_rest(self) -> None:
        """One was refused, so all are."""
        first = min(self.problems)
        for index in range(self._count):
            if index not in self.problems:
                self.problems[index] = Problem("batch-refused", f"The request is atomic, and job {first} was refused.")

    def answer(self, durability: str) -> Answer:
        """202, or 422 when none was accepted."""
        rejected = len(self.problems)
        head = f'{{"accepted":{self._count - rejected},"rejected":{rejected},"durability":"{durability}","jobs":['
        body = b"".join((head.encode(), b",".join(map(self._item, range(self._count))), b"]}"))
        return 422 if rejected == self._count else 202, JSON_HEADERS, body

    def _item(self, index: int) -> bytes:
        problem = self.problems.get(index)
        if problem is not None:
            return msgspec.json.encode({"index": index, "problem": problem.members()})
        exception = self._exceptions.get(index)
        if exception is not None:
            return msgspec.json.encode({"index": index, **outcome(exception)})
        return b'{"index":%d,"id":"%b","state":"ready","duplicate":false}' % (
            index,
            job_id_text(self._ids[index]).encode(),
        )


def _alike(one: JobGroup, other: JobGroup) -> bool:
    return (
        one.task == other.task
        and one.queue == other.queue
        and one.priority == other.priority
        and one.delay_s == other.delay_s
        and one.run_at == other.run_at
        and one.expires_s == other.expires_s
        and one.headers == other.headers
        and one.tags == other.tags
        and one.unique == other.unique
    )


def outcome(exception: Enqueued) -> dict[str, Any]:
    """What became of a job that is not simply new and ready."""
    return {
        "id": job_id_text(exception.id),
        "state": exception.state and exception.state.value,
        "duplicate": exception.duplicate,
    }


def conflict(exception: Enqueued) -> Problem:
    """The problem of a job whose key belongs to another call, or to a job that keeps others away."""
    if exception.unique:
        return Problem(
            "conflict", f"Job {job_id_text(exception.id)} of this task has the same unique key, and it takes no other."
        )
    return Problem(
        "conflict",
        f"Job {job_id_text(exception.id)} of this task has the same idempotency key and other arguments.",
        field="idempotency_key",
    )
