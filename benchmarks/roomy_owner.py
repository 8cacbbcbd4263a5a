"""An owner that keeps more finished records than the default: `python -m benchmarks.roomy_owner DIRECTORY`."""

from __future__ import annotations

import sys

from benchmarks.stock import RECORDS_MAX
from penstock.model import limits

# The engine takes its default from here when it is imported, so this comes first.
setattr(limits, "RECORDS_MAX", RECORDS_MAX)  # noqa: B010 - it is Final for everybody else

if __name__ == "__main__":
    from penstock.store.embedded import main

    sys.exit(main())
