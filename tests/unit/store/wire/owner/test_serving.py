import socket
import threading

import pytest

from penstock.model import limits
from penstock.model.actions import ActionRequest, ActionState, Verb
from penstock.model.errors import InvalidOption, StoreFull, StoreUnavailable
from penstock.model.flow import ConcurrencyRule, RateRule
from penstock.model.job import EnqueueAnswer, Filter, LeaseRequest, Outcomes, checksum
from penstock.process.clock import SystemClock
from penstock.store.sqlite.store import SqliteStore
from penstock.store.wire import protocol
from penstock.store.wire.calls import CALLS
from penstock.store.wire.client.blocking import Client

HOLDER = LeaseRequest(b"h" * 16, 10)


def together(*calls):
    """Each call in a thread; their answers, or what they raised."""
    answers = [None] * len(calls)

    def run(index):
        try:
            answers[index] = calls[index]()
        except Exception as error:
            answers[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


class Failing(SqliteStore):
    """Enqueues of one task fill the disk; commits of what came with them fail too."""

    def __init__(self, path):
        super().__init__(path, clock=SystemClock())
        self.gate = threading.Event()
        self.gate.set()

    def begin(self):
        self.gate.wait()
        super().begin()

    def enqueue(self, groups, **options):
        if any(group.task == "too_much" for group in groups):
            raise StoreFull("no room for this one")
        if any(group.task == "bug" for group in groups):
            raise ZeroDivisionError
        return super().enqueue(groups, **options)


def test_only_the_culprits_of_a_failed_group_fail(tmp_path, serve, groups):
    engine = Failing(tmp_path / "penstock.db")
    served = serve(engine, chores=False)
    clients = [Client(served.dial) for _ in range(8)]
    for client in clients:
        client.capabilities()
    engine.gate.clear()
    tasks = ["good", "too_much", "good", "bug", "good", "good", "too_much", "good"]
    threading.Timer(0.2, engine.gate.set).start()
    answers = together(*(lambda c=c, t=t: c.enqueue(groups(1, task=t)) for c, t in zip(clients, tasks, strict=True)))
    assert [type(answer) for answer in answers] == [
        {"good": EnqueueAnswer, "too_much": StoreFull, "bug": StoreUnavailable}[task] for task in tasks
    ]
    assert clients[0].stats().queues["default"].accepted_total == 5
    assert clients[0].owner_statistics().retried_groups >= 1
    for client in clients:
        client.close()


def test_one_clients_invalid_request_does_not_touch_the_others_in_its_group(served, groups):
    clients = [Client(served.dial) for _ in range(6)]
    bad = groups(1, priority=1_000)
    asked = [groups(1), bad, groups(1), bad, groups(1), groups(1)]
    answers = together(*(lambda c=c, g=g: c.enqueue(g) for c, g in zip(clients, asked, strict=True)))
    assert [isinstance(answer, InvalidOption) for answer in answers] == [group is bad for group in asked]
    assert clients[0].stats().queues["default"].accepted_total == 4
    for client in clients:
        client.close()


def test_a_parked_lease_is_answered_in_the_commit_that_makes_its_job_ready(serve, groups):
    served = serve(chores=False)
    worker, producer = Client(served.dial), Client(served.dial)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(worker.lease(HOLDER, 30.0)))
    thread.start()
    while not producer.owner_statistics().parked_leases:
        pass
    before = producer.owner_statistics().commits
    producer.enqueue(groups(1))
    thread.join()
    assert len(answers[0].jobs) == 1
    assert producer.owner_statistics().commits == before + 1
    worker.close()
    producer.close()


def test_a_rate_wakes_the_lease_that_waits_for_it(served, groups):
    worker = Client(served.dial)
    worker.put_limits("queue:default", [RateRule(1, per_s=0.05)])
    worker.enqueue(groups(1, 2, 3, 4))
    leased = [len(worker.lease(HOLDER, 30.0).jobs) for _ in range(4)]
    assert leased == [1, 1, 1, 1]
    worker.close()


def test_the_end_of_a_job_wakes_the_lease_that_waits_for_its_place(serve, groups):
    served = serve(chores=False)
    worker, other = Client(served.dial), Client(served.dial)
    worker.put_limits("task:t", [ConcurrencyRule(1)])
    worker.enqueue(groups(1, 2, task="t"))
    held = worker.lease(HOLDER)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(other.lease(HOLDER, 30.0)))
    thread.start()
    while not worker.owner_statistics().parked_leases:
        pass
    before = worker.owner_statistics().commits
    worker.settle(Outcomes(HOLDER.holder, forgotten=[held.first_fence]))
    thread.join()
    assert len(answers[0].jobs) == 1
    assert worker.owner_statistics().commits == before + 1
    worker.close()
    other.close()


def test_a_wait_for_several_jobs_is_answered_when_the_last_ends(served, groups):
    worker, waiter = Client(served.dial), Client(served.dial)
    asked = groups(1, 2)
    worker.enqueue(asked)
    ids = [job.id for job in asked[0].jobs]
    answers = []
    thread = threading.Thread(target=lambda: answers.append(waiter.wait(ids, 30.0)))
    thread.start()
    while not worker.owner_statistics().parked_waits:
        pass
    batch = worker.lease(HOLDER)
    worker.settle(Outcomes(HOLDER.holder, forgotten=[batch.first_fence]))
    assert worker.owner_statistics().parked_waits == 1
    worker.settle(Outcomes(HOLDER.holder, forgotten=[batch.first_fence + 1]))
    thread.join()
    assert answers == [[None, None]]
    worker.close()
    waiter.close()


def test_waiting_for_nothing_ends_when_its_time_is_up(served):
    client = Client(served.dial)
    assert client.lease(HOLDER, 0.05).jobs == []
    client.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        protocol.frame(protocol.ENQUEUE.kind, 1, b""),
        protocol.frame(protocol.HELLO, 0, b"\xff\xff"),
        protocol.frame(protocol.HELLO, 0, protocol.encode(protocol.Hello((99, 99), b"i" * 16, "x", 1))),
    ],
)
def test_who_speaks_something_else_is_told_why_and_let_go(served, garbage):
    friend = Client(served.dial)
    stranger = served.dial()
    stranger.sendall(garbage)
    data = b""
    while chunk := stranger.recv(4096):
        data += chunk
    stranger.close()
    [(kind, number, payload)] = protocol.FrameReader().feed(data)
    assert (kind, number) == (protocol.CLOSING, 0)
    assert protocol.error_of(payload).message
    assert friend.owner_statistics().refused == 1
    friend.close()


def test_a_request_that_does_not_fit_its_call_is_an_error_and_the_connection_goes_on(served, groups):
    client = Client(served.dial)
    with pytest.raises(InvalidOption, match="enqueue"):
        client.ask(protocol.ENQUEUE, "nonsense")
    assert client.enqueue(groups(1)).accepted == 1
    assert client.statistics().connections == 1
    client.close()


def test_connections_beyond_the_limit_are_refused(served, monkeypatch):
    monkeypatch.setattr(limits, "OWNER_CONNECTIONS_MAX", 1)
    friend = Client(served.dial)
    friend.capabilities()
    late = Client(served.dial, reach_s=0.2)
    with pytest.raises(StoreUnavailable):
        late.capabilities()
    late.close()
    friend.close()


def test_a_client_that_does_not_read_is_not_read_from_and_the_others_go_on(served, groups, monkeypatch):
    monkeypatch.setattr(limits, "OWNER_OUTBOX_BYTES_MAX", 1_000_000)
    friend = Client(served.dial)
    large = groups(1)
    body = b"m" + bytes(500_000)
    large[0].jobs[0] = type(large[0].jobs[0])(large[0].jobs[0].id, body, checksum(body))
    friend.enqueue(large)
    deaf = served.dial()
    deaf.sendall(
        protocol.frame(
            protocol.HELLO,
            0,
            protocol.encode(protocol.Hello((protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION), b"d" * 16, "deaf", 1)),
        )
    )
    query = protocol.encode(CALLS["get"].shape([large[0].jobs[0].id], body=True))
    deaf.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while sent < 200_000:
            deaf.send(protocol.frame(CALLS["get"].kind, protocol.UNRECORDED + sent, query))
            sent += 1
    assert friend.enqueue(groups(1)).accepted == 1
    deaf.close()
    friend.close()


def test_a_second_hello_of_a_client_ends_its_first_connection(served):
    hello = protocol.frame(
        protocol.HELLO,
        0,
        protocol.encode(protocol.Hello((protocol.WIRE_VERSION_MIN, protocol.WIRE_VERSION), b"c" * 16, "x", 1)),
    )
    first, second = served.dial(), served.dial()
    for sock in (first, second):
        sock.sendall(hello)
        assert protocol.FrameReader().feed(sock.recv(4096))[0][0] == protocol.ANSWER
    assert first.recv(4096) == b""
    second.close()
    first.close()


def test_threads_share_a_connection_and_each_gets_its_own_answer(served, groups):
    client = Client(served.dial)
    asked = [groups(number) for number in range(40)]
    answers = together(*(lambda g=g: (client.enqueue(g), client.get([g[0].jobs[0].id])) for g in asked))
    assert [views[0].id for _, views in answers] == [group[0].jobs[0].id for group in asked]
    assert client.statistics().connections == 1
    client.close()


def test_threads_whose_connection_is_cut_again_and_again_all_get_their_answers(served, groups):
    client = Client(served.dial)
    left = threading.Event()

    def produce():
        return sum(client.enqueue(groups(number)).accepted for number in range(50))

    def disturb():
        while not left.is_set():
            client.capabilities()
            try:
                served.cut()
            except OSError:
                continue

    vandal = threading.Thread(target=disturb)
    vandal.start()
    answers = together(*[produce] * 6)
    left.set()
    vandal.join()
    assert answers == [50] * 6
    assert client.stats().queues["default"].accepted_total == 300
    assert client.statistics().connections > 2
    client.close()


def test_a_closed_client_says_so_and_closing_again_is_harmless(served):
    client = Client(served.dial)
    client.capabilities()
    client.close()
    client.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        client.capabilities()


def test_closing_wakes_a_thread_that_waits(served):
    client = Client(served.dial)
    errors = []

    def wait():
        try:
            client.lease(HOLDER, 30.0)
        except StoreUnavailable as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not served.owner.statistics().parked_leases:
        pass
    client.close()
    thread.join()
    assert len(errors) == 1


def test_without_an_owner_a_request_ends_in_a_typed_error(tmp_path):
    def dial(deadline):
        raise StoreUnavailable("nobody there")

    client = Client(dial, reach_s=0.1)
    with pytest.raises(StoreUnavailable, match="nobody there"):
        client.capabilities()
    client.close()


def test_a_listener_that_never_answers_ends_in_a_typed_error(tmp_path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "silent"))
    listener.listen()

    def dial(deadline):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(str(tmp_path / "silent"))
        return sock

    client = Client(dial, reach_s=0.2)
    with pytest.raises(StoreUnavailable):
        client.capabilities()
    client.close()
    listener.close()


def test_a_detached_owner_does_what_operators_began_before_it_leaves(tmp_path, serve, groups):
    engine = SqliteStore(tmp_path / "penstock.db", clock=SystemClock())
    engine.enqueue(groups(*range(30)))
    engine.start_action(ActionRequest(b"a" * 16, Verb.CANCEL, Filter(queue="default"), per_s=30.0))
    # It has no clients and may not be alone for a moment. What it does all the same is the action.
    served = serve(engine, idle_s=0.2)
    served.thread.join(30.0)
    assert not served.thread.is_alive()
    after = SqliteStore(tmp_path / "penstock.db", clock=SystemClock())
    (action,) = after.actions()
    assert (action.state, action.changed) == (ActionState.DONE, 30)
    after.close()
