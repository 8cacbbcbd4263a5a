"""The library pynsq, as applications use it: what its own suite covers, for where that suite is not to be had.

Run by the pytest of its environment, at the daemons that PATH has, in a network of its own, so that these have their
usual ports. CERTIFICATES names a folder with ``cert.pem`` and ``key.pem``.
"""

import os
import ssl
import subprocess
import time
import urllib.request

import nsq
from nsq.conn import AsyncConn
from nsq.deflate_socket import DeflateSocket
from nsq.snappy_socket import SnappySocket
from tornado import gen, httpserver, testing, web

CERTIFICATES = os.environ["CERTIFICATES"]
DEADLINE_S = 60.0


def http(path, body=None, port=4151):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data=body, timeout=DEADLINE_S) as answer:
        return answer.read()


def answers(port):
    try:
        return http("/ping", port=port) == b"OK"
    except OSError:
        return False


class Daemons(testing.AsyncTestCase):
    """Daemons for a class of tests; every test has a topic of its own."""

    options = []
    beside = []

    @classmethod
    def setUpClass(cls):
        cls.directory = f"data-{cls.__name__}"
        os.mkdir(cls.directory)
        cls.processes = [subprocess.Popen(command) for command in cls.beside]
        cls.processes.append(subprocess.Popen(["nsqd", f"-data-path={cls.directory}", *cls.options]))
        deadline = time.monotonic() + DEADLINE_S
        while not answers(4151) or (cls.beside and not answers(4161)):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @classmethod
    def tearDownClass(cls):
        for process in cls.processes:
            process.terminate()
            process.wait()

    def setUp(self):
        super().setUp()
        self.topic = f"{self.id().rpartition('.')[2]}"

    def connection(self, event, **identify):
        """A connection, and what came with an event of it."""
        connection = AsyncConn("127.0.0.1", 4150, **identify)
        connection.on(event, lambda **told: self.stop(told))
        connection.connect()
        return connection, self.wait()

    def publish(self, number):
        for each in range(number):
            assert http(f"/pub?topic={self.topic}", b"%d" % each) == b"OK"

    def reader(self, handler, **options):
        options = {"nsqd_tcp_addresses": ["127.0.0.1:4150"], **options}
        return nsq.Reader(topic=self.topic, channel="ch", message_handler=handler, **options)

    def read_all(self, number, **options):
        """Read so many messages with a Reader; each has come once."""
        bodies = []

        def handle(message):
            bodies.append(int(message.body))
            if len(bodies) == number:
                self.stop()
            return True

        reader = self.reader(handle, max_in_flight=100, **options)
        self.wait()
        reader.close()
        assert sorted(bodies) == list(range(number))


class Plain(Daemons):
    def test_identify_is_answered_with_what_was_agreed(self):
        _, told = self.connection(
            "identify_response", user_agent="test", heartbeat_interval=10, output_buffer_size=4096
        )
        assert told["data"]["max_rdy_count"] == 2_500
        assert told["data"]["output_buffer_size"] == 4_096

    def test_a_subscription_is_answered(self):
        connection, _ = self.connection("ready")
        connection.on("response", lambda **told: self.stop(told["data"]))
        connection.send(nsq.protocol.subscribe(self.topic, "ch"))
        assert self.wait() == b"OK"

    def test_no_more_is_under_way_than_was_asked_for(self):
        self.publish(5)
        connection, _ = self.connection("ready")
        connection.on("message", lambda **_: self.stop() if connection.in_flight == 5 else None)
        connection.send(nsq.protocol.subscribe(self.topic, "ch"))
        connection.send_rdy(5)
        self.wait()

    def test_a_reader_reads_all(self):
        self.publish(500)
        self.read_all(500)

    def test_a_handler_may_be_a_coroutine(self):
        self.publish(20)
        bodies = []

        @gen.coroutine
        def handle(message):
            yield gen.sleep(0.01)
            bodies.append(int(message.body))
            if len(bodies) == 20:
                self.stop()
            raise gen.Return(True)

        reader = self.reader(handle, max_in_flight=10)
        self.wait()
        reader.close()
        assert sorted(bodies) == list(range(20))

    def test_a_message_that_fails_comes_again_with_its_attempts(self):
        self.publish(1)
        seen = []

        def handle(message):
            seen.append((message.id, message.attempts))
            if len(seen) < 3:
                raise ValueError("not yet")
            self.stop()
            return True

        reader = self.reader(handle, max_in_flight=1, requeue_delay=0, max_backoff_duration=0.1)
        self.wait()
        reader.close()
        assert [attempts for _, attempts in seen] == [1, 2, 3]
        assert len({each for each, _ in seen}) == 1

    def test_a_message_may_be_touched_and_put_off(self):
        self.publish(1)
        seen = []

        def handle(message):
            message.enable_async()
            message.touch()
            if seen:
                message.finish()
                self.stop()
            else:
                seen.append(message.id)
                message.requeue(time_ms=100, backoff=False)

        reader = self.reader(handle, max_in_flight=1)
        self.wait()
        reader.close()

    def test_heartbeats_come_and_are_answered(self):
        beats = []

        def beat(connection):
            beats.append(connection)
            if len(beats) == 3:
                self.stop()

        type("Beating", (nsq.Reader,), {"heartbeat": staticmethod(beat)})(
            nsqd_tcp_addresses=["127.0.0.1:4150"],
            topic=self.topic,
            channel="ch",
            message_handler=lambda message: True,
            heartbeat_interval=1,
        )
        self.wait()

    def _written(self, write):
        """What the writer is answered, once it is connected."""
        writer = nsq.Writer(nsqd_tcp_addresses=["127.0.0.1:4150"])

        def try_it():
            write(writer, answered)

        def answered(_connection, data):
            if isinstance(data, nsq.protocol.Error) and "no open connections" in str(data):
                self.io_loop.call_later(0.05, try_it)
            else:
                self.stop(data)

        try_it()
        return self.wait()

    def test_a_writer_publishes_one_many_and_late(self):
        bodies = [b"0", b"1", b"2"]
        assert self._written(lambda writer, then: writer.pub(self.topic, b"3", callback=then)) == b"OK"
        assert self._written(lambda writer, then: writer.mpub(self.topic, bodies, callback=then)) == b"OK"
        assert self._written(lambda writer, then: writer.dpub(self.topic, 100, b"4", callback=then)) == b"OK"
        self.read_all(5)

    def test_a_name_that_is_none_is_an_error(self):
        connection, _ = self.connection("ready")
        connection.on("error", lambda **told: self.stop(told["error"]))
        connection.send(b"SUB not/a/topic ch\n")
        assert "E_BAD_TOPIC" in str(self.wait())


class Upgraded(Daemons):
    options = ["-snappy", "-deflate", f"-tls-cert={CERTIFICATES}/cert.pem", f"-tls-key={CERTIFICATES}/key.pem"]
    tls = {"tls_v1": True, "tls_options": {"cert_reqs": ssl.CERT_NONE}}

    def test_a_connection_is_upgraded_to_tls_and_snappy(self):
        connection, _ = self.connection("ready", snappy=True, **self.tls)
        assert isinstance(connection.socket, SnappySocket)
        assert isinstance(connection.socket._socket, ssl.SSLSocket)

    def test_a_connection_is_upgraded_to_deflate(self):
        connection, _ = self.connection("ready", deflate=True, deflate_level=6)
        assert isinstance(connection.socket, DeflateSocket)

    def test_a_reader_reads_all_with_tls(self):
        self.publish(300)
        self.read_all(300, **self.tls)

    def test_a_reader_reads_all_with_snappy(self):
        self.publish(300)
        self.read_all(300, snappy=True)

    def test_a_reader_reads_all_with_tls_and_snappy(self):
        self.publish(300)
        self.read_all(300, snappy=True, **self.tls)

    def test_a_reader_reads_all_with_deflate(self):
        self.publish(300)
        self.read_all(300, deflate=True, deflate_level=6)


class FoundByLookup(Daemons):
    options = ["-lookupd-tcp-address=127.0.0.1:4160", "-broadcast-address=127.0.0.1"]
    beside = [["nsqlookupd", "-broadcast-address=127.0.0.1"]]

    def test_a_reader_finds_the_daemon_that_has_the_topic(self):
        self.publish(10)
        self.read_all(
            10,
            nsqd_tcp_addresses=[],
            lookupd_http_addresses=["http://127.0.0.1:4161"],
            lookupd_poll_interval=1,
            lookupd_poll_jitter=0.01,
        )


class Allowing(web.RequestHandler):
    """An authorisation server: one secret may subscribe to one channel."""

    def get(self):
        if self.get_argument("secret") != "sesame":
            self.set_status(403)
            return
        allowed = {"permissions": ["subscribe"], "topic": "allowed", "channels": ["ch"]}
        self.finish({"ttl": 30, "identity": "somebody", "authorizations": [allowed]})


class Authorised(Daemons):
    options = ["-auth-http-address=127.0.0.1:4180"]

    def setUp(self):
        super().setUp()
        self.server = httpserver.HTTPServer(web.Application([("/auth", Allowing)]))
        self.server.listen(4180, "127.0.0.1")

    def tearDown(self):
        self.server.stop()
        super().tearDown()

    def subscribed(self, secret, topic):
        connection = AsyncConn("127.0.0.1", 4150, auth_secret=secret)
        connection.on("ready", lambda **_: connection.send(nsq.protocol.subscribe(topic, "ch")))
        connection.on("auth_response", lambda **told: told)
        connection.on("response", lambda **told: self.stop(told["data"]) if told["data"] == b"OK" else None)
        connection.on("error", lambda **told: self.stop(str(told["error"])))
        connection.connect()
        return self.wait()

    def test_who_may_subscribes(self):
        assert self.subscribed("sesame", "allowed") == b"OK"

    def test_who_may_not_does_not(self):
        assert self.subscribed("sesame", "other") != b"OK"


# The classes that others are made of are no tests themselves.
del Daemons
