"""Values of steps, put together from the results that a store has: bodies of jobs, and what clients ask for."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Protocol

from penstock.model import limits
from penstock.workflow.decisions import Call
from penstock.workflow.hand_over import (
    NIL,
    error_value,
    list_value,
    map_value,
    reference,
    spliced,
    value_of,
)
from penstock.workflow.rows import Rows, StepRow


class Results(Protocol):
    """The results of one workflow, and its rows."""

    @property
    def id(self) -> bytes:
        """The workflow's."""
        ...

    @property
    def rows(self) -> Rows:
        """Its rows."""
        ...

    def result(self, step: int) -> bytes | None:
        """The stored result of the job of a step, which has succeeded, format byte first."""
        ...

    def members(self, step: int) -> Iterator[bytes | int | None]:
        """The members of a group by place, none left out: the stored result of a job (None: it has failed, or returned
        None and nothing is stored), or of a block the number of the step that it begins with."""
        ...

    def origin(self) -> Results:
        """The results of the workflow that this one was forked from."""
        ...


def is_reference(row: StepRow) -> bool:
    """Whether the value of a step is too large to be handed over as it is."""
    group = row.group
    return group is not None and row.value_from is None and is_large(group.there, group.jobs_bytes + group.blocks_bytes)


def is_large(members: int, size_bytes: int) -> bool:
    """Whether the results of so many members, so large together, are handed over as a reference."""
    return members > limits.RESULTS_INLINE_MAX or size_bytes > limits.RESULTS_INLINE_BYTES_MAX


def value(results: Results, step: int, *, streams: bool = False) -> bytes:
    """The value of a step that has succeeded, as msgpack.

    Args:
        streams: the taker reads results in pages: of a group a reference to them.
    """
    return _put_together(_value(results, step, streams=streams))


def block_value(results: Results, first: int) -> bytes:
    """The value of the block that begins with this step, as msgpack."""
    return _put_together(_block_value(results, first))


Making = Generator["Making", bytes, bytes]
"""Makes a value: yields what makes a part of it, and is sent that part. Blocks stand in blocks to any depth (a job may
return a call that returns a call), so nothing here may call itself: the stack of the process would be the limit, and
the owner would meet it again each time that it was told of the same outcome."""


def _put_together(making: Making) -> bytes:
    """What this makes."""
    stack = [making]
    made: bytes | None = None
    while stack:
        try:
            part = next(stack[-1]) if made is None else stack[-1].send(made)
        except StopIteration as done:
            stack.pop()
            made = done.value
        else:
            stack.append(part)
            made = None
    assert made is not None, "the first one has returned"
    return made


def _value(results: Results, step: int, *, streams: bool = False) -> Making:
    plan, row = results.rows.step(step)
    while row.inherited:
        results = results.origin()
        plan, row = results.rows.step(step)
    if row.value_from is not None:
        return (yield _block_value(results, row.value_from, streams=streams))
    if plan.plan.group is None:
        return value_of(results.result(step))
    if streams or is_reference(row):
        return reference(results.id, step)
    members: list[bytes] = []
    for one in results.members(step):
        if not isinstance(one, int):
            members.append(value_of(one))
            continue
        block = results.rows.step(one)[1].block
        succeeded = block is not None and block.has_succeeded
        members.append((yield _block_value(results, one)) if succeeded else NIL)
    return list_value(members)


def _block_value(results: Results, first: int, *, streams: bool = False) -> Making:
    block = results.rows.step(first)[1].block
    assert block is not None, "a block begins there"
    return (yield _outputs(results, block.values, streams=streams))


def _outputs(results: Results, outputs: list[tuple[str | None, int]], *, streams: bool = False) -> Making:
    if not outputs:
        return NIL
    if outputs[0][0] is None:
        return (yield _value(results, outputs[0][1], streams=streams))
    named: list[tuple[str, bytes]] = []
    for name, step in outputs:
        named.append((name or "", (yield _value(results, step))))
    return map_value(named)


def workflow_value(results: Results) -> bytes:
    """The value of a workflow that has succeeded, as msgpack."""
    return _put_together(_outputs(results, [(output.name, output.step) for output in results.rows.plan.outputs]))


# --- bodies -----------------------------------------------------------------------------------------------------------
def step_body(results: Results, step: int) -> bytes:
    """The body of the job of a step: that of its call with what it takes."""
    facts = results.rows.step(step)[0]
    call = facts.plan.call
    assert call is not None, "a group has no job of its own"
    return MemberBodies(results, step).body(call.jobs[0].body, each=call.each)


class MemberBodies:
    """The bodies of the members of a group: those of their calls with what the group takes.

    The values are put together once, when the first body is asked for.
    """

    def __init__(self, results: Results, step: int) -> None:
        plan = results.rows.step(step)[0].plan
        self._before: list[bytes] = []
        self._after: list[bytes] = []
        self._named: list[tuple[str, bytes]] = []
        if plan.takes_error and plan.block is not None:
            error = results.rows.step(plan.block.owner)[1].error
            self._before.append(NIL if error is None else error_value(error))
        for take in plan.takes:
            taken = value(results, take.step, streams=take.streams)
            if take.name is None:
                self._after.append(taken)
            else:
                self._named.append((take.name, taken))

    @property
    def changes(self) -> bool:
        """Whether the bodies are others than those of the calls."""
        return bool(self._before or self._after or self._named)

    def body(self, body: bytes, *, each: bool = False) -> bytes:
        """The body of one."""
        return spliced(body, before=self._before, after=self._after, named=self._named, each=each)


def callback_body(results: Results, call: Call) -> bytes:
    """The body of the job of a callback."""
    body, each = call.callback.call.jobs[0].body, call.callback.call.each
    if not call.callback.takes:
        return body
    if call.error is not None:
        return spliced(body, before=[error_value(call.error)], each=each)
    if call.step is None:
        taken = workflow_value(results)
    else:
        taken = block_value(results, call.step) if call.is_block else value(results, call.step)
    return spliced(body, after=[taken], each=each)


def compensation_body(results: Results, step: int) -> bytes:
    """The body of the job that undoes a step: that of its compensation, with the value of the step."""
    callback = results.rows.step(step)[0].plan.compensation
    assert callback is not None, "it has one"
    body, each = callback.call.jobs[0].body, callback.call.each
    return spliced(body, after=[value(results, step)], each=each) if callback.takes else body
