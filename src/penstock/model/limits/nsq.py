"""What NSQ's clients may have of a door. Defaults are nsqd's; what a flag may change is in `penstock.nsq.options`."""

from __future__ import annotations

from typing import Final

from penstock.model.limits.store import JOB_BODY_BYTES_MAX, LEASE_S_MAX

NSQ_MESSAGE_BYTES_MAX: Final = JOB_BODY_BYTES_MAX - 1
"""A message, whatever -max-msg-size says: what a store keeps with one job. Beyond: `E_BAD_MESSAGE`."""
NSQ_BODY_BYTES_MAX: Final = 64 * 1024 * 1024
"""A body of a command, whatever -max-body-size says: it is in memory whole. Beyond: `E_BAD_BODY`."""
NSQ_CLIENT_TIMEOUT_S: Final = 60.0
"""How long a client may be silent that has not said how often it will speak; it hears a heartbeat in half of it.
Beyond: closed."""
NSQ_LINE_BYTES_MAX: Final = 16 * 1024
"""The line of a command, with its end. Beyond: `E_INVALID`, and the connection ends."""
NSQ_KNOWN_NAMES_MAX: Final = 4_096
"""Names of topics and channels that a process remembers to be valid. Beyond: those not used for longest are checked
again."""
NSQ_LAYER_BYTES: Final = 64 * 1024
"""So much at once is made of what arrives encrypted or compressed; the rest stays as it is until that has been read."""
NSQ_HANDSHAKE_S: Final = 5.0
"""How long the handshake of TLS may take. Beyond: closed."""
NSQ_AUTHORIZATION_BYTES_MAX: Final = 4 * 1024 * 1024
"""What an authorization server answers. Beyond: it has not answered."""

# --- publishing ------------------------------------------------------------------------------------------------------
NSQ_PUBLISH_MESSAGES_MAX: Final = 5_000
"""Messages of a topic in one request to the store. Beyond: several requests."""
NSQ_PUBLISH_REQUESTS_MAX: Final = 48
"""Requests of a door under way that publish, each to another topic. Beyond: what comes is gathered. A client of the
store has `CLIENT_REQUESTS_MAX` of all kinds."""
NSQ_PUBLISH_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bodies gathered for one request to the store. Beyond: the next request is begun."""
NSQ_BACKLOG_BYTES_MAX: Final = 64 * 1024 * 1024
"""Messages that the store has not accepted yet, of all clients of a door. Beyond: who publishes is not read from."""
NSQ_MEMORY_ACK_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of these, with ``--ack memory``, messages that were answered already. Beyond: answered when the store has them."""

# --- delivering ------------------------------------------------------------------------------------------------------
NSQ_SEND_BYTES_MAX: Final = 1024 * 1024
"""What a connection leases at once, by the size of the messages before. Beyond: with its next lease."""
NSQ_LOTS: Final = 2
"""Into so many leases the RDY of a consumer is divided."""
NSQ_LOT_MIN: Final = 200
"""No consumer that has room for so many messages leases fewer at once."""
NSQ_SHARED_READY_MAX: Final = 4
"""Consumers with no higher RDY lease together with the others of their channel. Beyond: each for itself."""
NSQ_SHARED_REQUESTS_MAX: Final = 3
"""Leases under way that consumers of a channel share: the owner works on some while clients work on what others
brought. Beyond: who has room waits for one of these to end, and gets of what it brings."""
NSQ_LEASE_SLACK_S: Final = 10.0
"""How much longer than a message's time-out its lease is: the door tells of time-outs itself."""
NSQ_LATE_S: Final = 0.2
"""For so long a consumer that let a message's time pass is offered none: other consumers are offered it first."""
NSQ_MESSAGE_TIMEOUT_S_MAX: Final = LEASE_S_MAX - NSQ_LEASE_SLACK_S
"""A message's time-out, whatever -msg-timeout and -max-msg-timeout say. Beyond: this."""
NSQ_SETTLE_MAX: Final = 5_000
"""Outcomes in one request to the store. Beyond: several requests."""
NSQ_COMMAND_TURN_MAX: Final = 10_000
"""Commands of one connection that are done in one turn of the loop. Beyond: others have their turn first."""
NSQ_WAIT_S: Final = 50.0
"""How long a lease waits at the owner before it is asked for anew: a consumer that is not heard of is not counted."""
NSQ_EPHEMERAL_WAIT_S: Final = 15.0
"""The same for an ephemeral channel, which goes when nobody asks."""
NSQ_TIMEOUT_TICK_S: Final = 0.1
"""How often it is looked for messages whose time is up, while any are in flight."""
NSQ_CONNECTIONS_MAX: Final = 8_192
"""Connections of a door, or fewer where the system gives fewer descriptors. Beyond: closed at once. Each may have a
request that waits for messages, and a client of the store has 10,000 at most (`CLIENT_CALLERS_MAX`)."""
NSQ_DRAIN_S: Final = 20.0
"""How long a door that was told to stop tries to tell the store what became of messages. Beyond: they come again."""
NSQ_CLOSE_S: Final = 5.0
"""How long a connection that ends may take to take what is left for it. Beyond: cut off."""
NSQ_WRITE_BUFFER_BYTES: Final = 1024 * 1024
"""What a connection may hold that its client has not taken. Beyond: nothing is leased for it, and what it publishes is
not read."""
NSQ_READ_BYTES: Final = 256 * 1024
"""How much is read from a connection at once."""
NSQ_HTTP_CONNECTIONS_MAX: Final = 512
"""Connections of the HTTP API, at each address. Beyond: they wait in the kernel's backlog."""
NSQ_HTTP_BODIES_BYTES_MAX: Final = 128 * 1024 * 1024
"""Bodies of HTTP requests in memory, all together; one client's half of it. Beyond: 503 `OVERLOADED`."""
NSQ_HTTP_ANSWERS_BYTES_MAX: Final = 128 * 1024 * 1024
"""Large answers that clients have not taken yet, all together; one client's half of it. Beyond: 503 `OVERLOADED`."""
NSQ_HTTP_REQUEST_S: Final = 60.0
"""How long a request by HTTP may take, its body included. Beyond: 503 `TIMEOUT`."""
NSQ_HTTP_DRAIN_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of a refused body that are read and thrown away, so that its sender can read the answer. Beyond: closed."""
NSQ_HTTP_IDLE_S: Final = 120.0
"""How long a connection of the HTTP API may be idle between requests: longer than Go's clients keep one, so that it is
they who close it. Beyond: closed."""
NSQ_HTTP_GRACE_S: Final = 5.0
"""How long requests by HTTP may take to end when the door stops. Beyond: cut off."""
NSQ_PING_S: Final = 2.0
"""How long `/ping` waits for the store. Beyond: it says that the store does not answer."""
NSQ_PROFILE_S_MAX: Final = 30.0
"""How long `/debug/pprof/profile` may watch the process. Asked for more: so long."""

# --- statsd ----------------------------------------------------------------------------------------------------------
NSQ_STATSD_PACKET_BYTES_MAX: Final = 65_507
"""A packet, whatever -statsd-udp-packet-size says: what UDP can carry. Beyond: this."""
