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
