from __future__ import annotations

from statistics import median

import msgspec

from benchmarks import webhooks


def test_small_requests_are_as_large_as_they_say():
    for request in webhooks.small(20):
        assert abs(len(request) - webhooks.SMALL_BYTES) < 10


def test_webhooks_are_as_large_as_real_ones_and_vary():
    sizes = [len(request) for request in webhooks.webhooks(200)]
    assert 0.8 < median(sizes) / webhooks.WEBHOOK_BYTES < 1.25
    assert max(sizes) > 1.5 * min(sizes)


def test_every_request_asks_for_one_job():
    for request in (*webhooks.small(3), *webhooks.webhooks(3)):
        assert set(msgspec.json.decode(request)) == {"task", "kwargs"}


def test_a_run_posts_the_same_bodies_as_the_last():
    assert webhooks.webhooks(3) == webhooks.webhooks(3)
