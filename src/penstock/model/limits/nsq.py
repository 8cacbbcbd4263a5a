"""What NSQ's clients may have of a door. Defaults are nsqd's; what a flag may change is in `penstock.nsq.options`."""

from __future__ import annotations

from typing import Final

from penstock.model.limits.store import JOB_BODY_BYTES_MAX

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
