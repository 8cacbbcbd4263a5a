"""The wire form of what is recorded of a task."""

import msgspec

from penstock.model import limits
from penstock.model.flow import TaskFlow
from penstock.model.job import TaskRecord


def test_a_record_of_an_older_worker_declares_no_flow():
    packed = msgspec.msgpack.encode(["app.ship", "q", 3])
    assert msgspec.msgpack.decode(packed, type=TaskRecord) == TaskRecord("app.ship", "q", 3)
    assert TaskRecord("app.ship").keep_record_s == limits.KEEP_RECORD_S


def test_a_record_arrives_as_it_was_sent():
    record = TaskRecord("app.ship", tags=("x",), schema="{}", flow=TaskFlow(searchable=("order",)))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=TaskRecord) == record
