"""What stores are told of the arguments of a job: the texts that the limits and the fairness of its task and its queue
count by, and those that it is found by. Computed where a job is enqueued, and only for jobs that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from penstock.model.errors import InvalidOption
from penstock.model.flow import TaskFlow
from penstock.model.flow_acceptance import names_in
from penstock.model.flow_texts import Told
from penstock.tasks.arguments.named_texts import NamedTexts, Texts

MakeTexts = Callable[[Iterable[str]], NamedTexts]
"""Finds names in the calls of a task. Raises InvalidOption for one that the task lacks."""
KeyedQueues = Mapping[str, tuple[str, ...]]
"""The names that limits of queues count by, by queue. Queues without such limits are left out."""


class JobTexts:
    """Computes what is told of the jobs of one task in one queue.

    Attributes:
        reads_arguments: it does not only look at headers.
    """

    __slots__ = ("_only", "_searchable", "_texts", "_values", "reads_arguments")

    def __init__(self, texts: NamedTexts, values: Collection[str], searchable: Collection[str]) -> None:
        """``values`` and ``searchable``: which of the names in ``texts`` limits and fairness count by, and which jobs
        are found by."""
        self._texts = texts
        self._only = texts.names[0] if len(texts.names) == 1 and not searchable else None
        self._values = [(place, name) for place, name in enumerate(texts.names) if name in values]
        self._searchable = [(place, name) for place, name in enumerate(texts.names) if name in searchable]
        self.reads_arguments = texts.reads_arguments

    def of_call(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], headers: Mapping[str, str] | None, body: bytes
    ) -> tuple[Told, Told]:
        """What limits and fairness count by, and what the job is found by, of a call as its caller gave it. ``body`` is
        what it was encoded to.

        What the call lacks, such as a header, is left out.
        """
        return self._told(self._texts.of_call(args, kwargs, headers, body))

    def of_body(self, body: bytes, headers: Mapping[str, str] | None) -> tuple[Told, Told]:
        """The same of the call that a body holds. It has been checked against the task's signature, as far as that is
        known."""
        return self._told(self._texts.of_body(body, headers))

    def _told(self, texts: Texts) -> tuple[Told, Told]:
        if self._only is not None:
            # The usual case, spelled out.
            text = texts[0]
            return (None if text is None else {self._only: text}), None
        return _chosen(texts, self._values), _chosen(texts, self._searchable) if self._searchable else None


def _chosen(texts: Texts, names: list[tuple[int, str]]) -> Told:
    return {name: text for place, name in names if (text := texts[place]) is not None} or None


class TaskTexts:
    """Computes what is told of the jobs of one task, in whichever queue they are.

    Args:
        make: finds names in calls of the task.
        flow: what the task declares; None: nothing.
        queues: of the application, or of the store. Queues may be added to it, see `declared`.
    """

    __slots__ = ("_by_queue", "_make", "_own", "_own_names", "_queues", "_searchable")

    def __init__(self, make: MakeTexts, flow: TaskFlow | None, queues: KeyedQueues) -> None:
        self._make = make
        self._queues = queues
        self._own_names = () if flow is None else names_in(flow.limits, flow.fair)
        self._searchable = () if flow is None else flow.searchable
        self._own: JobTexts | None = None
        self._by_queue: dict[str, JobTexts | None] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is told of any job, as long as no queue is declared."""
        return not (self._own_names or self._searchable or self._queues)

    def needs(self, queue: str) -> bool:
        """Whether anything is to be told of jobs in this queue."""
        return bool(self._own_names or self._searchable) or queue in self._queues

    def of(self, queue: str) -> JobTexts | None:
        """What computes it for jobs in this queue; None: there is nothing to tell.

        Raises:
            InvalidOption: an annotation of the function cannot be resolved.
        """
        if queue in self._queues:
            if queue not in self._by_queue:
                self._by_queue[queue] = self._with_queue(self._queues[queue])
            return self._by_queue[queue]
        if self._own is None and (self._own_names or self._searchable):
            self._own = self._texts(self._own_names)
        return self._own

    def _with_queue(self, names: Iterable[str]) -> JobTexts | None:
        """A limit of a queue that counts by what this task does not have does not hold for the task's jobs."""
        self._make(())  # an annotation that cannot be resolved is no matter of one name
        found = [*self._own_names, *filter(self.has, names)]
        return self._texts(found) if found or self._searchable else None

    def has(self, name: str) -> bool:
        """Whether calls of the task may have this."""
        try:
            self._make([name])
        except InvalidOption:
            return False
        return True

    def _texts(self, values: Collection[str]) -> JobTexts:
        return JobTexts(self._make(dict.fromkeys((*values, *self._searchable))), values, self._searchable)
