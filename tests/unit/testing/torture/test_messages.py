"""The part of the load that publishes and takes messages, against a store of its own."""

import threading

import pytest

from penstock.model.message_ids import copy_id, new_message_ids
from penstock.store.wire.client.blocking import Client
from penstock.testing.torture import messages
from penstock.testing.torture.load import Load
from penstock.testing.torture.records import Acked, Attempted, Execution, read
from penstock.testing.torture.stopping import Stopping


def test_a_copy_that_is_left_in_the_file_is_told_by_its_body_and_its_queue():
    body = b'r{"token":"a-1","more":"x"}'
    assert messages.row_of(body, "torture:mail") == ("penstock.message.mail", "a-1/mail")
    assert messages.row_of(body, "torture:mail:7") == ("penstock.message.mail", "a-1/mail")
    assert messages.QUEUES["penstock.message.mail"] == "torture:mail"


@pytest.mark.timeout(60)
def test_what_is_published_is_taken_once_from_each_channel(tmp_path):
    directory, log = tmp_path / "jobs", tmp_path / "log"
    client = Client.connect(directory)
    stopping, enough = Stopping(), threading.Event()
    load = Load(log, "messages-1", 7, "python")
    threads = [
        threading.Thread(target=messages.publish_messages, args=(directory, load, stopping)),
        threading.Thread(target=messages.consume_messages, args=(directory, log, "consumers-1", stopping)),
    ]
    for thread in threads:
        thread.start()
    while client.totals().counts.succeeded_total < 40:
        enough.wait(0.01)
    stopping.set()
    for thread in threads:
        thread.join()
    last = Stopping()
    consumer = threading.Thread(target=messages.consume_messages, args=(directory, log, "consumers-2", last))
    consumer.start()
    while client.totals().counts.ready + client.totals().counts.running:
        enough.wait(0.01)
    last.set()
    consumer.join()
    accepted = client.totals().counts.accepted_total
    client.hand_over()
    client.close()
    asked = {one.token for one in read(log / "attempts", Attempted)}
    acked = {one.token: one.id for one in read(log / "attempts", Acked)}
    taken = {one.token: one.id for one in read(log / "executions", Execution)}
    assert asked == acked.keys()
    assert acked == taken
    assert len(taken) == accepted > 0


def test_copies_have_the_slots_of_their_channels():
    (one,) = new_message_ids(1)
    assert len({copy_id(one, slot) for slot in range(len(messages.CHANNELS))}) == 2
