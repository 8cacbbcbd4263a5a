"""An owner that keeps more finished records than the default: `python -m benchmarks.roomy_owner DIRECTORY`."""

from __future__ import annotations

import sys
from functools import partial

from benchmarks.stock import RECORDS_MAX
from penstock.store import embedded
from penstock.store.sqlite.store import SqliteStore

if __name__ == "__main__":
    embedded.SqliteStore = partial(SqliteStore, records_max=RECORDS_MAX)
    sys.exit(embedded.main())
