"""Chords as a part of the load: one producer starts them."""

from __future__ import annotations

import sys
import threading
from typing import Any, Final
from uuid import UUID

from penstock.model.errors import Conflict, PenstockError
from penstock.tasks.canvas.chains import chain
from penstock.tasks.canvas.composition import Canvas, Signature
from penstock.tasks.canvas.groups import group
from penstock.testing.torture import tasks
from penstock.testing.torture.chord_shapes import Chord, Part, chord_of
from penstock.testing.torture.load import Load
from penstock.testing.torture.records import Attempted, ChordAcked
from penstock.testing.torture.stopping import Stopping

_PAUSE_S: Final = 0.25
_AGAIN_S: Final = 0.1
_REPEATS_MAX: Final = 600
_KEYED_SHARE: Final = 0.5
_KEYS_AT_ONCE: Final = 8


def start_chords(load: Load, stopping: Stopping) -> None:
    """Start one after the other until told to stop. Those with a key are started again until that is answered, and
    later lives of this producer ask for the same again."""
    draw, count = load.random, 0
    while not stopping.is_set():
        count += 1
        is_keyed = draw.random() < _KEYED_SHARE
        token = f"{load.name}-chord-{count}"
        if is_keyed:
            token = f"chord-key-{count // _KEYS_AT_ONCE}-{draw.randrange(_KEYS_AT_ONCE)}"
        chord = chord_of(token)
        load.write(*[Attempted(part.token, part.task) for part in chord.parts()])
        _start(load, chord, is_keyed=is_keyed)
        stopping.wait(_PAUSE_S * 2 * draw.random())


def _start(load: Load, chord: Chord, *, is_keyed: bool) -> None:
    canvas = canvas_of(load, chord)
    if is_keyed:
        canvas = canvas.options(idempotency_key=chord.token)
    for _ in range(_REPEATS_MAX if is_keyed else 1):
        try:
            workflow = canvas.enqueue()
        except Conflict:
            # Whoever asks for this key asks for the same.
            raise
        except PenstockError as error:
            sys.stderr.write(f"{load.name}: {type(error).__name__}: {error}\n")
            threading.Event().wait(_AGAIN_S)
        else:
            load.write(ChordAcked(chord.token, UUID(workflow.id).hex))
            return


def canvas_of(load: Load, chord: Chord) -> Canvas[Any]:
    """A chord as it is enqueued."""
    members = [tasks.app.get(part.task).si(**load.arguments_of(*part)) for part in chord.members]
    parts = [] if chord.head is None else [_call(load, chord.head)]
    of_members = group(members, allow_failures=chord.failures_max, on_failure="finish")
    return chain(*parts, of_members, _call(load, chord.callback)).on_error(_call(load, chord.on_error))


def _call(load: Load, part: Part) -> Signature[Any]:
    signature: Signature[Any] = tasks.app.get(part.task).s(**load.arguments_of(*part))
    return signature
