"""One group under way: requests that are done together, and what is said to their clients once that is durable."""

from __future__ import annotations

from typing import Any

from penstock.model import errors
from penstock.store.wire import protocol
from penstock.store.wire.owner.client_connection import Connection, Request
from penstock.store.wire.owner.parking import Parked

Answers = list[tuple[Connection, bytes]]
"""Frames to send, each with the connection that it goes to."""


class Group:
    """What one transaction collects. Nothing of it counts before the commit.

    Attributes:
        answers: what to send.
        began: the transaction is open.
        small_enqueues: requests with what they ask for, to be done together at the end; None: each is done by itself.
        leased: (connection, number of the request, first fence, how many) of the leases that are given out.
        parked: requests that had to be parked.
        served: requests that were parked before and are answered now.
    """

    __slots__ = ("answers", "began", "leased", "parked", "served", "small_enqueues")

    def __init__(self) -> None:
        self.answers: Answers = []
        self.began = False
        self.small_enqueues: list[tuple[Request, Any]] | None = None
        self.leased: list[tuple[Connection, int, int, int]] = []
        self.parked: list[Parked] = []
        self.served: list[Parked] = []

    def answer(self, connection: Connection, number: int, payload: bytes, *, wrote: bool = False) -> None:
        """Answer a request. An answer that does not fit a frame becomes an error of its client, and of nobody else.

        Args:
            connection: whose request it is.
            number: of the request.
            payload: the answer.
            wrote: the request has changed something, which must not be committed when it cannot be answered.

        Raises:
            StoreUnavailable: it has, and cannot.
        """
        try:
            frame = protocol.frame(protocol.ANSWER, number, payload)
        except errors.BodyTooLarge as error:
            if wrote:
                raise errors.StoreUnavailable(f"The answer is too large to be sent. {error}") from error
            frame = protocol.frame(protocol.FAILURE, number, protocol.failure(error))
        self.answers.append((connection, frame))

    def fail(self, connection: Connection, number: int, error: errors.PenstockError) -> None:
        """Answer a request with an error."""
        self.answers.append((connection, protocol.frame(protocol.FAILURE, number, protocol.failure(error))))


class GroupCounters:
    """What `OwnerStatistics` tells of all groups together."""

    def __init__(self) -> None:
        self.groups = 0
        self.requests = 0
        self.deferred = 0
        self.repeated = 0
        self.returned = 0
        self.commits = 0
        self.retried_groups = 0
        self.group_requests_max = 0
        self.commit_s_max = 0.0
        self.ticks = 0
