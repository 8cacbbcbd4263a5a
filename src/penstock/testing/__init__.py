"""What Penstock is tested with, for its users too. Sees everything; nothing imports it.

* `clock`: `VirtualClock`, time that moves only when told.
* `memory`: `MemoryStore`, the store as a pure model: every other store must answer as it does.
* `conformance`: `StoreConformance`, the pytest suite that every store passes (needs pytest).
* `machine`: random calls on a store and on the model side by side (needs Hypothesis).
"""
