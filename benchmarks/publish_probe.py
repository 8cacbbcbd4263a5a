"""Publishes, or enqueues, through a client of the owner:
`python -m benchmarks.publish_probe DIRECTORY CHANNELS JOBS BYTES BATCH`.

With 0 channels jobs are enqueued in bulk; otherwise messages are published to so many channels, and each copy counts as
a job. `BATCH` jobs, or copies, are asked for with one request. Prints what it did in JSON.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from penstock.model.ids import new_ids
from penstock.model.job import JobEntry, JobGroup, checksum
from penstock.model.message_ids import new_message_ids
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.store.paging import all_queues
from penstock.store.wire.client.blocking import Client

TOPIC: Final = "bench"
TASK: Final = "bench.plain"
_REQUEST_BYTES_MAX: Final = 8_000_000
"""What the bodies of one request take at most."""


def main(directory: Path, channels: int, jobs: int, size_bytes: int, batch: int) -> int:
    """Do so. Answers 0."""
    client = Client.connect(directory, start_owner=False)
    body = bytes(range(256)) * (size_bytes // 256 + 1)
    if channels:
        body = b"r" + body[: size_bytes - 1]
        for number in range(channels):
            client.create_channel(TOPIC, f"c{number}")
    else:
        body = b"m" + body[: size_bytes - 1]
        client.enqueue([JobGroup(TASK, [])])
    number_max = max(1, min(batch // max(1, channels), _REQUEST_BYTES_MAX // size_bytes))
    wanted = jobs // max(1, channels)
    began = time.perf_counter()
    for start in range(0, wanted, number_max):
        number = min(number_max, wanted - start)
        sum_of_body = checksum(body)
        if channels:
            messages = [MessageEntry(one, body, sum_of_body) for one in new_message_ids(number)]
            client.publish(TOPIC, [MessageGroup(messages)])
        else:
            client.enqueue([JobGroup(TASK, [JobEntry(one, body, sum_of_body) for one in new_ids(number)])])
    elapsed_s = time.perf_counter() - began
    accepted = sum(counts.accepted_total for counts in all_queues(client).values())
    client.close()
    told = {"jobs": wanted * max(1, channels), "accepted": accepted, "elapsed_s": elapsed_s}
    print(msgspec.json.encode(told).decode(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *map(int, sys.argv[2:6])))
