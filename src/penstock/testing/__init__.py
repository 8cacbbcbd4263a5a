"""What Penstock is tested with, for its users too. Sees everything; nothing imports it.

* `clock`: `VirtualClock`, time that moves only when told.
* `memory`: `MemoryStore`, the store as a pure model: every other store must answer as it does.
* `running`: `run_ready`, a worker of one call, for the tests of an application.
* `conformance`: `StoreConformance`, the pytest suite that every store passes (needs pytest).
* `faults`: `FaultyVFS`, a disk under SQLite that is full, breaks or loses power when told to.
* `machine`: random calls on a store and on the model side by side (needs Hypothesis).
"""
