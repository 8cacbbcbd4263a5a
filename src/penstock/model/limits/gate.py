"""What the gates of a node may have, all together; each has an equal part of what is shared."""

from __future__ import annotations

from typing import Final

from penstock.model.limits.store import QUEUES_OF_CLIENT_MAX

# --- the gate: of all gates of a node together; each has an equal part of what is shared -----------------------------
GATES_MAX: Final = 6
"""Gate processes of one node. Beyond: InvalidOption. Fewer keep one owner busy."""
GATE_CONNECTIONS_MAX: Final = 2_048
"""Open connections. Beyond: they wait in the kernel's backlog."""
GATE_BODY_BYTES_MAX: Final = 192 * 1024 * 1024
"""Request bodies in memory, all requests together, counted as they arrive, until their answer. Beyond: `overloaded`."""
GATE_ANSWER_BYTES_MAX: Final = 128 * 1024 * 1024
"""Answers that clients have not taken yet. Beyond: `overloaded`."""
GATE_FETCHES_MAX: Final = 32
"""Answers that may be large and are being fetched and made. Beyond: a request waits for its turn."""
GATE_GIVE_WAY_BYTES: Final = 16 * 1024
"""What of a body must arrive, or of an answer be taken, in `HTTP_GIVE_WAY_S`: a byte now and then keeps no room."""
GATE_BODY_READ_S: Final = 30.0
"""How long a request body may take, besides the time its bytes earn it. Beyond: `request-timeout`."""
GATE_BODY_BYTES_PER_S_MIN: Final = 64 * 1024
"""Each this many bytes of a body received, or of an answer to be taken, earn one more second."""
GATE_LOOP_BYTES_MAX: Final = 64 * 1024
"""Text that is read, or made, on the event loop in one go. Beyond: in a thread, or with others' turns between."""
GATE_DRAIN_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of a refused body that are read and thrown away, so that its sender can read the answer. Beyond: closed."""
GATE_PENDING_JOBS_MAX: Final = 120_000
"""Jobs that wait for the store's commit. Beyond: `overloaded`."""
GATE_QUEUES_MAX: Final = QUEUES_OF_CLIENT_MAX
"""Queues that clients of other machines may make, of those that are there; one client half of them. Beyond:
`invalid-option`."""
GATE_WAITERS_MAX: Final = 512
"""Requests parked by `wait_s`. Beyond: `overloaded`."""
GATE_STORE_S: Final = 35.0
"""How long a request waits for the store. Beyond: `unavailable`."""
GATE_SEARCH_S: Final = 1.0
"""How long a search goes on to fill its page. Beyond: what was found, and a cursor that goes on."""
GATE_COUNT_S: Final = 2.0
"""How long the answer to a new bulk action waits for the count of what matches. Beyond: it comes without."""
GATE_READY_S: Final = 2.0
"""How long `/health/ready` waits for the owner. Beyond: `unavailable`."""
GATE_CATALOG_S: Final = 1.0
"""How often at most a gate without the application asks the store for its tasks: so soon it knows what a worker has
recorded."""
GATE_QUEUES_READ_S: Final = 30.0
"""How old what a gate knows of the store's queues may be, to count those that clients make."""
PICTURE_STEPS_MAX: Final = 2_000
"""Steps of a workflow in one picture. Beyond: refused; they are listed."""
