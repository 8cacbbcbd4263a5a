"""Canvases: calls of tasks, and chains of what follows one after the other.

A canvas is a value: every method answers a new one, and leaves the one it was called on as it was. Nothing is checked
against the signatures of tasks before it is enqueued, or built otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Never, Self, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from penstock.model.errors import InvalidOption
from penstock.tasks import names
from penstock.tasks.canvas.handing_over import NOTHING, Given, Value
from penstock.tasks.canvas.plan_builder import FIRST_JOBS_MAX, PlanBuilder
from penstock.tasks.canvas.plan_parts import Built, Flat, WorkflowOptions, check_label, checked_policy, no_option
from penstock.tasks.options import JobOptions
from penstock.tasks.sendable_task import SendableTask
from penstock.tasks.shown_arguments import shown_arguments
from penstock.tasks.store_connection import StoreConnection

if TYPE_CHECKING:
    from penstock.tasks.canvas.workflow import Workflow

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")

_NAMED_PARTS: Final = 4
"""Parts that are told in a description. More are dots."""


class Links(Struct, frozen=True, gc=False):
    """What hangs on a canvas.

    Attributes:
        success, failure: callbacks.
        alternative: what stands in for it when it has failed; None: nothing.
        with_error: that is given the error first.
        compensation: what undoes it; None: nothing.
    """

    success: tuple[Signature[Any], ...] = ()
    failure: tuple[Signature[Any], ...] = ()
    alternative: Canvas[Any] | None = None
    with_error: bool = False
    compensation: Signature[Any] | None = None


class Canvas(Struct, Generic[R_co], frozen=True, eq=False, kw_only=True, gc=False):
    """Calls of tasks put together. ``R_co`` is what it comes to.

    Attributes:
        links: callbacks and the like; None: there are none.
        whole: options of the workflow that it becomes; None: those by default.
    """

    links: Links | None = None
    whole: WorkflowOptions | None = None

    @staticmethod
    def comes_to(kind: Any) -> Any:
        """What a canvas of this class with this parameter comes to, as annotation."""
        return kind

    @property
    def is_bare(self) -> bool:
        """Whether it is nothing but a call."""
        return False

    def enqueue(self) -> Workflow[R_co]:
        """Start it as a workflow: it is accepted, and durable, when this returns. Whatever waits for nothing starts.

        A group with more members than one request holds is sent in parts: its first members run while the others are
        made. When a member cannot be made, the workflow is cancelled.

        Raises:
            InvalidOption, InvalidArguments, BodyTooLarge: it could not work; the message names the step. Nothing was
                enqueued, unless a later member of a large group is to blame.
            Conflict: the idempotency key was used before for another workflow.
            StoreFull: there is no room.
            StoreUnavailable: the store cannot be reached.
        """
        from penstock.tasks.canvas.starting import start

        built = self.build()
        return cast("Workflow[R_co]", start(self.connection(), built))

    async def enqueue_async(self) -> Workflow[R_co]:
        """`enqueue` for a coroutine: it does not hold up the event loop, but for as long as parts are encoded."""
        from penstock.tasks.canvas.starting import start_async

        built = self.build()
        return cast("Workflow[R_co]", await start_async(self.connection(), built))

    def build(self, *, inside: bool = False, jobs_max: int = FIRST_JOBS_MAX) -> Built:
        """The plan of it, for tools and tests; `enqueue` makes one itself.

        Args:
            inside: it takes the place of a step of another workflow, so it has no options of its own.
            jobs_max: members of groups in the call that starts it.

        Raises:
            InvalidOption, InvalidArguments, BodyTooLarge: as `enqueue`.
        """
        builder = PlanBuilder(self.connection(), jobs_max)
        if inside:
            self.check_inside()
            return builder.built(self.flatten(builder, NOTHING, None), self.described(), WorkflowOptions())
        bare = replace(self, whole=None, links=_of_the_step(self.links))
        label = self.whole.name if self.whole is not None and self.is_step else None
        links = self.links or _NO_LINKS
        return builder.built(
            bare.flatten(builder, NOTHING, label),
            self.described(),
            self.whole or WorkflowOptions(),
            links.success,
            links.failure,
        )

    def options(
        self,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
        deadline_s: float | None = None,
        keep_s: float | None = None,
        on_failure: Literal["stop", "finish"] | None = None,
        **unknown: Never,
    ) -> Self:
        """The same with options of the workflow that it becomes. None: as it has them.

        Args:
            name: of the workflow, for people. Of a call or a group inside of another canvas: of its step.
            idempotency_key: within a day, a second workflow with the same key is the first one again, if it is the
                same; else it is a Conflict.
            deadline_s: not over within this time of its start: it fails, and all of it is cancelled.
            keep_s: how long it can be looked up when it is over, with its results; a day by default.
            on_failure: when a step has failed and nothing stands in for it: ``stop`` cancels what runs and starts
                nothing more, which is the default; ``finish`` goes on with what does not need that step.

        Raises:
            InvalidOption: one is outside what it may be; ``field`` names it.
        """
        if unknown:
            raise no_option(self.described(), next(iter(unknown)))
        before = self.whole or WorkflowOptions()
        check_label(name)
        if idempotency_key is not None:
            names.check_idempotency_key(idempotency_key)
        found = WorkflowOptions(
            before.name if name is None else name,
            before.idempotency_key if idempotency_key is None else idempotency_key,
            before.deadline_s if deadline_s is None else names.check_seconds("deadline_s", deadline_s, zero=False),
            before.keep_s if keep_s is None else names.check_seconds("keep_s", keep_s),
            before.on_failure if on_failure is None else checked_policy(on_failure),
        )
        return replace(self, whole=found)

    def on_success(self, call: Signature[Any]) -> Self:
        """The same, which enqueues this call as well when it has succeeded. It is given the result after its own
        positional arguments, unless it is immutable. What becomes of it is no matter of the workflow."""
        links = self.links or _NO_LINKS
        return replace(self, links=replace(links, success=(*links.success, checked_call("on_success", call))))

    def on_error(self, call: Signature[Any]) -> Self:
        """The same, which enqueues this call as well when it has failed for good. It is given the error before its own
        arguments, unless it is immutable: ``{"type", "message", "traceback"}``."""
        links = self.links or _NO_LINKS
        return replace(self, links=replace(links, failure=(*links.failure, checked_call("on_error", call))))

    def __or__(self, other: Canvas[R]) -> Chain[R]:
        """``a | b``: the chain of both."""
        if not isinstance(other, Canvas):
            return NotImplemented
        return Chain((*links_of(self), *links_of(other)))

    @property
    def is_step(self) -> bool:
        """Whether it becomes one step, which has a name."""
        return False

    def connection(self) -> StoreConnection:
        """Of the application of the first task in it.

        Raises:
            InvalidOption: there is no task in it.
        """
        raise InvalidOption("There is no call of a task in it.", field="canvas")

    def described(self) -> str:
        """What it is of, in a few words: ``chain(fetch, store)``."""
        return type(self).__name__.lower()

    def flatten(self, builder: PlanBuilder, given: Given, label: str | None) -> Flat:  # noqa: ARG002 - for its kinds
        """Add its steps to a plan, see `penstock.tasks.canvas.plan_builder`."""
        raise InvalidOption(f"{self!r} cannot be enqueued.", field="canvas")

    def check_inside(self) -> None:
        """Pass when it has no options that only the whole can have."""
        if self.whole is not None and self.whole._replace(name=None) != WorkflowOptions():
            raise InvalidOption(
                f"{self.described()}: inside of another canvas only .options(name=…) holds; give the others to the"
                " whole.",
                field="options",
            )
        if self.whole is not None and not self.is_step:
            raise InvalidOption(
                f"{self.described()}: inside of another canvas it is several steps, and has no name: name those.",
                field="name",
            )

    def label_inside(self, label: str | None) -> str | None:
        """What its step is called inside of another canvas that calls it ``label``."""
        self.check_inside()
        own = None if self.whole is None else self.whole.name
        if own is not None and label is not None and not label.endswith("-otherwise"):
            raise InvalidOption(f"Step {label!r} is named {own!r} in .options(name=…) as well.", field="name")
        return own or label

    def with_callbacks(self, builder: PlanBuilder, flat: Flat) -> Flat:
        """Add its callbacks to what it has become."""
        if self.links is not None:
            builder.add_links(flat, self.links.success, self.links.failure, self.links.compensation)
        return flat


class StepCanvas(Canvas[R_co], Generic[R_co], frozen=True, eq=False, kw_only=True, gc=False):
    """A canvas that becomes one step: a call or a group."""

    @property
    def is_step(self) -> bool:
        """Whether it becomes one step."""
        return True

    def otherwise(self, alternative: Canvas[Any], *, with_error: bool = False) -> Self:
        """The same, for which something else stands in when it has failed for good. What follows takes the value of
        that.

        What stands in is given the same values, unless it is immutable. ``with_error``: before its own arguments it is
        given the error too, ``{"type", "message", "traceback"}``.
        """
        links = self.links or _NO_LINKS
        if not isinstance(alternative, Canvas):
            names.refuse("alternative", f"is {names.shown(alternative)}: give a call such as task.s(1), or a canvas")
        return replace(self, links=replace(links, alternative=alternative, with_error=with_error))

    def compensate(self, call: Signature[Any]) -> Self:
        """The same, with a call that undoes it: should the workflow fail or be cancelled after this step has succeeded.
        Compensations run one after the other, the latest success first. It is given the step's value after its own
        positional arguments, unless it is immutable."""
        links = self.links or _NO_LINKS
        return replace(self, links=replace(links, compensation=checked_call("compensate", call)))

    def with_links(self, builder: PlanBuilder, value: Value, given: Given) -> Flat:
        """Add all that hangs on it to its step."""
        if self.links is not None and self.links.alternative is not None:
            value = builder.add_alternative(value, self.links.alternative, given, with_error=self.links.with_error)
        return self.with_callbacks(builder, Flat(value, (value.step,)))


class Signature(StepCanvas[R_co], Generic[R_co], frozen=True, eq=False, gc=False):
    """A call of a task that has not been made. Enqueue many in one request with `Penstock.enqueue_many`; `enqueue`
    makes a workflow of one step of it.

    Attributes:
        task: the task.
        args: positional arguments as given.
        kwargs: named arguments as given.
        job_options: of the job; None: the task's own.
        immutable: it takes nothing that is handed over.
    """

    task: SendableTask[R_co]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    job_options: JobOptions | None = None
    immutable: bool = False

    @property
    def is_bare(self) -> bool:
        """Whether it is nothing but a call."""
        return self.links is None and self.whole is None

    @property
    def each(self) -> bool:
        """Whether it is a chunk of calls."""
        return False

    def connection(self) -> StoreConnection:
        """Of its task."""
        return self.task.connection

    def described(self) -> str:
        """The last part of its task's name."""
        return self.task.name.rpartition(".")[2]

    def flatten(self, builder: PlanBuilder, given: Given, label: str | None) -> Flat:
        """Add its step."""
        return self.with_links(builder, builder.add_call(self, given, self.label_inside(label)), given)

    def __repr__(self) -> str:
        args, kwargs = shown_arguments(self.task, self.args, self.kwargs)
        given = [repr(value) for value in args] + [f"{name}={value!r}" for name, value in kwargs.items()]
        return f"{self.task.name}.{'si' if self.immutable else 's'}({', '.join(given)})"


class Chain(Canvas[R_co], Generic[R_co], frozen=True, eq=False, gc=False):
    """Parts that follow one after the other, each given the value of the one before. Made by `chain`, or by ``a | b``.

    Attributes:
        parts: in order.
        label: how it is described; None: by its parts.
    """

    parts: tuple[Canvas[Any], ...]
    label: str | None = None

    def connection(self) -> StoreConnection:
        """Of its first part that has a task in it."""
        return connection_of(self.parts)

    def described(self) -> str:
        """``chain(fetch, store)``."""
        return self.label or f"chain({', '.join(part.described() for part in self.parts[:_NAMED_PARTS])}{self._more})"

    @property
    def is_plain(self) -> bool:
        """Whether nothing hangs on it, so that its parts may as well be those of a longer chain."""
        return self.links is None and self.whole is None

    @property
    def _more(self) -> str:
        return ", …" if len(self.parts) > _NAMED_PARTS else ""

    def flatten(self, builder: PlanBuilder, given: Given, label: str | None) -> Flat:
        """Add its steps, each given the value of the one before it."""
        self.check_inside()
        steps: list[int] = []
        flat = Flat(None, ())
        for place, part in enumerate(self.parts):
            last = place == len(self.parts) - 1
            flat = part.flatten(builder, given, label if last else None)
            steps += flat.steps
            if not last:
                if flat.value is None:
                    raise InvalidOption(
                        f"{part.described()} has several results, and what follows it in a chain takes one: name it"
                        " with .returns(…).",
                        field="parts",
                    )
                given = Given((flat.value,))
        return self.with_callbacks(builder, Flat(flat.value, tuple(steps), flat.named))

    def __repr__(self) -> str:
        return f"<{self.described()}>"


def links_of(canvas: Canvas[Any]) -> tuple[Canvas[Any], ...]:
    """The parts that it adds to a chain that it is put into."""
    return canvas.parts if isinstance(canvas, Chain) and canvas.is_plain and canvas.label is None else (canvas,)


_NO_LINKS: Final = Links()


def _of_the_step(links: Links | None) -> Links | None:
    """What hangs on the step of a canvas that is the whole: callbacks are those of the workflow."""
    return None if links is None else replace(links, success=(), failure=())


def checked_call(field: str, call: Any) -> Signature[Any]:
    """A call as a callback.

    Raises:
        InvalidOption: it is none, or something hangs on it.
    """
    if not isinstance(call, Signature):
        names.refuse(field, f"is {names.shown(call)}: give a call of a task, such as task.s()")
    if not call.is_bare:
        names.refuse(field, f"is {call!r} with callbacks or options of its own: a callback is one plain call")
    return call


def connection_of(parts: Iterable[Canvas[Any]]) -> StoreConnection:
    """The connection of the first task in any of these.

    Raises:
        InvalidOption: there is no task in them.
    """
    for part in parts:
        try:
            return part.connection()
        except InvalidOption:
            continue
    raise InvalidOption(
        "There is no call of a task in it, so there is no application to enqueue it for.", field="parts"
    )
