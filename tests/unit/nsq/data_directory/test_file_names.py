"""The names of files, and what they say."""

from __future__ import annotations

import pytest

from penstock.nsq.data_directory.file_names import (
    DataFile,
    data_file,
    data_file_name,
    position_file_name,
    position_file_queue,
    topic_and_channel,
)


@pytest.mark.parametrize("queue", ["orders", "orders:mail", "a.diskqueue.000001.dat", "x#ephemeral:y"])
@pytest.mark.parametrize("number", [0, 7, 999_999, 1_000_000])
def test_a_name_that_is_made_is_read_again(queue: str, number: int) -> None:
    name = data_file_name(queue, number)
    assert data_file(name) == DataFile(queue, number, is_bad=False)
    assert data_file(f"{name}.bad") == DataFile(queue, number, is_bad=True)
    assert position_file_queue(name) is None
    assert position_file_queue(position_file_name(queue)) == queue
    assert data_file(position_file_name(queue)) is None


def test_names_are_those_of_nsqd() -> None:
    assert data_file_name("orders:mail", 3) == "orders:mail.diskqueue.000003.dat"
    assert position_file_name("orders") == "orders.diskqueue.meta.dat"


@pytest.mark.parametrize(
    "name", ["nsqd.dat", "orders.diskqueue.00001.dat", ".diskqueue.000001.dat", "orders.diskqueue.meta.dat.77.tmp"]
)
def test_other_names_are_none(name: str) -> None:
    assert data_file(name) is None
    assert position_file_queue(name) is None


@pytest.mark.parametrize(
    ("queue", "found"),
    [
        ("orders", ("orders", None)),
        ("orders:mail", ("orders", "mail")),
        ("n" * 64 + ":" + "c" * 64, ("n" * 64, "c" * 64)),
        ("orders:", None),
        (":mail", None),
        ("a:b:c", None),
        ("n" * 65, None),
        ("a b", None),
    ],
)
def test_a_queue_is_of_a_topic_or_of_a_channel(queue: str, found: tuple[str, str | None] | None) -> None:
    assert topic_and_channel(queue) == found
