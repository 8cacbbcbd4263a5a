"""What one nsqlookupd takes from its clients, and what a door takes from the nsqlookupds that it registers with."""

from __future__ import annotations

from typing import Final

# --- nsqlookupd ------------------------------------------------------------------------------------------------------
NSQLOOKUPD_CONNECTIONS_MAX: Final = 4_096
"""Open TCP connections; another machine may have half of them. Beyond: one that has been silent for
`NSQLOOKUPD_SILENT_S` gives way, else the new one is closed."""
NSQLOOKUPD_SILENT_S: Final = 60.0
"""A producer pings every 15 s. One that has missed four gives way where there is no room."""
NSQLOOKUPD_HTTP_CONNECTIONS_MAX: Final = 1_024
"""Open HTTP connections. Beyond: they wait in the kernel's backlog."""
NSQLOOKUPD_REGISTRATIONS_MAX: Final = 100_000
"""Topics and channels that are known. Beyond: one that is ephemeral and that nobody has is forgotten; where there is
none, REGISTER is refused and the producer stays connected, and HTTP answers 503 ``TOO_MANY_REGISTRATIONS``."""
NSQLOOKUPD_PLACES_MAX: Final = 400_000
"""Producers of all topics and channels together. Beyond: REGISTER is refused."""
NSQLOOKUPD_LINE_BYTES_MAX: Final = 4 * 1024
"""A command, with the end of its line. Beyond: `E_INVALID`, and the connection ends."""
NSQLOOKUPD_IDENTIFY_BYTES_MAX: Final = 64 * 1024
"""The body of IDENTIFY. Beyond: `E_BAD_BODY`, and the connection ends."""
NSQLOOKUPD_READ_BYTES: Final = 64 * 1024
"""What a client may have to be sent before nothing more is read from it."""
NSQLOOKUPD_GRACE_S: Final = 2.0
"""How long HTTP requests may take to end after SIGTERM."""

# --- a door's nsqlookupds --------------------------------------------------------------------------------------------
LOOKUP_PEERS_MAX: Final = 64
"""nsqlookupds that a door registers with. Beyond: the first of them, and an error in the log."""
LOOKUP_CONNECT_S: Final = 1.0
"""How long connecting to an nsqlookupd may take. Beyond: tried again later."""
LOOKUP_ANSWER_S: Final = 1.0
"""How long it may take to answer. Beyond: the connection is closed, and made again later."""
LOOKUP_PING_S: Final = 15.0
"""How often a door says that it is there. An nsqlookupd leaves out who has said nothing for five minutes."""
LOOKUP_ANSWER_BYTES_MAX: Final = 1024 * 1024
"""An answer of an nsqlookupd, by TCP or HTTP. Beyond: as if there were none."""
LOOKUP_AHEAD_MAX: Final = 128
"""REGISTER and UNREGISTER that wait for their answers at once."""
LOOKUP_REVIEW_S: Final = 1.0
"""How often a door looks which topics and channels the store has: others make and delete some, too."""
LOOKUP_TOPICS_ASKED_MAX: Final = 16
"""New topics for whose channels the nsqlookupds are asked at once. Beyond: their first messages wait."""
