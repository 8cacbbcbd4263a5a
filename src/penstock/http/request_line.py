"""The first line of a request as it was sent, which the parser does not show.

The parser takes lines for one that only resemble it: with more spaces, without a version, of other protocols. So the
line that it should have been is looked for in what was read. Where it begins is known, unless a body ended before it in
the same read: then it is searched for.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpRequestParser

from penstock.http.problems import HttpProblem

_CR: Final = ord("\r")
_BLANK: Final = b"\r\n"


def may_be_blank(data: memoryview) -> bool:
    """Whether blank lines before the next request may be in it, or half of one."""
    return data[-1] == _CR or data[0] in _BLANK


class FirstLine:
    """Of one connection: keeps what is read until the head that has begun in it is whole.

    Attributes:
        begun: the parser has seen a part of the next head.
        cut: what was kept of a head that is not whole yet, or of blank lines before one. Empty: the parser is between
            requests, or in a body.
    """

    __slots__ = ("_behind", "_unread", "begun", "cut")

    def __init__(self) -> None:
        self.begun = False
        self._behind = False
        self.cut = b""
        self._unread = memoryview(b"")

    def read(self, data: memoryview, *, behind: bool) -> None:
        """These bytes go to the parser now. ``behind``: they begin within a body, so a head may be anywhere in them."""
        self._unread = data
        if not self.begun:
            self._behind = behind

    def used_up(self) -> None:
        """The parser has them, and is not within a body. Need not be called where they end with a request and neither
        a blank line is before it nor half of one behind it: see `may_be_blank`."""
        unread = self._unread
        if self.begun:
            self.cut += unread
        elif unread and may_be_blank(unread):
            text = bytes(unread)
            blank = not self._behind and not text.strip(_BLANK)
            self.cut = self.cut + text if blank else b"\r" * text.endswith(b"\r")

    def version(self, method: bytes, target: bytes, parser: HttpRequestParser) -> str:
        """The version that the line names; the head is whole.

        Raises:
            HttpProblem: ``malformed-request``: there is no such line.
        """
        line = b"%b %b HTTP/1.1\r\n" % (method, target)
        if self._unread[: len(line)].tobytes() == line and (not self.cut or self.cut == b"\r"):
            version, text, at = "1.1", self._unread, 0
        else:
            version = parser.get_http_version()
            line = b"%b %b HTTP/%b\r\n" % (method, target, version.encode())
            whole = self.cut + self._unread
            at = whole.find(line) if self._behind else len(whole) - len(whole.lstrip(_BLANK))
            blank = self._behind or self.cut == b"\r" or not whole[:at].replace(b"\r\n", b"")
            if at < 0 or not blank or not whole.startswith(line, at):
                raise HttpProblem("malformed-request", "A request begins with a method, a target and HTTP/1.1.")
            text = memoryview(whole)
        self._unread = text[at + len(line) :]
        self.cut = b""
        self._behind = True
        return version
