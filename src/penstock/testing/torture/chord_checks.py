"""What must hold of chords: what follows a group is there once, given what all its members have returned, or somebody
is told that too many have failed. Pure.

What a chord comes to is told by how its members have ended: any job may die of lost executors here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from penstock.model.states import TERMINAL, State
from penstock.testing.torture.chord_shapes import Chord, Part, nonce_of
from penstock.testing.torture.evidence import Evidence
from penstock.testing.torture.rows import JobRow

_OVER: Final = {True: "succeeded", False: "failed"}
"""The state of a chord's workflow."""


def _chord_lost(evidence: Evidence) -> Iterator[str]:
    """A chord was acked and is not there, or a part of what it begins with is."""
    for chord in evidence.chords.values():
        there = sum(part.token in evidence.ids_of for part in chord.first())
        workflow = evidence.acked_chords.get(chord.token)
        is_acked = workflow is not None
        if there not in ({len(chord.first())} if is_acked else {0, len(chord.first())}):
            yield f"{chord.token}: {there} of {len(chord.first())} jobs"
        elif is_acked and workflow not in evidence.store.workflows:
            yield f"{chord.token}: no workflow {workflow}"


def _chord_stuck(evidence: Evidence) -> Iterator[str]:
    """All that a chord waits for has ended, and what follows from that is not there."""
    for chord in _begun(evidence):
        for part in _missing(evidence, chord):
            yield part.token


def _callback_unfounded(evidence: Evidence) -> Iterator[str]:
    """A callback is there before all members have ended, or although too many have failed; or somebody is told of a
    failure that is none."""
    for chord in _begun(evidence):
        comes = _succeeds(evidence, chord)
        if chord.callback.token in evidence.ids_of and comes is not True:
            yield chord.callback.token
        if chord.on_error.token in evidence.ids_of and not _fails(evidence, chord, comes):
            yield chord.on_error.token


def _callback_given_others(evidence: Evidence) -> Iterator[str]:
    """A callback was not given what the members of its chord have returned, each in its place."""
    for chord in _begun(evidence):
        row = evidence.row_of(chord.callback.token)
        if row is None or row.result is None:
            continue
        members = [evidence.row_of(part.token) for part in chord.members]
        returned = [nonce_of(None if member is None else member.result) for member in members]
        if row.values != returned:
            yield f"{row.id}: {' '.join(row.values)}, and not {' '.join(returned)}"


def _chord_ended_otherwise(evidence: Evidence) -> Iterator[str]:
    """The workflow of a chord is in another state than its jobs say."""
    for chord in _begun(evidence):
        state = evidence.store.workflows.get(evidence.acked_chords.get(chord.token, ""))
        comes = _succeeds(evidence, chord)
        callback = evidence.row_of(chord.callback.token)
        if state is None or comes is None or (callback is not None and not _is_over(callback)):
            continue
        expected = _OVER[comes and callback is not None and State.SUCCEEDED in callback.states]
        if state != expected:
            yield f"{chord.token}: {state}, and not {expected}"


CHORD_CHECKS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    _chord_lost,
    _chord_stuck,
    _callback_unfounded,
    _callback_given_others,
    _chord_ended_otherwise,
)


def _begun(evidence: Evidence) -> Iterator[Chord]:
    """Chords that were accepted."""
    return (chord for chord in evidence.chords.values() if chord.first()[0].token in evidence.ids_of)


def _missing(evidence: Evidence, chord: Chord) -> Iterator[Part]:
    """Jobs that should be there."""
    head = None if chord.head is None else evidence.row_of(chord.head.token)
    if head is not None and State.SUCCEEDED in head.states:
        yield from (part for part in chord.members if part.token not in evidence.ids_of)
    comes = _succeeds(evidence, chord)
    if comes and chord.callback.token not in evidence.ids_of:
        yield chord.callback
    if _fails(evidence, chord, comes) and chord.on_error.token not in evidence.ids_of:
        yield chord.on_error


def _succeeds(evidence: Evidence, chord: Chord) -> bool | None:
    """Whether the callback of a chord is to be called. None: that is not known yet."""
    head = None if chord.head is None else evidence.row_of(chord.head.token)
    if chord.head is not None and (head is None or State.SUCCEEDED not in head.states):
        return False if head is not None and _is_over(head) else None
    members = [evidence.row_of(part.token) for part in chord.members]
    ended = [member for member in members if member is not None and _is_over(member)]
    if len(ended) < len(members):
        return None
    return sum(State.SUCCEEDED not in member.states for member in ended) <= chord.failures_max


def _fails(evidence: Evidence, chord: Chord, comes: bool | None) -> bool:  # noqa: FBT001 - what `_succeeds` says
    """Whether somebody is to be told that a chord has failed: before its callback, or there."""
    callback = evidence.row_of(chord.callback.token)
    return comes is False or (callback is not None and _is_over(callback) and State.SUCCEEDED not in callback.states)


def _is_over(row: JobRow) -> bool:
    return any(state in TERMINAL for state in row.states)
