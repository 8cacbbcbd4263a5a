"""What requests and answers are made of, and what becomes of an answer that nobody waits for."""

from __future__ import annotations

from collections.abc import Mapping

Headers = Mapping[str, str]
"""Request headers; names in lower case."""

Answer = tuple[int, tuple[tuple[str, str], ...], bytes]
"""Status, headers, body."""

JSON_HEADERS = (("content-type", "application/json"),)


class ClientGone(Exception):
    """Nobody waits for the answer any more."""
