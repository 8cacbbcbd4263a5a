"""The TCP protocol V1 of nsqlookupd with one client, as a state machine from bytes to bytes. Pure.

A client says ``"  V1"`` and then commands, a line each: IDENTIFY (with a JSON body), REGISTER, UNREGISTER, PING. Every
answer is a length and the text. Every error ends the connection, with one exception of our own: a REGISTER for which
there is no room is refused and the connection stays, since a producer that was cut off would come back with as many.
"""

from __future__ import annotations

import struct
from typing import Final

from penstock.model import limits
from penstock.nsq.lookup.identify_body import MalformedIdentify, read_identify
from penstock.nsq.lookup.registry import Peer, Registry, RegistryFull
from penstock.nsq.protocol.names import name_of

__all__ = ["MAGIC", "Conversation"]

MAGIC: Final = b"  V1"
_OK: Final = b"OK"
_SIZE: Final = struct.Struct(">i")
_SHOWN_BYTES: Final = 256
"""What was sent is quoted in errors, no more of it than this."""


class _Refused(Exception):
    """What the client is told instead of an answer.

    Attributes:
        text: as it is sent.
        ends: whether the connection ends with it.
    """

    def __init__(self, text: bytes, *, ends: bool = True) -> None:
        super().__init__(text)
        self.text = text
        self.ends = ends


class Conversation:
    """What one client says, and what it is answered.

    Args:
        registry: what the client registers with.
        remote_address: of the client, with its port.
        identity: what IDENTIFY is answered with.

    Attributes:
        peer: who the client is; None: it has not said so yet.
        ended: nothing more is read, and the connection is to be closed when all is sent.
    """

    def __init__(self, registry: Registry, remote_address: str, identity: bytes) -> None:
        self.peer: Peer | None = None
        self.ended = False
        self._registry = registry
        self._remote_address = remote_address
        self._identity = identity
        self._unread = bytearray()
        self._greeted = False
        self._identifying = False
        """IDENTIFY was said, and its body has not arrived."""

    def take(self, data: bytes, now_ns: int) -> bytes:
        """Read what has arrived. Answers what is to be sent."""
        self._unread += data
        answers: list[bytes] = []
        while not self.ended:
            try:
                answer = self._next(now_ns)
            except _Refused as refused:
                answer = refused.text
                self.ended = refused.ends
            if answer is None:
                break
            answers.append(_SIZE.pack(len(answer)) + answer)
        return b"".join(answers)

    def stop_reading(self) -> bytes:
        """The client sends no more. Answers what is still to be sent."""
        if self.ended or not self._identifying:
            self.ended = True
            return b""
        self.ended = True
        read = "body" if len(self._unread) >= _SIZE.size else "body size"
        answer = f"E_BAD_BODY IDENTIFY failed to read {read}".encode()
        return _SIZE.pack(len(answer)) + answer

    def leave(self) -> None:
        """The connection is over: the client has nothing registered any more."""
        self.ended = True
        if self.peer is not None:
            self._registry.leave(self.peer)

    # --- reading ------------------------------------------------------------------------------------------------------
    def _next(self, now_ns: int) -> bytes | None:
        """Read one thing that is whole. Answers what to say to it; None: nothing is whole."""
        if not self._greeted and not self._greet():
            return None
        if self._identifying:
            body = self._take_body()
            return None if body is None else self._identify(body, now_ns)
        line = self._take_line()
        if line is None:
            return None
        verb, *names = line.strip().split(b" ")
        if verb == b"IDENTIFY":
            if self.peer is not None:
                raise _Refused(b"E_INVALID cannot IDENTIFY again")
            self._identifying = True
            return self._next(now_ns)
        return self._execute(verb, names, now_ns)

    def _greet(self) -> bool:
        if len(self._unread) < len(MAGIC):
            return False
        if not self._unread.startswith(MAGIC):
            raise _Refused(b"E_BAD_PROTOCOL")
        del self._unread[: len(MAGIC)]
        self._greeted = True
        return True

    def _take_line(self) -> bytes | None:
        end = self._unread.find(b"\n", 0, limits.NSQLOOKUPD_LINE_BYTES_MAX)
        if end < 0:
            if len(self._unread) >= limits.NSQLOOKUPD_LINE_BYTES_MAX:
                raise _Refused(b"E_INVALID command is too long")
            return None
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return line

    def _take_body(self) -> bytes | None:
        if len(self._unread) < _SIZE.size:
            return None
        (size,) = _SIZE.unpack_from(self._unread)
        if not 0 <= size <= limits.NSQLOOKUPD_IDENTIFY_BYTES_MAX:
            raise _Refused(b"E_BAD_BODY IDENTIFY failed to read body")
        end = _SIZE.size + size
        if len(self._unread) < end:
            return None
        body = bytes(self._unread[_SIZE.size : end])
        del self._unread[:end]
        self._identifying = False
        return body

    # --- commands -----------------------------------------------------------------------------------------------------
    def _execute(self, verb: bytes, names: list[bytes], now_ns: int) -> bytes:
        if verb == b"PING":
            if self.peer is not None:
                self._registry.heard(self.peer, now_ns)
            return _OK
        if verb not in (b"REGISTER", b"UNREGISTER"):
            raise _Refused(b"E_INVALID invalid command " + verb[:_SHOWN_BYTES])
        if self.peer is None:
            raise _Refused(b"E_INVALID client must IDENTIFY")
        topic, channel = _topic_and_channel(verb, names)
        if verb == b"UNREGISTER":
            self._registry.unregister(self.peer, topic, channel)
            return _OK
        try:
            self._registry.register(self.peer, topic, channel)
        except RegistryFull as full:
            raise _Refused(f"E_INVALID REGISTER {full}".encode(), ends=False) from full
        return _OK

    def _identify(self, body: bytes, now_ns: int) -> bytes:
        try:
            self.peer = read_identify(body, self._remote_address)
        except MalformedIdentify as malformed:
            raise _Refused(f"E_BAD_BODY IDENTIFY {malformed}".encode()) from malformed
        self._registry.join(self.peer, now_ns)
        return self._identity


def _topic_and_channel(verb: bytes, names: list[bytes]) -> tuple[str, str]:
    """The names in a command; an empty channel: none."""
    if not names:
        raise _Refused(b"E_INVALID %b insufficient number of params" % verb)
    raw_topic, raw_channel = names[0], names[1] if len(names) > 1 else b""
    topic, channel = name_of(raw_topic), name_of(raw_channel)
    if topic is None:
        raise _Refused(b"E_BAD_TOPIC %b topic name '%b' is not valid" % (verb, raw_topic[:_SHOWN_BYTES]))
    if raw_channel and channel is None:
        raise _Refused(b"E_BAD_CHANNEL %b channel name '%b' is not valid" % (verb, raw_channel[:_SHOWN_BYTES]))
    return topic, channel or ""
