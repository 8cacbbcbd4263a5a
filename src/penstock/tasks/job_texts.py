"""What stores are told of the arguments of a job: the texts that the limits and the fairness of its task and its queue
count by, those that it is found by, and its unique key. Computed where a job is enqueued, and only for jobs that need
it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from typing import Any

from penstock.model.errors import InvalidOption
from penstock.model.flow import TaskFlow
from penstock.model.flow_acceptance import names_in, parameter_in
from penstock.model.flow_texts import Told, joined
from penstock.tasks.arguments.named_texts import NamedTexts, Texts, WholeText

MakeTexts = Callable[[Iterable[str]], NamedTexts]
"""Finds names in the calls of a task. Raises InvalidOption for one that the task lacks."""
KeyedQueues = Mapping[str, tuple[str, ...]]
"""The names that limits of queues count by, by queue. Queues without such limits are left out."""


MakeWhole = Callable[[], WholeText]
"""Makes one text of all arguments of a call of the task."""


JobTold = tuple[Told, Told, str | None]
"""What is told of a job, in the order of `penstock.model.entry.JobEntry`: what limits and fairness count by, what the
job is found by, and its unique key (None: no other job is the same)."""


class JobTexts:
    """Computes what is told of the jobs of one task in one queue.

    Attributes:
        reads_arguments: it does not only look at headers.
    """

    __slots__ = ("_only", "_searchable", "_texts", "_unique", "_values", "_whole", "reads_arguments")

    def __init__(
        self,
        texts: NamedTexts,
        values: Collection[str],
        searchable: Collection[str],
        unique: Sequence[str] = (),
        whole: WholeText | None = None,
    ) -> None:
        """``values``, ``searchable`` and ``unique``: which of the names in ``texts`` limits and fairness count by, jobs
        are found by, and unique keys are made of, in this order. ``whole``: unique keys are made of all arguments."""
        self._texts = texts
        is_only = len(texts.names) == 1 and not (searchable or unique or whole)
        self._only = texts.names[0] if is_only else None
        self._values = [(place, name) for place, name in enumerate(texts.names) if name in values]
        self._searchable = [(place, name) for place, name in enumerate(texts.names) if name in searchable]
        self._unique = [texts.names.index(name) for name in unique]
        self._whole = whole
        self.reads_arguments = texts.reads_arguments or whole is not None

    def of_call(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], headers: Mapping[str, str] | None, body: bytes
    ) -> JobTold:
        """What is told of a call as its caller gave it. ``body`` is what it was encoded to.

        What the call lacks, such as a header, is left out. A job that lacks a part of its unique key has none.
        """
        return self._told(self._texts.of_call(args, kwargs, headers, body), body)

    def of_body(self, body: bytes, headers: Mapping[str, str] | None) -> JobTold:
        """The same of the call that a body holds. It has been checked against the task's signature, as far as that is
        known."""
        return self._told(self._texts.of_body(body, headers), body)

    def _told(self, texts: Texts, body: bytes) -> JobTold:
        if self._only is not None:
            # The usual case, spelled out.
            text = texts[0]
            return (None if text is None else {self._only: text}), None, None
        key = None
        if self._unique:
            key = joined([texts[place] for place in self._unique])
        elif self._whole is not None:
            key = self._whole.of_body(body)
        return _chosen(texts, self._values), _chosen(texts, self._searchable) if self._searchable else None, key


def _chosen(texts: Texts, names: list[tuple[int, str]]) -> Told:
    return {name: text for place, name in names if (text := texts[place]) is not None} or None


class TaskTexts:
    """Computes what is told of the jobs of one task, in whichever queue they are.

    Args:
        make: finds names in calls of the task.
        make_whole: makes one text of all arguments of a call.
        flow: what the task declares; None: nothing.
        queues: of the application, or of the store. Queues may be added to it, see `declared`.

    Attributes:
        unique: the rule by which its jobs are unique; None: they are not.
    """

    __slots__ = ("_by_queue", "_make", "_make_whole", "_own", "_own_names", "_queues", "_searchable", "unique")

    def __init__(self, make: MakeTexts, make_whole: MakeWhole, flow: TaskFlow | None, queues: KeyedQueues) -> None:
        self._make = make
        self._make_whole = make_whole
        self.unique = None if flow is None else flow.unique
        self._queues = queues
        self._own_names = () if flow is None else names_in(flow.limits, flow.fair)
        self._searchable = () if flow is None else flow.searchable
        self._own: JobTexts | None = None
        self._by_queue: dict[str, JobTexts | None] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is told of any job, as long as no queue is declared."""
        return not (self._tells or self._queues)

    @property
    def _tells(self) -> bool:
        """Whether something is told of the jobs in every queue."""
        return bool(self._own_names or self._searchable or self.unique)

    def needs(self, queue: str) -> bool:
        """Whether anything is to be told of jobs in this queue."""
        return self._tells or queue in self._queues

    def of(self, queue: str) -> JobTexts | None:
        """What computes it for jobs in this queue; None: there is nothing to tell.

        Raises:
            InvalidOption: an annotation of the function cannot be resolved.
        """
        if queue in self._queues:
            if queue not in self._by_queue:
                self._by_queue[queue] = self._with_queue(self._queues[queue])
            return self._by_queue[queue]
        if self._own is None and self._tells:
            self._own = self._texts(self._own_names)
        return self._own

    def _with_queue(self, names: Iterable[str]) -> JobTexts | None:
        """A limit of a queue that counts by what this task does not have does not hold for the task's jobs."""
        self._make(())  # an annotation that cannot be resolved is no matter of one name
        found = [*self._own_names, *filter(self.has, names)]
        return self._texts(found) if found or self._tells else None

    def without(self, parameters: Collection[str], make: MakeTexts, make_whole: MakeWhole) -> TaskTexts:
        """What computes it for calls in which the arguments of these parameters are not given. Jobs are not found by
        what is not there. ``make`` and ``make_whole``: for such calls.
        """
        part = copy(self)
        part._narrow(parameters, make, make_whole)  # noqa: SLF001 - one of its own kind
        return part

    def _narrow(self, parameters: Collection[str], make: MakeTexts, make_whole: MakeWhole) -> None:
        self._make, self._make_whole = make, make_whole
        self._searchable = tuple(name for name in self._searchable if parameter_in(name) not in parameters)
        self._own, self._by_queue = None, {}

    def counted_by(self, queue: str) -> tuple[str, ...] | None:
        """The names that limits, fairness and unique keys of jobs in this queue go by, headers included. None: all
        arguments of a call."""
        unique = () if self.unique is None else self.unique.names
        if self.unique is not None and not unique:
            return None
        return (*self._own_names, *filter(self.has, self._queues.get(queue, ())), *unique)

    def has(self, name: str) -> bool:
        """Whether calls of the task may have this."""
        try:
            self._make([name])
        except InvalidOption:
            return False
        return True

    def _texts(self, values: Collection[str]) -> JobTexts:
        unique = () if self.unique is None else self.unique.names
        whole = self._make_whole() if self.unique is not None and not unique else None
        texts = self._make(dict.fromkeys((*values, *self._searchable, *unique)))
        return JobTexts(texts, values, self._searchable, unique, whole)
