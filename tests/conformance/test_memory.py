from penstock.model import limits
from penstock.testing.conformance import StoreConformance
from penstock.testing.memory import MemoryStore


class TestMemoryStore(StoreConformance):
    def make_store(self, clock, *, records_max=limits.RECORDS_MAX, dead_max=limits.DEAD_MAX):
        return MemoryStore(clock, records_max=records_max, dead_max=dead_max)
