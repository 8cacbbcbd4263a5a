"""What may be published, and how long its keys count."""

import pytest

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.job import checksum
from penstock.model.message_ids import new_message_ids
from penstock.model.topic_acceptance import check_messages
from penstock.model.topics import MessageEntry, MessageGroup

NOW = 1_800_000_000.0


def messages(**options):
    """A group of two messages."""
    entries = [MessageEntry(one, b"r", checksum(b"r"), "k") for one in new_message_ids(2)]
    return MessageGroup(entries, **options)


@pytest.mark.parametrize("idempotency_s", [None, 0.001, 5.0, limits.IDEMPOTENCY_S_MAX])
def test_keys_count_as_long_as_is_asked_for(idempotency_s):
    group = messages(idempotency_s=idempotency_s)
    assert check_messages("orders", [group, group], NOW) == 4
    assert group.keys_count_s == (limits.IDEMPOTENCY_S if idempotency_s is None else idempotency_s)


@pytest.mark.parametrize("idempotency_s", [0.0, -1.0, float("nan"), limits.IDEMPOTENCY_S_MAX * 1.01])
def test_for_no_time_or_too_long_keys_do_not_count(idempotency_s):
    with pytest.raises(InvalidOption, match="IDEMPOTENCY_S_MAX") as refused:
        check_messages("orders", [messages(idempotency_s=idempotency_s)], NOW)
    assert refused.value.field == "idempotency_s"
