import os
import threading
from contextlib import suppress

import pytest

from penstock.model import limits
from penstock.process import standard_streams
from penstock.worker.supervisor.output import Output


@pytest.fixture
def output():
    return Output()


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(writing)


def answered(call):
    """What it answers, if it does before long."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
    thread.start()
    thread.join(10.0)
    assert answers, "it is held up"
    return answers[0]


def test_the_tail_is_what_came_last(output, pipe, capfd):
    reading, writing = pipe
    output.follow(reading)
    os.write(writing, b"some words")
    while output.tail(reading) != "some words":
        os.sched_yield()
    output.forget(reading)
    assert output.tail(reading) == ""


def test_a_word_of_a_pipe_that_has_gone_holds_nobody_up(output, pipe):
    """Its number may be another pipe's by now, which has nothing to say, while whoever waits for the lock runs jobs."""
    reading, _ = pipe
    output.follow(reading)
    assert answered(lambda: output._read(reading)) == 0
    assert answered(lambda: output.tail(reading)) == ""
    output.forget(reading)


def test_what_nobody_reads_holds_no_job_up(pipe, monkeypatch):
    reading, writing = pipe
    ours, stuck = os.pipe()
    monkeypatch.setattr(standard_streams, "PATIENCE_S", 0.01)
    monkeypatch.setattr(standard_streams, "error_writer", lambda: standard_streams.NonblockingWriter(stuck))
    output = Output()
    output.follow(reading)
    line = b"x" * 1023 + b"\n"
    answered(lambda: [os.write(writing, line) for _ in range(3 * standard_streams.PENDING_BYTES_MAX // len(line))])
    os.write(writing, b"last words")
    while not output.tail(reading).endswith("last words"):
        os.sched_yield()
    output.forget(reading)
    output._writer.abandon()
    # The other end stays open: the thread of this output may write there yet, and would open whatever had its number.
    os.close(ours)


def test_a_pipe_that_is_read_to_the_end_is_closed_with_its_last_writer(output):
    reading, writing = os.pipe()
    pipe = os.fstat(reading).st_ino
    output.follow(reading, to_the_end=True)
    os.close(writing)
    output.finish(30.0)
    # Another thread may have been given the number since.
    with suppress(OSError):
        assert os.fstat(reading).st_ino != pipe


def test_the_end_waits_no_longer_than_it_may(output, pipe):
    output.follow(pipe[0])
    answered(lambda: output.finish(0.01))
    output.forget(pipe[0])


@pytest.fixture
def unread(monkeypatch):
    """Output whose thread never comes to read."""
    monkeypatch.setattr(Output, "_run", lambda self: None)
    return Output()


@pytest.mark.parametrize("left_open", [True, False])
def test_what_nobody_has_read_yet_is_in_the_tail(unread, left_open):
    """The executor is gone; a process that it started may hold its pipe open."""
    reading, writing = os.pipe()
    unread.follow(reading)
    os.write(writing, b"many words, " * 1_000 + b"last words")
    if not left_open:
        os.close(writing)
    tail = answered(lambda: unread.tail(reading))
    assert tail.endswith("many words, last words")
    assert len(tail) == limits.OUTPUT_TAIL_BYTES
    unread.forget(reading)
    if left_open:
        os.close(writing)


def test_what_was_printed_last_is_shown_though_nobody_asked_for_it(unread, pipe, capfd):
    reading, writing = pipe
    unread.follow(reading)
    os.write(writing, b"farewell")
    unread.forget(reading)
    assert list(unread._unshown) == [b"farewell"]


def test_a_process_that_writes_on_and_on_does_not_hold_up_the_telling(unread, pipe, monkeypatch):
    """A child that a dead executor left behind can fill the pipe as fast as it is read."""
    reading, writing = pipe
    unread.follow(reading)
    piece = b"x" * 65_536
    reads = 0
    real_read = os.read

    def read_and_refill(fd, count):
        nonlocal reads
        reads += 1
        os.write(writing, piece)
        return real_read(fd, count)

    monkeypatch.setattr(os, "read", read_and_refill)
    answered(lambda: unread.tail(reading))
    monkeypatch.undo()
    assert 1 < reads < 100
