from penstock.model import limits
from penstock.testing.conformance import JobConformance
from tests.conformance.shelf_store import ShelfStore


class TestShelfStore(JobConformance):
    """The contract can be met by somebody who has nothing but its text: that of jobs and topics."""

    def make_store(self, clock, *, records_max=limits.RECORDS_MAX, dead_max=limits.DEAD_MAX):
        return ShelfStore(clock, records_max=records_max, dead_max=dead_max)
