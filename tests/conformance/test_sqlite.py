import itertools
from contextlib import closing

import apsw
import pytest

from penstock.model import limits
from penstock.store.sqlite.file_check import check_file
from penstock.store.sqlite.store import SqliteStore
from penstock.testing.conformance import StoreConformance


class TestSqliteStore(StoreConformance):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path):
        """Whatever a test did, `penstock store check` finds nothing wrong afterwards, but for arguments that were sent
        with a wrong checksum."""
        self.paths = (str(tmp_path / f"penstock-{number}.db") for number in itertools.count())
        yield
        for path in tmp_path.glob("*.db"):
            with closing(apsw.Connection(str(path))) as connection:
                findings = check_file(connection).findings
            assert [one for one in findings if one.name != "body-damaged"] == []

    def make_store(self, clock, *, records_max=limits.RECORDS_MAX, dead_max=limits.DEAD_MAX):
        self.path = next(self.paths)
        return SqliteStore(self.path, clock=clock, records_max=records_max, dead_max=dead_max)

    def reopen(self, store, clock):
        store.close()
        return SqliteStore(self.path, clock=clock)
