"""What one server of HTTP takes from its clients, whoever answers them: the gate, or a door."""

from __future__ import annotations

from typing import Final

HTTP_BACKLOG: Final = 2_048
"""Connections that wait in the kernel to be accepted. Beyond: the client tries again, or is refused."""
HTTP_ANSWER_KEPT_BYTES: Final = 16 * 1024
"""What a connection may hold of answers that were sent and not taken, uncounted; with more its next request waits."""
HTTP_GIVE_WAY_S: Final = 5.0
"""A connection on which nothing was sent for so long gives way where another waits to be let in; at the gate also a
client that has sent, or taken, less than `GATE_GIVE_WAY_BYTES`, where another finds no room."""
HTTP_HEAD_READ_S: Final = 30.0
"""How long the head of a request may take, and how long a connection may be idle between requests, unless its server
says otherwise. Beyond: closed."""
HTTP_HEAD_BYTES_MAX: Final = 64 * 1024
"""The head of a request; also what a chunked body may have between two parts of it. Beyond: `head-too-large`."""
HTTP_HEADERS_MAX: Final = 128
"""Header lines of a request. Beyond: `head-too-large`."""
HTTP_KNOWN_HEADS_MAX: Final = 512
"""Heads of requests that are remembered, to be known again. Beyond: all are forgotten."""
HTTP_KNOWN_HEAD_BYTES_MAX: Final = 2 * 1024
"""A head that is remembered. Beyond: it is parsed each time."""
HTTP_READ_BYTES: Final = 64 * 1024
"""How much is read from a connection at once, and how much of a body waits there before it is taken."""
HTTP_PIPELINED_MAX: Final = 32
"""Requests of a connection that wait for the ones before them. Beyond: not answered, and the connection ends."""
HTTP_SEND_S: Final = 60.0
"""How long a client may take to take an answer, besides the time its bytes earn it. Beyond: closed."""
HTTP_RETRY_AFTER_S: Final = 1
"""What `Retry-After` asks for."""
HTTP_SWEEP_S: Final = 1.0
"""How often overdue requests are looked for."""
