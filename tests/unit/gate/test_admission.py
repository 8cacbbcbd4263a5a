"""What a slow, endless or broken body costs, and what happens when too much is on its way."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import pytest

from penstock.gate.admission import Admission, Flight
from penstock.gate.problems import Problem
from penstock.model import limits

JSON = {"content-type": "application/json"}
JOB = b'{"task":"any.call"}'


def body_bytes(door: Any) -> int:
    count: int = door.gate.admission.statistics().body_bytes
    return count


class TestSize:
    def test_an_announced_body_over_the_limit_is_refused_and_drained(self, door: Any, make_exchange: Any) -> None:
        exchange = make_exchange([b"x" * 1_000_000] * 18)
        headers = JSON | {"content-length": "18000000"}
        answer = asyncio.run(door.send("POST", "/v1/jobs", exchange, headers))
        assert answer.problem == (413, "body-too-large", None)
        assert str(limits.REQUEST_BYTES_MAX) in answer.json["detail"]
        assert exchange.taken == 18

    def test_a_body_that_grows_over_the_limit_is_refused_while_it_comes(self, door: Any, make_exchange: Any) -> None:
        exchange = make_exchange([b" " * 1_000_000] * 1_000)
        answer = asyncio.run(door.send("POST", "/v1/jobs", exchange, JSON | {"transfer-encoding": "chunked"}))
        assert answer.problem[:2] == (413, "body-too-large")
        most = (limits.REQUEST_BYTES_MAX + limits.GATE_DRAIN_BYTES_MAX) / 1_000_000
        assert exchange.taken <= most + 2
        assert body_bytes(door) == 0

    @pytest.mark.parametrize("length", ["x", "-1", "1e3", "²"])
    def test_a_length_that_is_no_number_is_malformed(self, door: Any, length: str) -> None:
        assert door.post(JOB, content_length=length).problem[:2] == (400, "malformed-body")

    @pytest.mark.parametrize("length", ["9" * 5_000, "0" * 20 + "3000000000", "0" * 5_000 + "9" * 5_000])
    def test_a_length_of_absurd_size_is_too_large(self, door: Any, length: str) -> None:
        assert door.post(JOB, content_length=length).problem[:2] == (413, "body-too-large")

    def test_zeros_before_a_length_mean_nothing(self, door: Any) -> None:
        assert door.post(JOB, content_length="0" * 30 + str(len(JOB))).status == 202

    def test_a_body_shorter_than_announced_is_malformed(self, door: Any) -> None:
        assert door.post(JOB, content_length="500").problem[:2] == (400, "malformed-body")

    @pytest.mark.parametrize("size", [1, limits.GATE_WHOLE_BODY_BYTES_MAX, limits.GATE_WHOLE_BODY_BYTES_MAX + 1])
    def test_a_body_arrives_whole_however_it_is_read(self, door: Any, make_exchange: Any, size: int) -> None:
        body = JOB + b" " * size
        chunks = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]
        for headers in (JSON, JSON | {"content-length": str(len(body))}):
            assert asyncio.run(door.send("POST", "/v1/jobs", make_exchange(chunks), headers)).status == 202


class TestTime:
    def test_a_body_that_stalls_is_given_up_after_its_time(self, door: Any, make_exchange: Any) -> None:
        async def story() -> Any:
            exchange = make_exchange([JOB[:5]], stalls=True)
            sending = asyncio.ensure_future(door.send("POST", "/v1/jobs", exchange, JSON | {"content-length": "19"}))
            await exchange.stalled.wait()
            assert door.gate.admission.sweep(monotonic()) == 0
            assert door.gate.admission.sweep(monotonic() + limits.GATE_BODY_READ_S + 1) == 1
            return await sending

        assert asyncio.run(story()).problem == (408, "request-timeout", None)
        assert door.gate.admission.statistics().flights == 0
        assert body_bytes(door) == 0

    def test_bytes_that_arrive_earn_time(self, door: Any, make_exchange: Any) -> None:
        async def story() -> Any:
            exchange = make_exchange([b" " * (10 * limits.GATE_BODY_BYTES_PER_S_MIN)], stalls=True)
            sending = asyncio.ensure_future(door.send("POST", "/v1/jobs", exchange, JSON))
            await exchange.stalled.wait()
            assert door.gate.admission.sweep(monotonic() + limits.GATE_BODY_READ_S + 9) == 0
            assert door.gate.admission.sweep(monotonic() + limits.GATE_BODY_READ_S + 11) == 1
            return await sending

        assert asyncio.run(story()).problem[:2] == (408, "request-timeout")

    def test_a_store_that_does_not_answer_is_given_up_after_its_time(self, door: Any) -> None:
        async def story() -> Any:
            door.store.hold = asyncio.Event()
            asking = asyncio.ensure_future(door.ask("POST", "/v1/jobs", JOB))
            await door.store.held.wait()
            assert door.gate.admission.statistics().pending_jobs == 1
            door.gate.admission.sweep(monotonic() + limits.GATE_STORE_S + 1)
            return await asking

        answer = asyncio.run(story())
        assert answer.problem[:2] == (503, "unavailable")
        assert answer.headers["retry-after"]
        assert door.gate.admission.statistics().pending_jobs == 0

    def test_a_refused_body_that_stalls_is_drained_no_longer_than_its_time(self, door: Any, make_exchange: Any) -> None:
        async def story() -> Any:
            exchange = make_exchange([b"x"], stalls=True)
            sending = asyncio.ensure_future(door.send("POST", "/v1/jobs", exchange, {"content-length": "9"}))
            await exchange.stalled.wait()
            door.gate.admission.sweep(monotonic() + limits.GATE_BODY_READ_S + 1)
            return await sending

        assert asyncio.run(story()).problem[:2] == (415, "unsupported-media-type")
        assert door.gate.admission.statistics().flights == 0

    def test_a_request_cancelled_by_others_stays_cancelled(self, door: Any, make_exchange: Any) -> None:
        async def story() -> None:
            exchange = make_exchange([], stalls=True)
            sending = asyncio.ensure_future(door.send("POST", "/v1/jobs", exchange, JSON))
            await exchange.stalled.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending

        asyncio.run(story())
        assert door.gate.admission.statistics().flights == 0


class TestTogether:
    def test_gates_that_share_a_node_have_an_equal_part_of_each_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "GATE_PENDING_JOBS_MAX", 10)
        monkeypatch.setattr(limits, "GATE_WAITERS_MAX", 2)
        admission = Admission(gates=2)
        admission.take_jobs(5)
        with pytest.raises(Problem, match="5 jobs wait"):
            admission.take_jobs(1)
        admission.take_waiter(Flight(None, 0.0), 1.0)
        with pytest.raises(Problem, match="1 requests are waiting"):
            admission.take_waiter(Flight(None, 0.0), 1.0)

    def test_bodies_together_have_a_limit(self, door: Any, make_exchange: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "GATE_BODY_BYTES_MAX", 100)

        async def story() -> Any:
            exchange = make_exchange([b" " * 90], stalls=True)
            first = asyncio.ensure_future(door.send("POST", "/v1/jobs", exchange, JSON))
            await exchange.stalled.wait()
            assert body_bytes(door) == 90
            second = await door.ask("POST", "/v1/jobs", JOB)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            return second, await door.ask("POST", "/v1/jobs", JOB)

        second, third = asyncio.run(story())
        assert second.problem[:2] == (503, "overloaded")
        assert second.headers["retry-after"]
        assert third.status == 202

    def test_jobs_that_wait_for_the_store_have_a_limit(self, door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "GATE_PENDING_JOBS_MAX", 2)

        async def story() -> Any:
            door.store.hold = asyncio.Event()
            first = asyncio.ensure_future(door.ask("POST", "/v1/jobs", b"[%b,%b]" % (JOB, JOB)))
            await door.store.held.wait()
            second = await door.ask("POST", "/v1/jobs", JOB)
            door.store.hold.set()
            return await first, second, await door.ask("POST", "/v1/jobs", JOB)

        first, second, third = asyncio.run(story())
        assert (first.status, third.status) == (202, 202)
        assert second.problem[:2] == (503, "overloaded")

    def test_a_client_that_goes_away_leaves_nothing_behind(self, door: Any, make_exchange: Any) -> None:
        exchange = make_exchange([JOB[:5]], gone=True)
        assert asyncio.run(door.send("POST", "/v1/jobs", exchange, JSON | {"content-length": "19"})) is None
        assert door.gate.admission.statistics().flights == 0
        assert body_bytes(door) == 0
        assert door.gate.statistics().requests == {("jobs", 499): 1}
