"""What a group has to say once it is durable."""

from __future__ import annotations

from penstock.model import errors
from penstock.store.wire import protocol
from penstock.store.wire.owner.client_connection import Connection, Request
from penstock.store.wire.owner.parking import Parked


class Tray:
    """Answers, and what changes hands with them.

    Attributes:
        began: the transaction is open.
        intake: small enqueues, done together at the end; None: each is done by itself.
    """

    __slots__ = ("answers", "began", "intake", "leased", "parks", "served")

    def __init__(self) -> None:
        self.answers: list[tuple[Connection, bytes]] = []
        self.leased: list[tuple[Connection, int, int, int]] = []
        self.began = False
        self.intake: list[tuple[Request, protocol.Enqueue]] | None = None
        self.parks: list[Parked] = []
        self.served: list[Parked] = []

    def answer(self, connection: Connection, number: int, payload: bytes, *, wrote: bool = False) -> None:
        """An answer. One that does not fit a frame is an error of who asked, and of nobody else.

        Args:
            wrote: something was changed, and must not be committed when that cannot be answered.

        Raises:
            StoreUnavailable: it was, and cannot.
        """
        try:
            frame = protocol.frame(protocol.ANSWER, number, payload)
        except errors.BodyTooLarge as error:
            if wrote:
                raise errors.StoreUnavailable(f"The answer is too large to be sent. {error}") from error
            frame = protocol.frame(protocol.FAILURE, number, protocol.failure(error))
        self.answers.append((connection, frame))

    def fail(self, request: Request, error: errors.PenstockError) -> None:
        """An error instead."""
        frame = protocol.frame(protocol.FAILURE, request.number, protocol.failure(error))
        self.answers.append((request.connection, frame))
