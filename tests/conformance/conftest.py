import pytest

from penstock.store.sqlite import database

pytest.register_assert_rewrite("penstock.testing.conformance", "penstock.testing.machine")


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch):
    """Each of a thousand stores would write 8 MiB when it is opened; how much it is says nothing of its answers."""
    monkeypatch.setattr(database, "RESERVE_BYTES", 4096)
