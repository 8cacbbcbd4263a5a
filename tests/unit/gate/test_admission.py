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

    @pytest.mark.parametrize("size", [1, 65_536, 300_000])
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
        flight = Flight(None, 0.0)
        admission.take_jobs(flight, 5)
        with pytest.raises(Problem, match="5 jobs wait"):
            admission.take_jobs(flight, 1)
        admission.take_waiter(Flight(None, 0.0), 1.0)
        with pytest.raises(Problem, match="1 requests are waiting"):
            admission.take_waiter(Flight(None, 0.0), 1.0)

    def test_bodies_together_have_a_limit(
        self, make_door: Any, make_exchange: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "GATE_BODY_BYTES_MAX", 100)
        door = make_door()

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

    def test_jobs_that_wait_for_the_store_have_a_limit(self, make_door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "GATE_PENDING_JOBS_MAX", 2)
        door = make_door()

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


class TestWhatCounts:
    """What has arrived, not what was announced; and nobody has most of it."""

    def test_what_is_announced_and_not_sent_takes_nothing(self, door: Any, make_exchange: Any) -> None:
        async def story() -> Any:
            exchanges = [make_exchange([], stalls=True) for _ in range(600)]
            headers = JSON | {"content-length": str(256 * 1024)}
            sending = [asyncio.ensure_future(door.send("POST", "/v1/jobs", one, headers)) for one in exchanges]
            for one in exchanges:
                await one.stalled.wait()
            assert body_bytes(door) == 0
            answer = await door.ask("POST", "/v1/jobs", JOB)
            for one in sending:
                one.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
            return answer

        assert asyncio.run(story()).status == 202

    def test_one_client_has_half_of_the_bodies_and_the_others_the_rest(
        self, make_door: Any, make_exchange: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "GATE_BODY_BYTES_MAX", 200)
        door = make_door()

        async def story() -> Any:
            exchange = make_exchange([b" " * 90], stalls=True, client="192.0.2.1")
            first = asyncio.ensure_future(door.send("POST", "/v1/jobs", exchange, JSON))
            await exchange.stalled.wait()
            statuses = []
            for client in ("192.0.2.1", "192.0.2.2", None):
                exchange = make_exchange([JOB], client=client)
                answer = await door.send("POST", "/v1/jobs", exchange, JSON)
                statuses.append(answer.status)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            return statuses

        assert asyncio.run(story()) == [503, 202, 202]
        assert body_bytes(door) == 0

    @pytest.mark.parametrize("silent_s", [limits.HTTP_GIVE_WAY_S - 1, limits.HTTP_GIVE_WAY_S + 1])
    def test_a_body_that_does_not_move_gives_way_where_there_is_no_room(
        self, make_door: Any, make_exchange: Any, monkeypatch: pytest.MonkeyPatch, silent_s: float
    ) -> None:
        monkeypatch.setattr(limits, "GATE_BODY_BYTES_MAX", 100)
        now = [1_000.0]
        monkeypatch.setattr("penstock.gate.admission.monotonic", lambda: now[0])
        door = make_door()

        async def story() -> Any:
            exchange = make_exchange([b" " * 90], stalls=True)
            first = asyncio.ensure_future(door.send("POST", "/v1/jobs", exchange, JSON))
            await exchange.stalled.wait()
            now[0] += silent_s
            statuses = [(await door.ask("POST", "/v1/jobs", JOB)).status]
            if door.gate.admission.sweep(now[0]):
                statuses.append((await first).status)
            else:
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
            statuses.append((await door.ask("POST", "/v1/jobs", JOB)).status)
            return statuses

        assert asyncio.run(story()) == ([503, 408, 202] if silent_s > limits.HTTP_GIVE_WAY_S else [503, 202])

    def test_a_body_of_which_a_byte_comes_now_and_then_gives_way_too(
        self, make_door: Any, make_exchange: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "GATE_BODY_BYTES_MAX", 100)
        now = [1_000.0]
        monkeypatch.setattr("penstock.gate.admission.monotonic", lambda: now[0])
        door = make_door()

        class Trickle(make_exchange):
            async def chunk(self) -> bytes:
                now[0] += 1.0
                return bytes(await super().chunk())

        async def story() -> Any:
            exchange = Trickle([b" "] * 90, stalls=True)
            first = asyncio.ensure_future(door.send("POST", "/v1/jobs", exchange, JSON))
            await exchange.stalled.wait()
            refused = await door.ask("POST", "/v1/jobs", JOB)
            assert door.gate.admission.sweep(now[0]) == 1
            return refused.status, (await first).status, (await door.ask("POST", "/v1/jobs", JOB)).status

        monkeypatch.setattr(limits, "GATE_BODY_READ_S", 1_000.0)
        assert asyncio.run(story()) == (503, 408, 202)

    def test_waiters_and_jobs_of_one_client_leave_half_to_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "GATE_PENDING_JOBS_MAX", 10)
        monkeypatch.setattr(limits, "GATE_WAITERS_MAX", 4)
        admission = Admission()
        one, other = Flight(None, 0.0, "192.0.2.1"), Flight(None, 0.0, "192.0.2.2")
        admission.take_jobs(one, 5)
        with pytest.raises(Problem, match="jobs wait"):
            admission.take_jobs(one, 1)
        admission.take_jobs(other, 5)
        for _ in range(2):
            admission.take_waiter(one, 1.0)
        with pytest.raises(Problem, match="requests are waiting"):
            admission.take_waiter(one, 1.0)
        admission.take_waiter(other, 1.0)
        admission.release_jobs(one, 5)
        admission.take_jobs(one, 4)


class TestAnswers:
    """Those that are not taken count, and their clients do not hold them for ever."""

    @pytest.fixture
    def now(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """What the monotonic clock says."""
        found = [1_000.0]
        monkeypatch.setattr("penstock.gate.admission.monotonic", lambda: found[0])
        return found

    @pytest.fixture
    def door(self, make_door: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Has room for two answers of this size."""
        monkeypatch.setattr(limits, "GATE_ANSWER_BYTES_MAX", 250_000)
        found = make_door()

        async def page(request: Any) -> Any:
            async with found.gate.admission.fetching:
                found.gate.admission.expect_answer(request.flight)
                return 200, (), b"x" * 100_000

        found.gate._routes.find("/v1/stats")[0].handlers["GET"] = page
        return found

    async def ask(self, door: Any, make_exchange: Any, **settings: Any) -> tuple[Any, asyncio.Task[Any]]:
        """A client that does not take its answer, once it has it."""
        exchange = make_exchange([], slow=asyncio.get_running_loop().create_future(), **settings)
        task = asyncio.ensure_future(door.send("GET", "/v1/stats", exchange))
        while not exchange.answers:
            await asyncio.sleep(0)
        return exchange, task

    def answer_bytes(self, door: Any) -> int:
        count: int = door.gate.admission.statistics().answer_bytes
        return count

    def test_together_they_have_a_limit(self, door: Any, make_exchange: Any) -> None:
        async def story() -> None:
            asked = [await self.ask(door, make_exchange) for _ in range(5)]
            statuses = [exchange.answers[0][0] for exchange, _ in asked]
            assert statuses == [200, 200, 503, 503, 503]
            assert dict(asked[2][0].answers[0][1])["retry-after"]
            assert self.answer_bytes(door) == 200_000
            asked[0][0].slow.set_result(None)
            await asked[0][1]
            assert self.answer_bytes(door) == 100_000
            exchange, task = await self.ask(door, make_exchange)
            assert exchange.answers[0][0] == 200
            for one, _ in [*asked[1:2], (exchange, task)]:
                one.slow.set_result(None)
            await asyncio.gather(task, *(task for _, task in asked))
            assert self.answer_bytes(door) == 0
            assert door.gate.admission.statistics().flights == 0

        asyncio.run(story())

    def test_jobs_are_not_accepted_where_it_could_not_be_told(self, door: Any, make_exchange: Any) -> None:
        jobs = b"[" + b",".join([JOB] * 700) + b"]"

        async def story() -> tuple[Any, ...]:
            asked = [await self.ask(door, make_exchange) for _ in range(2)]
            told = await door.ask("POST", "/v1/jobs", jobs)
            door.gate.admission.take_answer(Flight(None, 0.0), 50_000)
            refused = await door.ask("POST", "/v1/jobs", jobs)
            for exchange, _ in asked:
                exchange.slow.set_result(None)
            await asyncio.gather(*(task for _, task in asked))
            return told, refused

        told, refused = asyncio.run(story())
        assert len(told.body) > 50_000
        assert (told.status, told.json["accepted"]) == (202, 700)
        assert refused.problem[:2] == (503, "overloaded")
        assert [sum(len(group.jobs) for group in groups) for groups in door.store.enqueued] == [700]

    def test_one_client_has_half_of_them(self, door: Any, make_exchange: Any) -> None:
        async def story() -> list[int]:
            clients = ["192.0.2.1", "192.0.2.1", "192.0.2.2"]
            asked = [await self.ask(door, make_exchange, client=client) for client in clients]
            for exchange, _ in asked:
                exchange.slow.set_result(None)
            await asyncio.gather(*(task for _, task in asked))
            return [exchange.answers[0][0] for exchange, _ in asked]

        assert asyncio.run(story()) == [200, 503, 200]

    def test_all_of_it_counts_until_it_has_been_taken(self, door: Any, make_exchange: Any, now: list[float]) -> None:
        async def story() -> None:
            exchange, task = await self.ask(door, make_exchange)
            exchange.unsent = 30_000
            assert door.gate.admission.sweep(now[0]) == 0
            assert self.answer_bytes(door) == 100_000
            exchange.slow.set_result(None)
            await task

        asyncio.run(story())
        assert self.answer_bytes(door) == 0

    def test_who_does_not_take_it_is_dropped_after_its_time(
        self, door: Any, make_exchange: Any, now: list[float]
    ) -> None:
        async def story() -> None:
            exchange, task = await self.ask(door, make_exchange)
            earned_s = 100_000 / limits.GATE_BODY_BYTES_PER_S_MIN
            assert door.gate.admission.sweep(now[0] + limits.HTTP_SEND_S + earned_s - 0.1) == 0
            assert door.gate.admission.sweep(now[0] + limits.HTTP_SEND_S + earned_s + 0.1) == 1
            await task
            assert exchange.given_up

        asyncio.run(story())
        assert self.answer_bytes(door) == 0

    def test_who_takes_nothing_gives_way_where_there_is_no_room(
        self, door: Any, make_exchange: Any, now: list[float]
    ) -> None:
        async def story() -> None:
            asked = [await self.ask(door, make_exchange) for _ in range(2)]
            now[0] += limits.HTTP_GIVE_WAY_S + 1
            # A byte now and then is nothing.
            asked[0][0].unsent = 99_999
            asked[1][0].unsent = 100_000 - limits.GATE_GIVE_WAY_BYTES
            assert door.gate.admission.sweep(now[0]) == 0
            third, task = await self.ask(door, make_exchange)
            assert third.answers[0][0] == 503
            await task
            assert door.gate.admission.sweep(now[0]) == 1
            await asked[0][1]
            assert [exchange.given_up for exchange, _ in asked] == [True, False]
            asked[1][0].slow.set_result(None)
            await asked[1][1]

        asyncio.run(story())

    def test_one_that_is_larger_than_all_there_may_be_is_sent_alone(
        self, door: Any, make_exchange: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def page(request: Any) -> Any:
            return 200, (), b"x" * 1_000_000

        door.gate._routes.find("/metrics")[0].handlers["GET"] = page

        async def story() -> list[int]:
            exchange, task = await self.ask(door, make_exchange)
            statuses = [(await door.ask("GET", "/metrics")).status]
            exchange.slow.set_result(None)
            await task
            return [*statuses, (await door.ask("GET", "/metrics")).status]

        assert asyncio.run(story()) == [503, 200]

    def test_small_ones_are_not_counted(self, door: Any) -> None:
        assert door.call("GET", "/health/live").status == 200
        assert self.answer_bytes(door) == 0

    def test_only_so_many_are_fetched_at_a_time(self, make_door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "GATE_FETCHES_MAX", 2)
        door = make_door()
        fetched: list[int] = []

        async def story() -> list[int]:
            go_on = asyncio.Event()
            fetch = door.store.stats

            async def stats(**page: Any) -> Any:
                fetched.append(1)
                await go_on.wait()
                return await fetch(**page)

            door.store.stats = stats
            asking = [asyncio.ensure_future(door.ask("GET", path)) for path in ("/v1/stats", "/metrics") * 3]
            for _ in range(50):
                await asyncio.sleep(0)
            assert len(fetched) == 2
            go_on.set()
            return [answer.status for answer in await asyncio.gather(*asking)]

        assert asyncio.run(story()) == [200] * 6
        assert len(fetched) == 6
