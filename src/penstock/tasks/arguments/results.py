"""Results of many jobs, which are read in pages. It does no I/O itself: pages come through the connection it is bound
to, that of the application whose job or caller reads them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol, TypeVar, overload

from msgspec import msgpack
from msgspec.msgpack import Ext

from penstock.model.errors import InvalidOption, InvalidResult
from penstock.model.workflow_views import ResultsPage

T_co = TypeVar("T_co", covariant=True)

REFERENCE: Final = 80
"""The msgpack extension that stands for results that are too many to be handed over: the workflow's id, 16 bytes, and
the number of the step, 4 bytes, big endian."""
_ID_BYTES: Final = 16
_REFERENCE_BYTES: Final = 20
_PAGE_RESULTS: Final = 1_000
"""Results in one page, at most; the store sends fewer where they are large."""


class PageReader(Protocol):
    """The store, as far as it takes to read results: `penstock.ports.workflows.WorkflowStore` has this."""

    def results(self, workflow: bytes, step: int | None, *, first: int = 0, limit: int = 1_000) -> ResultsPage:
        """One page."""
        ...


class AsyncPageReader(Protocol):
    """The same for an event loop."""

    async def results(self, workflow: bytes, step: int | None, *, first: int = 0, limit: int = 1_000) -> ResultsPage:
        """One page."""
        ...


class ResultsSource(Protocol):
    """Where pages come from: `penstock.tasks.store_connection.StoreConnection`."""

    def store(self) -> PageReader:
        """The store for a thread."""
        ...

    async def async_store(self) -> AsyncPageReader:
        """The store for the running event loop."""
        ...


SOURCE: Final[ContextVar[ResultsSource | None]] = ContextVar("penstock_results_source", default=None)
"""What references that are decoded now are bound to. None: they cannot be read."""


class Results(Sequence[T_co]):
    """The results of the members of a group, in their order. Annotate a parameter with it to take more of them than
    RESULTS_INLINE_MAX: ``def publish(paths: Results[str]) -> int``.

    They are read from the store in pages, as they are asked for; a page is kept until the next one is read. Where
    failures were allowed, the results of members that failed are None. In a coroutine use ``async for``, and
    `length`: reading page by page in a ``for`` would hold up the event loop.

    Raises, when it is read:
        WorkflowNotFound: the workflow's record has gone.
        StoreUnavailable: the store cannot be reached.
        InvalidResult: a result does not fit the type.
    """

    __slots__ = ("_decode", "_first", "_page", "_source", "_step", "_total", "_workflow")

    def __init__(
        self, source: ResultsSource | None, workflow: bytes, step: int | None, decode: Callable[[bytes], T_co]
    ) -> None:
        """``step``: its number. ``decode``: makes a value of a stored result, format byte first."""
        self._source = source
        self._workflow = workflow
        self._step = step
        self._decode = decode
        self._total: int | None = None
        self._first = 0
        self._page: list[Any] = []

    def decoded_by(self, decode: Callable[[bytes], Any]) -> Results[Any]:
        """The same results, decoded in another way."""
        return Results(self._source, self._workflow, self._step, decode)

    def reference(self) -> Ext:
        """What stands for it on the wire."""
        return Ext(REFERENCE, self._workflow + (self._step or 0).to_bytes(_REFERENCE_BYTES - _ID_BYTES, "big"))

    def __len__(self) -> int:
        if self._total is None:
            self._take(self._read(0))
        return self._total or 0

    async def length(self) -> int:
        """As ``len(results)``, for a coroutine."""
        if self._total is None:
            self._take(await self._read_async(0))
        return self._total or 0

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index if index >= 0 else len(self) + index
        if place < 0 or not (self._has(place) or self._take(self._read(place))):
            raise IndexError(f"There are {len(self)} results, and none at place {index}.")
        return self._page[place - self._first]

    def __iter__(self) -> Iterator[T_co]:
        place: int | None = 0
        while place is not None:
            page = self._read(place)
            self._take(page)
            yield from list(self._page)
            place = page.cursor

    async def __aiter__(self) -> AsyncIterator[T_co]:
        place: int | None = 0
        while place is not None:
            page = await self._read_async(place)
            self._take(page)
            for value in list(self._page):
                yield value
            place = page.cursor

    def __repr__(self) -> str:
        many = "" if self._total is None else f"{self._total} "
        return f"<{many}Results of step {self._step} of workflow {self._workflow.hex()}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Results) and self.reference() == other.reference()

    def __hash__(self) -> int:
        return hash((self._workflow, self._step))

    def _has(self, place: int) -> bool:
        return self._first <= place < self._first + len(self._page)

    def _take(self, page: ResultsPage) -> bool:
        """Keep a page. Answers whether there is anything in it."""
        self._total, self._first = page.total, page.first
        self._page = [None if data is None else self._decoded(data) for data in page.results]
        return bool(page.results)

    def _decoded(self, data: bytes) -> Any:
        token = SOURCE.set(self._source)
        try:
            return self._decode(data)
        except Exception as error:
            raise InvalidResult(f"A result of {self!r} cannot be read: {error}") from error
        finally:
            SOURCE.reset(token)

    def _read(self, first: int) -> ResultsPage:
        store = self._bound().store()
        return store.results(self._workflow, self._step, first=first, limit=_PAGE_RESULTS)

    async def _read_async(self, first: int) -> ResultsPage:
        store = await self._bound().async_store()
        return await store.results(self._workflow, self._step, first=first, limit=_PAGE_RESULTS)

    def _bound(self) -> ResultsSource:
        if self._source is None:
            raise InvalidOption(
                "These results were decoded where no application is known: read them in a job, or by"
                " app.workflow(id).results(step)."
            )
        return self._source


def referred(data: memoryview | bytes, decode: Callable[[bytes], Any]) -> Results[Any]:
    """The results that a reference stands for, bound to `SOURCE`.

    Raises:
        InvalidResult: it is damaged.
    """
    if len(data) != _REFERENCE_BYTES:
        raise InvalidResult(f"A reference to results has {_REFERENCE_BYTES} bytes, and this one {len(data)}.")
    return Results(SOURCE.get(), bytes(data[:_ID_BYTES]), int.from_bytes(data[_ID_BYTES:], "big"), decode)


def has_reference(body: bytes) -> bool:
    """Whether there is a reference in a body or a result, however deep. For messages: it decodes all of it."""
    return referred_step(body) is not None


def referred_step(body: bytes) -> tuple[bytes, int] | None:
    """The workflow and the step whose results the first reference in a body or a result stands for; None: there is no
    reference in it. For messages: it decodes all of it."""
    found: list[bytes] = []

    def note(code: int, data: memoryview) -> None:
        if code == REFERENCE:
            found.append(bytes(data))

    try:
        msgpack.decode(memoryview(body)[1:], ext_hook=note)
    except Exception:  # noqa: BLE001 - it is damaged, or of another format
        return None
    return (found[0][:_ID_BYTES], int.from_bytes(found[0][_ID_BYTES:], "big")) if found else None
