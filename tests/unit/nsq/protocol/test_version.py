"""The version that clients tell features by."""

from __future__ import annotations

import re

from penstock.nsq.protocol.version import NSQ_VERSION


def test_it_is_three_numbers():
    assert re.fullmatch(r"\d+\.\d+\.\d+", NSQ_VERSION)
