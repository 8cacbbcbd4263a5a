import msgspec

from penstock.model.job import JobError


def test_an_error_is_its_own_wire_form():
    error = JobError("ValueError", "no", "Traceback")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(error), type=JobError) == error
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(JobError("E", "m"))) == ["E", "m", None]
