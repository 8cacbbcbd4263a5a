"""Enqueues that an owner may answer before there are rows: what it hands to the engine, which keeps a log of them."""

from __future__ import annotations

from msgspec import Struct

from penstock.model.job import JobGroup


class DeferredEnqueue(Struct, array_like=True, frozen=True):
    """An enqueue that may be answered before there are rows.

    Attributes:
        client: who asks (16 bytes).
        number: of its request.
        answer: to be kept for a repeat of it; what it is given if this is done.
    """

    client: bytes
    number: int
    answer: bytes
    groups: list[JobGroup]
