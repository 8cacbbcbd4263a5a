"""What one NSQ client may have, against what it needs."""

from __future__ import annotations

from penstock.model import limits
from penstock.nsq.protocol.names import NAME_BYTES_MAX


def test_every_line_that_a_client_needs_fits_many_times():
    line = b"SUB %s %s\r\n" % (b"x" * NAME_BYTES_MAX, b"x" * NAME_BYTES_MAX)
    assert len(line) * 10 < limits.NSQ_LINE_BYTES_MAX


def test_names_that_are_remembered_are_little():
    assert limits.NSQ_KNOWN_NAMES_MAX * (NAME_BYTES_MAX + 256) < 2 * 1024 * 1024
