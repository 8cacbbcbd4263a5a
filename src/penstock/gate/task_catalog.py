"""The tasks a gate knows: the application's, checked against their signatures, or the names a store has recorded."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from time import monotonic
from typing import Any, Final, Protocol

import msgspec

from penstock.gate.json_numbers import unfit_number
from penstock.model import limits
from penstock.model.errors import InvalidArguments, UnknownTask
from penstock.model.flow import QueueRecord, TaskFlow, UniqueRule
from penstock.model.flow_acceptance import names_in
from penstock.model.job import TaskRecord
from penstock.tasks.arguments.parameters import Parameter, Parameters, read_parameters
from penstock.tasks.arguments.recorded_signature import RecordedSignature
from penstock.tasks.arguments.values import from_wire
from penstock.tasks.job_texts import KeyedQueues, TaskTexts
from penstock.tasks.task import Task

_NEVER: Final = float("-inf")
_NO_ARGS: Final = b"[]"
_LOOSE: Final[dict[Any, bytes]] = {
    Any: b"",
    object: b"",
    dict: b"{",
    dict[str, Any]: b"{",
    list: b"[",
    list[Any]: b"[",
}
_BODY_BY_NAME: Final = b"j[[],"

Check = Callable[[bytes, bytes], bytes]
"""``(args, kwargs)``, each JSON text, to a job's body. Raises InvalidArguments or BodyTooLarge."""
Identity = Callable[[bytes], tuple[int, int]]
"""See `penstock.tasks.arguments.codec.Codec.identity`."""
CheckKwargs = Callable[[bytes | memoryview], bytes | None]
"""Arguments that are all given by name, as text that need not even be JSON, to a job's body. None: `Check` tells what
they are."""


class KnownTask:
    """What the gate needs of a task: its defaults, and how its arguments are checked.

    Attributes:
        identity: what an idempotency key compares the call in a checked body by; may raise InvalidArguments.
        check_kwargs: the short way, of the usual call. None: there is none.
        texts: what is told of the arguments of its jobs; None: nothing, in whichever queue they are.
    """

    __slots__ = ("check", "check_kwargs", "expires_s", "identity", "name", "priority", "queue", "tags", "texts")

    def __init__(
        self,
        record: TaskRecord,
        check: Check,
        identity: Identity,
        check_kwargs: CheckKwargs | None = None,
        texts: TaskTexts | None = None,
    ) -> None:
        self.name = record.name
        self.queue = record.queue
        self.priority = record.priority
        self.expires_s = record.expires_s
        self.tags = list(record.tags) or None
        self.check = check
        self.identity = identity
        self.check_kwargs = check_kwargs
        self.texts = None if texts is None or texts.is_idle else texts

    @property
    def unique(self) -> UniqueRule | None:
        """The rule by which its jobs are unique; None: they are not."""
        return None if self.texts is None else self.texts.unique


class Catalog(Protocol):
    """Finds tasks by name."""

    def get(self, name: str) -> KnownTask | None:
        """The task, None when it is not known now; never waits."""
        ...

    async def find(self, name: str) -> KnownTask:
        """The task, asking whoever may know more.

        Raises:
            UnknownTask: nobody knows it.
        """
        ...


class AppCatalog:
    """The tasks of one application; they do not change."""

    def __init__(self, tasks: Iterable[KnownTask]) -> None:
        self._tasks = {task.name: task for task in tasks}
        self.get = self._tasks.get

    async def find(self, name: str) -> KnownTask:
        """The task.

        Raises:
            UnknownTask: the application has no such task.
        """
        found = self.get(name)
        if found is None:
            raise UnknownTask(f"The application has no task `{name}`.")
        return found


class StoreCatalog:
    """The tasks that workers have recorded in the store, and what jobs tell for the limits of queues.

    Args:
        fetch: asks the store for its tasks.
        fetch_queues: asks it for the queues that applications declare.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[list[TaskRecord]]],
        fetch_queues: Callable[[], Awaitable[list[QueueRecord]]],
    ) -> None:
        self._fetch = fetch
        self._fetch_queues = fetch_queues
        self._tasks: dict[str, KnownTask] = {}
        self._records: dict[str, TaskRecord] = {}
        self._queues: KeyedQueues = {}
        self._refreshed_at = _NEVER
        self._lock = asyncio.Lock()

    def get(self, name: str) -> KnownTask | None:
        """The task as it was last seen; None when it was not, or when it is time to look again."""
        if monotonic() - self._refreshed_at > limits.GATE_CATALOG_S:
            return None
        return self._tasks.get(name)

    async def find(self, name: str) -> KnownTask:
        """The task, after asking the store when it was not asked a moment ago.

        Raises:
            UnknownTask: no worker has recorded it.
        """
        async with self._lock:
            if name not in self._tasks or self.get(name) is None:
                await self._refresh()
        found = self._tasks.get(name)
        if found is None:
            raise UnknownTask(f"No worker has recorded a task `{name}`, and this gate has no application to look in.")
        return found

    async def _refresh(self) -> None:
        now = monotonic()
        if now - self._refreshed_at < limits.GATE_CATALOG_S:
            return
        records = {record.name: record for record in await self._fetch()}
        queues = _keyed(await self._fetch_queues())
        # What has not changed is kept, with what was computed for it.
        kept = self._tasks if queues == self._queues else {}
        self._tasks = {
            name: kept[name] if name in kept and self._records[name] == record else _recorded(record, queues)
            for name, record in records.items()
        }
        self._records, self._queues, self._refreshed_at = records, queues, now


def recorded_tasks(records: Iterable[TaskRecord], queues: Iterable[QueueRecord]) -> dict[str, KnownTask]:
    """The tasks that workers have recorded, by name. The shape of arguments is checked; the worker does the rest."""
    keyed = _keyed(queues)
    return {record.name: _recorded(record, keyed) for record in records}


def _keyed(queues: Iterable[QueueRecord]) -> KeyedQueues:
    return {queue.name: names for queue in queues if (names := names_in(queue.limits))}


def app_catalog(tasks: Iterable[Task[..., Any]]) -> AppCatalog:
    """The catalog of an application's tasks.

    Raises:
        InvalidOption: a task cannot be described: an annotation cannot be resolved.
    """
    return AppCatalog(_known(task) for task in tasks)


def _known(task: Task[..., Any]) -> KnownTask:
    check_kwargs = _by_name(task)
    return KnownTask(task.record(), _placing(task, check_kwargs), task.codec.identity, check_kwargs, task.texts)


def _placing(task: Task[..., Any], check_kwargs: CheckKwargs | None) -> Check:
    """`Codec.check_json`, naming the place in the request instead of the parameter."""
    check_json = Skipping(task).check_json
    parameters = list(inspect.signature(task.function).parameters)[task.takes_context :]
    count = _counter(len(parameters))

    def check(args: bytes, kwargs: bytes) -> bytes:
        try:
            body = check_kwargs(kwargs) if check_kwargs is not None and args == _NO_ARGS else None
            return check_json(args, kwargs) if body is None else body
        except InvalidArguments as error:
            error.field = _place(error.field, args, kwargs, parameters, count)
            raise

    return check


class Skipping:
    """`Codec.check_json` without making the values that fit whatever they are.

    Four megabytes of JSON can be more than a million lists: where a parameter takes anything, or any object or array,
    its value is passed over, which takes a few milliseconds, instead of being made, which takes some hundred.
    """

    def __init__(self, task: Task[..., Any]) -> None:
        found = read_parameters(task.name, task.function)
        self._task = task
        self._types = {p.name: p.type for p in found.all() if _opening(p.type) is not None}
        self._positional = [parameter.name for parameter in found.positional]
        skipped = Parameters(
            tuple(map(_skipped, found.positional)),
            {name: _skipped(parameter) for name, parameter in found.keyword.items()},
            found.extra_positional and _skipped(found.extra_positional),
            found.extra_keyword and _skipped(found.extra_keyword),
            found.takes_context,
            found.returns,
            found.returns_label,
        )
        self._plan = task.codec.plan_of(skipped) if self._types else None

    def check_json(self, args: bytes, kwargs: bytes) -> bytes:
        """See `Codec.check_json`."""
        size_bytes = len(args) + len(kwargs)
        if self._plan is None or not limits.GATE_LOOP_BYTES_MAX < size_bytes < limits.JOB_BODY_BYTES_MAX:
            return self._task.codec.check_json(args, kwargs)
        body = b"".join((b"j[", args, b",", kwargs, b"]"))
        by_position, by_name = self._plan.decode(body)
        named = dict(zip(self._positional, by_position, strict=False)) | by_name
        for name, value in named.items():
            kind = self._types.get(name)
            opening = _opening(kind) if name in self._types else b""
            if opening and isinstance(value, msgspec.Raw) and bytes(memoryview(value)[:1]) != opening:
                self._refuse(name, kind, value)
        if unfit_number(body) is not None:
            # Unless its parameter takes numbers of any size.
            return self._task.codec.check_json(args, kwargs)
        return body

    def _refuse(self, name: str, kind: Any, value: msgspec.Raw) -> None:
        """It begins otherwise than its type does, so that the decoder stops at its first byte."""
        try:
            msgspec.json.decode(value, type=kind)
        except msgspec.DecodeError as error:
            raise InvalidArguments(f"{self._task.name}: argument {name!r}: {error}", field=name) from error


def _skipped(parameter: Parameter) -> Parameter:
    return parameter if _opening(parameter.type) is None else replace(parameter, type=msgspec.Raw)


def _by_name(task: Task[..., Any]) -> CheckKwargs | None:
    """The body when all arguments, given by name, fit: in one step of the decoder, which the codec takes for each.

    It need not be sure when they do not: the codec then says why. None: such calls are not as simple as that.
    """
    found = read_parameters(task.name, task.function)
    if len(found.all()) != len(found.keyword) or any(p.traits.typed_dicts for p in found.keyword.values()):
        return None
    loose = {p.name: opening for p in found.keyword.values() if (opening := _opening(p.type)) is not None}
    try:
        make, skip = _decoder(found.keyword.values()), _decoder(map(_skipped, found.keyword.values()))
    except (TypeError, ValueError):
        return None
    openings = [(name, opening) for name, opening in loose.items() if opening]

    def check(kwargs: bytes | memoryview) -> bytes | None:
        # To make the values of a text that is not large takes less than to look for numbers in what is skipped.
        small = len(kwargs) <= limits.GATE_LOOP_BYTES_MAX
        try:
            values = make(kwargs) if small else skip(kwargs)
        except Exception:  # noqa: BLE001 - users' classes run in here, and may raise anything
            return None
        if small:
            return b"".join((_BODY_BY_NAME, kwargs, b"]"))
        for name, opening in openings:
            value = getattr(values, name)
            if value is not None and bytes(memoryview(value)[:1]) != opening:
                return None
        if loose and unfit_number(kwargs) is not None:
            return None
        return b"".join((_BODY_BY_NAME, kwargs, b"]"))

    return check


def _decoder(parameters: Iterable[Parameter]) -> Callable[[bytes | memoryview], Any]:
    """Reads an object of arguments by name."""
    fields = [(p.name, p.type) if p.required else (p.name, p.type, None) for p in parameters]
    kind = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(kind, dec_hook=from_wire).decode


def _opening(kind: Any) -> bytes | None:
    """How the JSON of a type begins whose values need not be made to know that they fit; empty: anyhow. None: another
    type. (What is skipped is still JSON; `unfit_number` finds what is not to be decoded in it.)"""
    try:
        return _LOOSE.get(kind)
    except TypeError:
        return None


def _place(field: str | None, args: bytes, kwargs: bytes, parameters: list[str], count: Callable[[bytes], int]) -> str:
    """Where in the request the parameter ``field`` stands, or should."""
    if not args.startswith(b"[") or (field == "args" and field not in parameters):
        return "args"
    if not kwargs.startswith(b"{") or (field == "kwargs" and field not in parameters):
        return "kwargs"
    positional = count(args)
    if field is None:
        return "args" if positional else "kwargs"
    if field in parameters and parameters.index(field) < positional and not _has_key(kwargs, field):
        return f"args[{parameters.index(field)}]"
    return f"kwargs.{field}"


def _counter(most: int) -> Callable[[bytes], int]:
    """Counts the items of a JSON array, no further than so many: the rest is passed over."""
    fields = [(f"item_{index}", msgspec.Raw, None) for index in range(max(1, most))]
    decode = msgspec.json.Decoder(msgspec.defstruct("Items", fields, array_like=True, gc=False)).decode

    def count(args: bytes) -> int:
        try:
            return sum(item is not None for item in msgspec.structs.astuple(decode(args)))
        except msgspec.DecodeError:
            return 0

    return count


@lru_cache(maxsize=1_024)
def _member(name: str) -> msgspec.json.Decoder[Any]:
    kind = msgspec.defstruct("Member", [("member", msgspec.Raw, None)], rename={"member": name}, gc=False)
    return msgspec.json.Decoder(kind)


def _has_key(kwargs: bytes, name: str) -> bool:
    """Whether a JSON object has a member of this name; the others are passed over."""
    try:
        return _member(name).decode(kwargs).member is not None
    except msgspec.DecodeError:
        return False


def _recorded(record: TaskRecord, queues: KeyedQueues) -> KnownTask:
    """A task as far as what a worker recorded tells."""
    signature = RecordedSignature(record.name, record.schema)
    flow = record.flow or TaskFlow()
    texts = TaskTexts(partial(signature.texts, flow), partial(signature.whole_text, flow), flow, queues)
    return KnownTask(record, check_shape, _identity_of(record, signature), texts=texts)


def _identity_of(record: TaskRecord, signature: RecordedSignature) -> Identity:
    """As `Codec.identity`, as far as what a worker recorded tells."""

    def identity(body: bytes) -> tuple[int, int]:
        try:
            return signature.identity(body)
        except Exception as error:
            raise InvalidArguments(f"{record.name}: its arguments cannot be read: {error}", field="args") from error

    return identity


def check_shape(args: bytes, kwargs: bytes) -> bytes:
    """A job's body from arguments whose signature is not known here; the worker checks them.

    Raises:
        InvalidArguments: not an array, or not an object.
    """
    if not args.startswith(b"["):
        raise InvalidArguments("`args` is an array.", field="args")
    if not kwargs.startswith(b"{"):
        raise InvalidArguments("`kwargs` is an object.", field="kwargs")
    for field, text in (("args", args), ("kwargs", kwargs)):
        unfit = unfit_number(text)
        if unfit is not None:
            raise InvalidArguments(f"`{field}`: {unfit}.", field=field)
    return b"".join((b"j[", args, b",", kwargs, b"]"))
