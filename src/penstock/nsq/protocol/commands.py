"""Commands of NSQ clients, cut out of what arrives. Pure.

A command is a line of words, for some with a size and so many bytes behind it. `CommandReader` reads ahead of nothing:
a command is given out as soon as its last byte is there, and what is wrong is told as soon as it can be seen. What a
connection holds is bounded by the largest command.

What is checked here is what no state of the connection changes. nsqd looks at the state first: that is for ``check``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, ClassVar, Final

from penstock.model import limits
from penstock.nsq.protocol import errors
from penstock.nsq.protocol.errors import ProtocolError
from penstock.nsq.protocol.many_messages import cut_messages, message_count_of
from penstock.nsq.protocol.names import as_text, name_of, quoted
from penstock.nsq.protocol.numbers import duration_ms, int64, uint64

MAGIC: Final = b"  V2"
"""What a connection begins with."""

IDENTIFY: Final = "IDENTIFY"
AUTH: Final = "AUTH"
SUB: Final = "SUB"
RDY: Final = "RDY"
FIN: Final = "FIN"
REQ: Final = "REQ"
TOUCH: Final = "TOUCH"
CLS: Final = "CLS"
NOP: Final = "NOP"
PUB: Final = "PUB"
MPUB: Final = "MPUB"
DPUB: Final = "DPUB"

Command = tuple[Any, ...]
"""A verb, and behind it:

* IDENTIFY, AUTH: the body
* SUB: topic and channel
* RDY: the count, which may be out of range
* FIN: a list of ids: all of those that follow each other and have arrived
* REQ: the id and the delay in milliseconds, which may be out of range
* TOUCH: the id
* CLS, NOP: nothing
* PUB: topic and body
* MPUB: topic and a list of bodies
* DPUB: topic, delay in milliseconds, body

Topics and channels are valid names, as str; ids have 16 bytes, which may be any; bodies are bytes.
"""

ID_BYTES: Final = 16

_BEGIN, _LINES, _MESSAGES = range(3)
"""What a reader is at: the magic bytes, lines of commands, or the messages of an MPUB."""
_size: Final = struct.Struct(">i").unpack_from
_FINS: Final = re.compile(rb"(?:FIN [0-9a-f]{16}\n)+")
"""Lines of FIN, one behind the other. Not possessive (``++``): with that Python 3.11.2 also takes the begin of a line
that does not match."""


def _topic_of(verb: str, words: list[bytes], needed: int) -> str:
    if len(words) < needed:
        raise ProtocolError(errors.E_INVALID, f"{verb} insufficient number of parameters", verb)
    topic = name_of(words[1])
    if topic is None:
        again = f"{errors.E_BAD_TOPIC} " if verb is MPUB else ""  # nsqd says it twice there
        raise ProtocolError(errors.E_BAD_TOPIC, f"{again}{verb} topic name {quoted(words[1])} is not valid", verb)
    return topic


def _id_of(verb: str, words: list[bytes], needed: int) -> bytes:
    if len(words) < needed:
        raise ProtocolError(errors.E_INVALID, f"{verb} insufficient number of params", verb)
    if len(words[1]) != ID_BYTES:
        raise ProtocolError(errors.E_INVALID, "invalid message ID", verb)
    return words[1]


class CommandReader:
    """What arrives on a connection, command by command.

    Args:
        msg_size_bytes_max: of a message. Beyond: E_BAD_MESSAGE.
        body_size_bytes_max: of the body of MPUB, IDENTIFY and AUTH. Beyond: E_BAD_BODY.
        req_timeout_ms_max: how long a DPUB may be delayed. Beyond: E_INVALID.
        check: called with the verb of a line that is whole, before its parameters are looked at and before what comes
            behind it has arrived; it may raise a ProtocolError. Not of each FIN and PUB among many.
    """

    __slots__ = (
        "_at",
        "_bodies",
        "_body_size_bytes_max",
        "_bytes_left",
        "_check",
        "_count",
        "_data",
        "_gathered",
        "_msg_size_bytes_max",
        "_pub_lines",
        "_pub_topic",
        "_req_timeout_ms_max",
        "_stage",
        "_topic",
        "_wanted",
    )

    def __init__(
        self,
        msg_size_bytes_max: int,
        body_size_bytes_max: int,
        req_timeout_ms_max: int,
        check: Callable[[str], None] | None = None,
    ) -> None:
        self._check = check
        self._msg_size_bytes_max = msg_size_bytes_max
        self._body_size_bytes_max = body_size_bytes_max
        self._req_timeout_ms_max = req_timeout_ms_max
        self._data = b""
        self._at = 0
        self._gathered = bytearray()  # arrived after `_data`, while that was not enough
        self._wanted = len(MAGIC)  # as many bytes are needed before it is worth to look
        self._stage = _BEGIN
        # The line of the last PUB: clients mostly publish to one topic.
        self._pub_lines: tuple[bytes, ...] = ()
        self._pub_topic = ""
        # Of an MPUB of which not all has arrived.
        self._topic = ""
        self._count = 0
        self._bodies: list[bytes] = []
        self._bytes_left = 0

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        rest = len(self._data) - self._at
        if not rest:
            self._data = data
        elif rest + len(self._gathered) + len(data) < self._wanted:
            self._gathered += data
            return
        else:
            self._data = b"".join((self._data[self._at :] if self._at else self._data, self._gathered, data))
            self._gathered = bytearray()
        self._at = 0

    def next(self) -> Command | None:
        """The next command; None: it has not arrived in whole.

        Raises:
            ProtocolError: what arrived is no command. Nothing more can be read from this connection.
        """
        at, data = self._at, self._data
        arrived = len(data) - at
        if arrived < self._wanted:
            self._wait(self._wanted)
            return None
        self._wanted = 1
        if self._stage != _LINES:
            return self._begin() if self._stage == _BEGIN else self._next_of_many(at)
        if data.startswith(self._pub_lines, at):
            start = at + len(self._pub_lines[0]) + 4
            end = start + _size(data, start - 4)[0] if start <= len(data) else start
            if 0 < end - start <= self._msg_size_bytes_max and end <= len(data):
                self._at = end
                return (PUB, self._pub_topic, data[start:end])
        elif data.startswith(b"FIN ", at):
            fins = _FINS.match(data, at)
            if fins is not None:
                self._at = end = fins.end()
                return (FIN, data[at + 4 : end - 1].split(b"\nFIN "))
        return self._next_line(at, data, arrived)

    def _next_line(self, at: int, data: bytes, arrived: int) -> Command | None:
        """The command whose line begins at ``at``."""
        end = data.find(b"\n", at, at + limits.NSQ_LINE_BYTES_MAX)
        if end < 0:
            if arrived >= limits.NSQ_LINE_BYTES_MAX:
                raise ProtocolError(errors.E_INVALID, "line of a command too long")
            self._wait(arrived + 1)
            return None
        words = data[at : end - 1 if data[end - 1 : end] == b"\r" and end > at else end].split(b" ")
        if self._check is not None:
            self._check(as_text(words[0]))
        take = self._TAKE.get(words[0])
        if take is None:
            raise ProtocolError(errors.E_INVALID, f"invalid command {as_text(words[0])}")
        return take(self, words, end + 1)

    def take_rest(self) -> bytes:
        """What has arrived and is no part of a command that was given out; it is no longer in here."""
        rest = self._data[self._at :] + self._gathered
        self._data, self._at = b"", 0
        self._gathered = bytearray()
        self._wanted = 1
        return rest

    # --- waiting ----------------------------------------------------------------------------------------------------
    def _wait(self, wanted: int) -> None:
        """So many bytes are needed from `_at` on."""
        self._wanted = wanted
        if self._at:
            self._data = self._data[self._at :]
            self._at = 0

    def _begin(self) -> Command | None:
        if not self._data.startswith(MAGIC):
            raise ProtocolError(errors.E_BAD_PROTOCOL, "")
        self._at = len(MAGIC)
        self._stage = _LINES
        return self.next()

    # --- bodies -----------------------------------------------------------------------------------------------------
    def _sized_body(self, verb: str, at: int) -> bytes | None:
        """The body of a command that is no message; None: it has not arrived in whole."""
        if len(self._data) < at + 4:
            self._wait(at + 4 - self._at)
            return None
        size = _size(self._data, at)[0]
        if size > self._body_size_bytes_max:
            text = f"{verb} body too big {size} > {self._body_size_bytes_max}"
            raise ProtocolError(errors.E_BAD_BODY, text, verb)
        if size <= 0:
            raise ProtocolError(errors.E_BAD_BODY, f"{verb} invalid body size {size}", verb)
        return self._body(at + 4, size)

    def _message(self, verb: str, at: int) -> bytes | None:
        """The message of a PUB or DPUB; None: it has not arrived in whole."""
        data = self._data
        if len(data) < at + 4:
            self._wait(at + 4 - self._at)
            return None
        size = _size(data, at)[0]
        if not 0 < size <= self._msg_size_bytes_max:
            if size <= 0:
                raise ProtocolError(errors.E_BAD_MESSAGE, f"{verb} invalid message body size {size}", verb)
            text = f"{verb} message too big {size} > {self._msg_size_bytes_max}"
            raise ProtocolError(errors.E_BAD_MESSAGE, text, verb)
        return self._body(at + 4, size)

    def _body(self, start: int, size: int) -> bytes | None:
        end = start + size
        if len(self._data) < end:
            self._wait(end - self._at)
            return None
        self._at = end
        return self._data[start:end]

    def _next_of_many(self, at: int) -> Command | None:
        """Go on with the messages of an MPUB. They tell where they end: nsqd takes the body's size for no more than a
        bound, so clients may count it wrongly."""
        data = self._data
        begin, count, bodies = at, self._count, self._bodies
        at = cut_messages(data, at, count, self._msg_size_bytes_max, self._bytes_left, bodies)
        self._at = at
        if len(bodies) < count:
            self._bytes_left -= at - begin
            self._wait(4 + _size(data, at)[0] if len(data) >= at + 4 else 4)
            return None
        self._stage, self._bodies = _LINES, []
        return (MPUB, self._topic, bodies)

    # --- one command each: its words, and where its line ends -------------------------------------------------------
    def _take_pub(self, words: list[bytes], at: int) -> Command | None:
        topic = _topic_of(PUB, words, 2)
        self._pub_lines, self._pub_topic = (self._data[self._at : at],), topic
        body = self._message(PUB, at)
        return None if body is None else (PUB, topic, body)

    def _take_mpub(self, words: list[bytes], at: int) -> Command | None:
        topic = _topic_of(MPUB, words, 2)
        size_max = self._body_size_bytes_max
        arrived = len(self._data) - at
        if arrived >= 4:
            size = _size(self._data, at)[0]
            if size <= 0:
                raise ProtocolError(errors.E_BAD_BODY, f"MPUB invalid body size {size}", MPUB)
            if size > size_max:
                raise ProtocolError(errors.E_BAD_BODY, f"MPUB body too big {size} > {size_max}", MPUB)
        if arrived < 8:
            self._wait(at - self._at + (8 if arrived >= 4 else 4))
            return None
        self._count = message_count_of(self._data, at + 4, size_max)
        self._stage, self._topic = _MESSAGES, topic
        self._bytes_left = size_max - 4
        return self._next_of_many(at + 8)

    def _take_dpub(self, words: list[bytes], at: int) -> Command | None:
        topic = _topic_of(DPUB, words, 3)
        number_ms = uint64(words[2])
        if number_ms is None:
            raise ProtocolError(errors.E_INVALID, f"DPUB could not parse timeout {as_text(words[2])}", DPUB)
        delay_ms = duration_ms(number_ms)
        if not 0 <= delay_ms <= self._req_timeout_ms_max:
            text = f"DPUB timeout {number_ms} out of range 0-{self._req_timeout_ms_max}"
            raise ProtocolError(errors.E_INVALID, text, DPUB)
        body = self._message(DPUB, at)
        return None if body is None else (DPUB, topic, delay_ms, body)

    def _take_identify(self, _words: list[bytes], at: int) -> Command | None:
        body = self._sized_body(IDENTIFY, at)
        return None if body is None else (IDENTIFY, body)

    def _take_auth(self, words: list[bytes], at: int) -> Command | None:
        if len(words) != 1:
            raise ProtocolError(errors.E_INVALID, "AUTH invalid number of parameters", AUTH)
        body = self._sized_body(AUTH, at)
        return None if body is None else (AUTH, body)

    def _take_sub(self, words: list[bytes], at: int) -> Command:
        topic = _topic_of(SUB, words, 3)
        channel = name_of(words[2])
        if channel is None:
            raise ProtocolError(errors.E_BAD_CHANNEL, f"SUB channel name {quoted(words[2])} is not valid", SUB)
        self._at = at
        return (SUB, topic, channel)

    def _take_rdy(self, words: list[bytes], at: int) -> Command:
        count = uint64(words[1]) if len(words) > 1 else 1
        if count is None:
            raise ProtocolError(errors.E_INVALID, f"RDY could not parse count {as_text(words[1])}", RDY)
        self._at = at
        return (RDY, int64(count))

    def _take_fin(self, words: list[bytes], at: int) -> Command:
        message_id = _id_of(FIN, words, 2)
        self._at = at
        return (FIN, [message_id])

    def _take_req(self, words: list[bytes], at: int) -> Command:
        message_id = _id_of(REQ, words, 3)
        number_ms = uint64(words[2])
        if number_ms is None:
            raise ProtocolError(errors.E_INVALID, f"REQ could not parse timeout {as_text(words[2])}", REQ)
        self._at = at
        return (REQ, message_id, duration_ms(number_ms))

    def _take_touch(self, words: list[bytes], at: int) -> Command:
        message_id = _id_of(TOUCH, words, 2)
        self._at = at
        return (TOUCH, message_id)

    def _take_cls(self, _words: list[bytes], at: int) -> Command:
        self._at = at
        return (CLS,)

    def _take_nop(self, _words: list[bytes], at: int) -> Command:
        self._at = at
        return (NOP,)

    _TAKE: ClassVar[dict[bytes, Callable[[Any, list[bytes], int], Command | None]]] = {
        b"PUB": _take_pub,
        b"MPUB": _take_mpub,
        b"DPUB": _take_dpub,
        b"IDENTIFY": _take_identify,
        b"AUTH": _take_auth,
        b"SUB": _take_sub,
        b"RDY": _take_rdy,
        b"FIN": _take_fin,
        b"REQ": _take_req,
        b"TOUCH": _take_touch,
        b"CLS": _take_cls,
        b"NOP": _take_nop,
    }
