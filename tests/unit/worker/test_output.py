import os
import threading

import pytest

from penstock.worker.output import Output


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
    assert answered(lambda: output._read(reading)) == b""
    assert answered(lambda: output.tail(reading)) == ""
    output.forget(reading)
