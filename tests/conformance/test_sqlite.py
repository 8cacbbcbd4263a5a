import itertools

import pytest

from penstock.model import limits
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance import StoreConformance


class TestSqliteStore(StoreConformance):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path):
        self.paths = (str(tmp_path / f"penstock-{number}.db") for number in itertools.count())

    def make_store(self, clock, *, records_max=limits.RECORDS_MAX, dead_max=limits.DEAD_MAX):
        self.path = next(self.paths)
        return SqliteStore(self.path, clock=clock, records_max=records_max, dead_max=dead_max)

    def reopen(self, store, clock):
        store.close()
        return SqliteStore(self.path, clock=clock)
