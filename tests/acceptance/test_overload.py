"""A gate whose store cannot keep up, by its number among the faults: what is too much is refused, what is accepted is
there."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals processes by their role")
BATCH = 10_000
REQUESTS = 20


def test_fault_17_more_than_the_store_takes_is_refused_with_a_time_and_the_rest_is_worked_off(node):
    server = node("--executors", "2")
    server.wait_ready()
    (owner,) = server.pids("owner")
    body = json.dumps([{"task": "shop.add", "args": [number]} for number in range(BATCH)]).encode()

    def post(_):
        request = urllib.request.Request(
            f"http://{server.state().gate}/v1/jobs", body, {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, None, json.load(answer)["accepted"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["retry-after"], json.load(error)["code"]

    os.kill(owner, signal.SIGSTOP)
    with ThreadPoolExecutor(REQUESTS) as senders:
        sent = [senders.submit(post, number) for number in range(REQUESTS)]
        try:
            # Those that may wait for the store do; the others are told at once.
            until(lambda: sum(one.done() for one in sent) >= 4)
        finally:
            os.kill(owner, signal.SIGCONT)
        answers = [one.result() for one in sent]
    statuses = Counter(status for status, _, _ in answers)
    assert set(statuses) == {202, 503}
    assert all(retry and code == "overloaded" for status, retry, code in answers if status == 503)
    accepted = sum(count for status, _, count in answers if status == 202)
    counts = server.place.json("stats")["queues"]["default"]
    assert counts["accepted_total"] == accepted == BATCH * statuses[202]
    until(lambda: server.place.json("stats")["queues"]["default"]["succeeded_total"] == accepted, 90)
    assert server.is_ready()
