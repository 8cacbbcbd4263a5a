"""How the root understands an owner, which writes no JSON lines when it starts."""

from __future__ import annotations

import pytest

from penstock.model.errors import StoreUnavailable
from penstock.node.parts import _owner_word
from penstock.process.part_report import PartReport
from penstock.store.wire import protocol
from penstock.store.wire.client.reach import SERVING

LOST = b'{"failure":"The store was deleted.","lost":true}\n'


@pytest.mark.parametrize(
    ("said", "report"),
    [
        (SERVING, PartReport(ready=True)),
        (protocol.failure(StoreUnavailable("It is on NFS.")), PartReport(failure="It is on NFS.")),
        (LOST, PartReport(failure="The store was deleted.", lost=True)),
        (SERVING + LOST, PartReport(failure="The store was deleted.", lost=True)),
        (b"\xc1\xff", None),
    ],
)
def test_an_owner_serves_or_says_why_not_or_that_its_store_is_gone(said, report) -> None:
    assert _owner_word(said) == report
