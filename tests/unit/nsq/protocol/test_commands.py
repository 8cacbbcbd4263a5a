"""Commands out of bytes: each verb, each refusal with nsqd's text, and any cut."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from penstock.model import limits
from penstock.nsq.protocol import commands
from penstock.nsq.protocol.commands import CommandReader
from penstock.nsq.protocol.errors import ProtocolError

ID = b"0123456789abcdef"
OTHER = b"fedcba9876543210"


def reader() -> CommandReader:
    """A reader with small limits that has had the magic bytes."""
    found = CommandReader(100, 1000, 3_600_000)
    found.feed(commands.MAGIC)
    assert found.next() is None
    return found


def sized(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def mpub(*messages: bytes, size: int | None = None) -> bytes:
    body = struct.pack(">i", len(messages)) + b"".join(map(sized, messages))
    return struct.pack(">i", len(body) if size is None else size) + body


def read_all(found: CommandReader) -> list[commands.Command]:
    commands_read: list[commands.Command] = []
    while (command := found.next()) is not None:
        commands_read.append(command)
    return commands_read


def read(data: bytes) -> list[commands.Command]:
    found = reader()
    found.feed(data)
    return read_all(found)


def refusal(data: bytes) -> tuple[str, str | None]:
    """What the client is told, and of which command."""
    with pytest.raises(ProtocolError) as caught:
        read(data)
    assert caught.value.fatal
    return caught.value.data.decode("utf-8", "backslashreplace"), caught.value.verb


EXAMPLES: list[tuple[bytes, tuple[Any, ...]]] = [
    (b"IDENTIFY\n" + sized(b"{}"), ("IDENTIFY", b"{}")),
    (b"AUTH\n" + sized(b"secret"), ("AUTH", b"secret")),
    (b"SUB topic channel#ephemeral\n", ("SUB", "topic", "channel#ephemeral")),
    (b"RDY 25\n", ("RDY", 25)),
    (b"RDY\n", ("RDY", 1)),
    (b"RDY \n", ("RDY", 0)),
    (b"RDY 18446744073709551615\n", ("RDY", -1)),
    (b"FIN " + ID + b"\n", ("FIN", [ID])),
    (b"FIN " + b"?" * 16 + b"\n", ("FIN", [b"?" * 16])),
    (b"FIN " + ID + b" more\n", ("FIN", [ID])),
    (b"REQ " + ID + b" 90000\n", ("REQ", ID, 90_000)),
    (b"REQ " + ID + b" 18446744073709551615\n", ("REQ", ID, -1)),
    (b"TOUCH " + ID + b"\n", ("TOUCH", ID)),
    (b"CLS\n", ("CLS",)),
    (b"NOP\n", ("NOP",)),
    (b"NOP and more\r\n", ("NOP",)),
    (b"PUB topic\n" + sized(b"\n\0x"), ("PUB", "topic", b"\n\0x")),
    (b"PUB topic more\r\n" + sized(b"x" * 100), ("PUB", "topic", b"x" * 100)),
    (b"MPUB topic\n" + mpub(b"a", b"bc"), ("MPUB", "topic", [b"a", b"bc"])),
    (b"DPUB topic 3600000\n" + sized(b"x"), ("DPUB", "topic", 3_600_000, b"x")),
    (b"DPUB topic \n" + sized(b"x"), ("DPUB", "topic", 0, b"x")),
]


@pytest.mark.parametrize(("data", "command"), EXAMPLES)
def test_a_command(data, command):
    assert read(data) == [command]


@pytest.mark.parametrize(("data", "command"), EXAMPLES)
def test_a_command_is_there_with_its_last_byte_and_not_before(data, command):
    found = reader()
    for begin in range(len(data) - 1):
        found.feed(data[begin : begin + 1])
        assert found.next() is None
    found.feed(data[-1:])
    assert read_all(found) == [command]


def test_commands_one_after_the_other_whatever_came_before():
    data = b"".join(one + other for one, _ in EXAMPLES for other, _ in EXAMPLES)
    flat = [command for _, one in EXAMPLES for _, other in EXAMPLES for command in (one, other)]
    found = read(data)
    assert [command for command in found if command[0] != "FIN"] == [one for one in flat if one[0] != "FIN"]
    assert sum(len(command[1]) for command in found if command[0] == "FIN") == sum(one[0] == "FIN" for one in flat)


def test_finished_messages_that_follow_each_other_are_one_command():
    data = b"FIN %s\nFIN %s\nRDY 3\nFIN %s\n" % (ID, OTHER, ID)
    assert read(data) == [("FIN", [ID, OTHER]), ("RDY", 3), ("FIN", [ID])]


def test_publishing_to_one_topic_and_then_to_another():
    data = b"".join(b"PUB %s\n" % topic + sized(topic) for topic in (b"a", b"a", b"b", b"a", b"a"))
    assert [command[1:] for command in read(data)] == [(topic, topic.encode()) for topic in "aabaa"]


def test_what_is_wrong_with_a_second_message_for_a_topic_is_seen():
    found = reader()
    found.feed(b"PUB a\n" + sized(b"x") + b"PUB a\n\0\0\0\0")
    assert found.next() == ("PUB", "a", b"x")
    with pytest.raises(ProtocolError, match="invalid message body size 0"):
        found.next()


# --- where a connection begins and a layer changes ------------------------------------------------------------------
def test_the_magic_bytes_may_come_one_by_one_and_with_the_first_command():
    found = CommandReader(100, 1000, 0)
    for byte in (b" ", b" ", b"V"):
        found.feed(byte)
        assert found.next() is None
    found.feed(b"2NOP\n")
    assert read_all(found) == [("NOP",)]


@pytest.mark.parametrize("data", [b"  V1", b"GET / HTTP/1.1", b"FIN " + ID + b"\n", b"\n\n\n\n", b"V2  "])
def test_another_protocol_is_refused(data):
    found = CommandReader(100, 1000, 0)
    found.feed(data)
    with pytest.raises(ProtocolError) as caught:
        found.next()
    assert caught.value.data == b"E_BAD_PROTOCOL"


def test_what_came_behind_a_command_is_given_back_for_the_layer_that_begins_there():
    found = reader()
    found.feed(b"IDENTIFY\n" + sized(b"{}") + b"\x16\x03")
    assert found.next() == ("IDENTIFY", b"{}")
    assert found.take_rest() == b"\x16\x03"
    assert found.take_rest() == b""
    found.feed(b"NOP\n")
    assert read_all(found) == [("NOP",)]


def test_whether_a_command_may_come_is_looked_at_before_its_parameters_and_its_body():
    seen: list[str] = []

    def check(verb: str) -> None:
        seen.append(verb)
        raise ProtocolError("E_INVALID", f"cannot {verb} in current state", verb)

    for line in (b"FIN\n", b"PUB b@d\n", b"IDENTIFY\n", b"\xff\n"):
        found = CommandReader(100, 1000, 0, check)
        found.feed(commands.MAGIC + line)
        with pytest.raises(ProtocolError, match="current state"):
            found.next()
    assert seen == ["FIN", "PUB", "IDENTIFY", "\udcff"]


# --- many messages --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1, 12, 900])
def test_the_messages_of_an_mpub_tell_where_it_ends(size):
    data = b"MPUB topic\n" + mpub(b"a", b"bc", size=size) + b"NOP\n"
    assert read(data) == [("MPUB", "topic", [b"a", b"bc"]), ("NOP",)]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 64])
def test_an_mpub_in_parts(step):
    bodies = [b"x" * (1 + number % 7) for number in range(60)]
    data = b"MPUB topic\n" + mpub(*bodies) + b"NOP\n"
    found = reader()
    commands_read = []
    for begin in range(0, len(data), step):
        found.feed(data[begin : begin + step])
        commands_read += read_all(found)
    assert commands_read == [("MPUB", "topic", bodies), ("NOP",)]


def test_messages_that_are_together_more_than_a_body_may_be():
    bodies = [b"x" * 100] * 9
    assert len(read(b"MPUB topic\n" + mpub(*bodies, b"x" * 56))[0][2]) == 10
    told = "E_BAD_BODY MPUB body too big: its messages are more than its size"
    assert refusal(b"MPUB topic\n" + mpub(*bodies, b"x" * 61, size=900)) == (told, "MPUB")


# --- refused --------------------------------------------------------------------------------------------------------
REFUSED = [
    (b"\n", "E_INVALID invalid command ", None),
    (b"\r\n", "E_INVALID invalid command ", None),
    (b"fin\n", "E_INVALID invalid command fin", None),
    (b" NOP\n", "E_INVALID invalid command ", None),
    (b"\xff\n", r"E_INVALID invalid command \xff", None),
    (b"IDENTIFY\n" + struct.pack(">i", 1001), "E_BAD_BODY IDENTIFY body too big 1001 > 1000", "IDENTIFY"),
    (b"IDENTIFY\n" + struct.pack(">i", 0), "E_BAD_BODY IDENTIFY invalid body size 0", "IDENTIFY"),
    (b"IDENTIFY\n" + struct.pack(">i", -5), "E_BAD_BODY IDENTIFY invalid body size -5", "IDENTIFY"),
    (b"AUTH secret\n", "E_INVALID AUTH invalid number of parameters", "AUTH"),
    (b"AUTH\n" + struct.pack(">i", 1001), "E_BAD_BODY AUTH body too big 1001 > 1000", "AUTH"),
    (b"AUTH\n" + struct.pack(">i", 0), "E_BAD_BODY AUTH invalid body size 0", "AUTH"),
    (b"SUB topic\n", "E_INVALID SUB insufficient number of parameters", "SUB"),
    (b"SUB a:b channel\n", 'E_BAD_TOPIC SUB topic name "a:b" is not valid', "SUB"),
    (b"SUB topic a\tb\n", r'E_BAD_CHANNEL SUB channel name "a\tb" is not valid', "SUB"),
    (b"RDY -1\n", "E_INVALID RDY could not parse count -1", "RDY"),
    (b"FIN\n", "E_INVALID FIN insufficient number of params", "FIN"),
    (b"FIN short\n", "E_INVALID invalid message ID", "FIN"),
    (b"FIN " + ID + b"0\n", "E_INVALID invalid message ID", "FIN"),
    (b"REQ " + ID + b"\n", "E_INVALID REQ insufficient number of params", "REQ"),
    (b"REQ short 0\n", "E_INVALID invalid message ID", "REQ"),
    (b"REQ " + ID + b" soon\n", "E_INVALID REQ could not parse timeout soon", "REQ"),
    (b"TOUCH\n", "E_INVALID TOUCH insufficient number of params", "TOUCH"),
    (b"TOUCH \n", "E_INVALID invalid message ID", "TOUCH"),
    (b"PUB\n", "E_INVALID PUB insufficient number of parameters", "PUB"),
    (b"PUB \n", 'E_BAD_TOPIC PUB topic name "" is not valid', "PUB"),
    (b"PUB topic\n" + struct.pack(">i", 0), "E_BAD_MESSAGE PUB invalid message body size 0", "PUB"),
    (b"PUB topic\n" + struct.pack(">i", -1), "E_BAD_MESSAGE PUB invalid message body size -1", "PUB"),
    (b"PUB topic\n" + struct.pack(">i", 101), "E_BAD_MESSAGE PUB message too big 101 > 100", "PUB"),
    (b"MPUB\n", "E_INVALID MPUB insufficient number of parameters", "MPUB"),
    (b"MPUB b@d\n", 'E_BAD_TOPIC E_BAD_TOPIC MPUB topic name "b@d" is not valid', "MPUB"),
    (b"MPUB topic\n" + struct.pack(">i", 0), "E_BAD_BODY MPUB invalid body size 0", "MPUB"),
    (b"MPUB topic\n" + struct.pack(">i", 1001), "E_BAD_BODY MPUB body too big 1001 > 1000", "MPUB"),
    (b"MPUB topic\n" + struct.pack(">ii", 9, 0), "E_BAD_BODY MPUB invalid message count 0", "MPUB"),
    (b"MPUB topic\n" + struct.pack(">ii", 9, 200), "E_BAD_BODY MPUB invalid message count 200", "MPUB"),
    (b"MPUB topic\n" + mpub(b"a", b""), "E_BAD_MESSAGE MPUB invalid message(1) body size 0", "MPUB"),
    (b"MPUB topic\n" + struct.pack(">iii", 109, 1, 101), "E_BAD_MESSAGE MPUB message too big 101 > 100", "MPUB"),
    (b"DPUB topic\n", "E_INVALID DPUB insufficient number of parameters", "DPUB"),
    (b"DPUB # 0\n", 'E_BAD_TOPIC DPUB topic name "#" is not valid', "DPUB"),
    (b"DPUB topic -1\n", "E_INVALID DPUB could not parse timeout -1", "DPUB"),
    (b"DPUB topic 3600001\n", "E_INVALID DPUB timeout 3600001 out of range 0-3600000", "DPUB"),
    (
        b"DPUB topic 18446744073709551615\n",
        "E_INVALID DPUB timeout 18446744073709551615 out of range 0-3600000",
        "DPUB",
    ),
    (b"DPUB topic 0\n" + struct.pack(">i", 0), "E_BAD_MESSAGE DPUB invalid message body size 0", "DPUB"),
    (b"DPUB topic 0\n" + struct.pack(">i", 101), "E_BAD_MESSAGE DPUB message too big 101 > 100", "DPUB"),
]


@pytest.mark.parametrize(("data", "told", "verb"), REFUSED)
def test_what_is_refused_and_how(data, told, verb):
    assert refusal(data) == (told, verb)


@pytest.mark.parametrize(("data", "told", "verb"), REFUSED)
def test_a_refusal_comes_with_the_byte_that_shows_it(data, told, verb):
    found = reader()
    for begin in range(len(data) - 1):
        found.feed(data[begin : begin + 1])
        assert found.next() is None
    found.feed(data[-1:])
    with pytest.raises(ProtocolError) as caught:
        found.next()
    assert (caught.value.data.decode("utf-8", "backslashreplace"), caught.value.verb) == (told, verb)


def test_a_line_that_does_not_end():
    found = reader()
    found.feed(b"x" * (limits.NSQ_LINE_BYTES_MAX - 1))
    assert found.next() is None
    found.feed(b"x")
    with pytest.raises(ProtocolError) as caught:
        found.next()
    assert caught.value.data == b"E_INVALID line of a command too long"


def test_the_longest_line():
    assert read(b"NOP " + b"x" * (limits.NSQ_LINE_BYTES_MAX - 5) + b"\n") == [("NOP",)]
