"""What NSQ clients are told when something cannot be done, by its code, and who is disconnected for it. Pure."""

from __future__ import annotations

from typing import Final

from penstock.nsq.protocol.names import as_bytes

E_INVALID: Final = "E_INVALID"
"""No such command, or not in this state, or not with these parameters."""
E_BAD_PROTOCOL: Final = "E_BAD_PROTOCOL"
"""A connection does not begin with the four bytes of a protocol that is spoken here."""
E_BAD_BODY: Final = "E_BAD_BODY"
E_BAD_TOPIC: Final = "E_BAD_TOPIC"
E_BAD_CHANNEL: Final = "E_BAD_CHANNEL"
E_BAD_MESSAGE: Final = "E_BAD_MESSAGE"
E_IDENTIFY_FAILED: Final = "E_IDENTIFY_FAILED"
E_AUTH_FAILED: Final = "E_AUTH_FAILED"
"""The server that is asked who may do what gave no answer."""
E_AUTH_FIRST: Final = "E_AUTH_FIRST"
E_AUTH_DISABLED: Final = "E_AUTH_DISABLED"
E_UNAUTHORIZED: Final = "E_UNAUTHORIZED"
E_SUB_FAILED: Final = "E_SUB_FAILED"
E_PUB_FAILED: Final = "E_PUB_FAILED"
E_MPUB_FAILED: Final = "E_MPUB_FAILED"
E_DPUB_FAILED: Final = "E_DPUB_FAILED"
E_FIN_FAILED: Final = "E_FIN_FAILED"
E_REQ_FAILED: Final = "E_REQ_FAILED"
E_TOUCH_FAILED: Final = "E_TOUCH_FAILED"

NOT_FATAL: Final = frozenset({E_FIN_FAILED, E_REQ_FAILED, E_TOUCH_FAILED})
"""After one of these the connection goes on. After any other it ends, once the error was sent."""


class ProtocolError(Exception):
    """A command cannot be carried out; its client is told so.

    Attributes:
        code: one of those above.
        text: what the client is told behind it; what of it a client sent is as `names.as_text` gives it.
        verb: the command, as in `commands`; None: it was none.
    """

    def __init__(self, code: str, text: str, verb: str | None = None) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.verb = verb

    @property
    def fatal(self) -> bool:
        """Whether the connection ends once the client was told."""
        return self.code not in NOT_FATAL

    @property
    def data(self) -> bytes:
        """What the client is told, as bytes of an error frame."""
        return as_bytes(f"{self.code} {self.text}" if self.text else self.code)

    def __str__(self) -> str:
        """For logs: whatever a client sent, it is printable."""
        told = self.data.decode("utf-8", "backslashreplace")
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in told)


class LayerError(Exception):
    """What arrives cannot be decrypted or decompressed; the connection ends without a word, as nsqd's does."""
