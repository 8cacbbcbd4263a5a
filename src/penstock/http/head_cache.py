"""Heads of requests that were sent before, byte for byte.

A client that keeps its connection sends the same head again and again, or one of a few that differ in Content-Length.
What the parser and the checks make of a head, where no other request has begun, depends on its bytes alone. So a
request that arrives in one read, with a head that has passed before, need not be parsed.

Only plain heads are kept: the end of such a head and the length of its body are beyond doubt. Any other goes through
the parser each time. A head is kept when it is seen for the second time, so that clients whose heads all differ cost
little.
"""

from __future__ import annotations

import re
from typing import Final

from penstock.http.exchange import HttpExchange
from penstock.model import limits

_PLAIN: Final = re.compile(rb"[A-Z]+ /[!-~]* HTTP/1\.1(?:\r\n[A-Za-z0-9-]+:[\t -~]*)+\r\n\r\n")
"""There is no CR nor LF but at the end of a line, so it can end nowhere else."""
HEAD_END: Final = b"\r\n\r\n"
KNOWN_HEAD_BYTES_MAX: Final = limits.HTTP_KNOWN_HEAD_BYTES_MAX
_NOT_KEPT: Final = ("expect", "transfer-encoding", "upgrade")


class KnownHead:
    """What was made of a head.

    Attributes:
        length: of the body, in bytes.
        method: see `HttpExchange`; so are the others.
    """

    __slots__ = ("headers", "length", "method", "path", "query_string")

    def __init__(self, exchange: HttpExchange, length: int) -> None:
        self.length = length
        self.method = exchange.method
        self.path = exchange.path
        self.query_string = exchange.query_string
        self.headers = exchange.headers


class KnownHeads:
    """Those of a server. When there are too many, all are forgotten.

    Args:
        most: how many; 0: none.
    """

    def __init__(self, most: int = limits.HTTP_KNOWN_HEADS_MAX) -> None:
        self._most = most
        self._heads: dict[bytes, KnownHead | None] = {}
        self.get = self._heads.get

    def learn(self, head: bytes, length: int, exchange: HttpExchange) -> None:
        """Keep what was made of a head.

        Args:
            head: what was read first, when nothing of a request was before it, up to `HEAD_END`.
            length: of what was read behind it.
            exchange: the first request that the parser found in all that was read.
        """
        if not head.endswith(HEAD_END) or not self._most:
            return
        if head not in self._heads:
            if len(self._heads) >= self._most:
                self._heads.clear()
            self._heads[head] = None
        elif _is_plain(head, exchange) and exchange.headers.get("content-length", "0") == str(length):
            self._heads[head] = KnownHead(exchange, length)


def _is_plain(head: bytes, exchange: HttpExchange) -> bool:
    headers = exchange.headers
    return (
        _PLAIN.fullmatch(head) is not None
        and headers.get("connection", "keep-alive").lower() == "keep-alive"
        and not any(name in headers for name in _NOT_KEPT)
    )
