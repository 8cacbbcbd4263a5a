import pytest

from penstock.model import limits
from penstock.store.sqlite import database

pytest.register_assert_rewrite("penstock.testing.conformance", "penstock.testing.machine")


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch):
    """Each of a thousand stores would write 8 MiB when it is opened; how much it is says nothing of its answers."""
    monkeypatch.setattr(database, "RESERVE_BYTES", 4096)


@pytest.fixture(autouse=True)
def without_syncs(monkeypatch):
    """Whether the disk has it when a commit returns says nothing of a store's answers either, and no power fails here.
    Thousands of stores would wait for the disk at every call."""
    configure = database.Database._configure

    def configured(self):
        configure(self)
        self.connection.execute("PRAGMA synchronous=off")

    monkeypatch.setattr(database.Database, "_configure", configured)


@pytest.fixture(autouse=True)
def short_refusals(monkeypatch):
    """Hours pass here second by second. A third of them shows the same."""
    monkeypatch.setattr(limits, "REFUSED_S", limits.REFUSED_S / 3)
