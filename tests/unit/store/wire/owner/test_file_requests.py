"""Requests about the store's file are done beside the transactions of others."""

import pytest

from penstock.model import limits
from penstock.model.errors import CareFailed, Conflict, InvalidOption
from penstock.store.sqlite import file_copy
from penstock.store.wire.client.blocking import Client


@pytest.fixture
def client(served):
    with_owner = Client(served.dial)
    yield with_owner
    with_owner.close()


def test_a_copy_is_made_while_others_enqueue(served, client, groups, tmp_path, monkeypatch):
    monkeypatch.setattr(file_copy, "_PAGES_AT_ONCE", 1)
    monkeypatch.setattr(limits, "SLICE_S", 1e-9)
    target = str(tmp_path / "copy.unfinished")
    client.enqueue(groups(*range(500)))
    other = Client(served.dial)
    step = client.copy_file(target, begin=True)
    steps = 1
    while not step.is_done:
        assert other.enqueue(groups(1)).accepted == 1
        step = client.copy_file(target)
        steps += 1
    assert steps > 5
    assert step.pages > 5
    other.close()


def test_a_refusal_is_told_to_who_asked(client, groups, tmp_path):
    with pytest.raises(InvalidOption):
        client.copy_file(str(tmp_path / "none" / "copy.unfinished"), begin=True)
    assert client.copy_file(str(tmp_path / "copy.unfinished")).is_unknown
    assert client.enqueue(groups(1)).accepted == 1


def test_a_failure_at_the_owner_is_told_and_noted(served, client, groups, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(served.engine, "copy_file", fail)
    with pytest.raises(CareFailed, match="ZeroDivisionError"):
        client.copy_file(str(tmp_path / "copy.unfinished"), begin=True)
    assert client.enqueue(groups(1)).accepted == 1
    assert "copy_file" in client.health().fault_counts


def test_statistics_of_the_file_are_answered(client, groups):
    client.enqueue(groups(1, 2))
    told = client.file_statistics()
    assert told.rows["task"] == 1
    assert told.cursor is None


def test_a_copy_goes_with_who_asked_for_it(served, client, groups, tmp_path, monkeypatch):
    monkeypatch.setattr(file_copy, "_PAGES_AT_ONCE", 1)
    monkeypatch.setattr(limits, "SLICE_S", 1e-9)
    client.enqueue(groups(*range(500)))
    gone = Client(served.dial)
    target, other = tmp_path / "copy.unfinished", tmp_path / "other.unfinished"
    assert not gone.copy_file(str(target), begin=True).is_done
    with pytest.raises(Conflict, match="being made already"):
        client.copy_file(str(other), begin=True)
    assert not gone.copy_file(str(target)).is_unknown
    gone.close()
    # The owner hears of that before it reads what is asked next.
    assert not client.copy_file(str(other), begin=True).is_done
    assert not target.exists()
    assert client.copy_file(str(target)).is_unknown
