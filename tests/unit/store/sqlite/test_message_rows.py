"""Messages on their way into rows."""

from __future__ import annotations

import pytest

from penstock.model.job import Enqueued, checksum
from penstock.model.message_ids import new_message_ids
from penstock.model.topics import MessageEntry, MessageGroup
from penstock.store.sqlite.message_rows import Fresh, duplicates, each_whole, insert_statement


def messages(count: int) -> list[MessageEntry]:
    return [MessageEntry(one, b"rx", checksum(b"rx")) for one in new_message_ids(count)]


def test_messages_of_a_request_have_their_places_in_it() -> None:
    groups = [MessageGroup(messages(2)), MessageGroup([]), MessageGroup(messages(3))]
    assert [list(one.places) for one in each_whole(groups)] == [[0, 1], [], [2, 3, 4]]


def test_those_that_are_there_already_are_told_by_their_places() -> None:
    some = messages(3)
    told = list(duplicates(Fresh(some, [4, 5, 6]), {some[1].id}))
    assert told == [Enqueued(4, some[0].id, None, duplicate=True), Enqueued(6, some[2].id, None, duplicate=True)]


@pytest.mark.parametrize("has_values", [False, True])
def test_one_statement_inserts_the_copies_of_many_messages(has_values: bool) -> None:
    statement = insert_statement(4, 3, has_keys=False, has_values=has_values)
    assert statement.count("(?") == 4 * 3
