"""Small worlds: a few jobs and workers, one key with its limit, and every order in which things may happen to them.

Where the state machine (`penstock.testing.machine`) draws long random lives, this is a search without chance: it goes
breadth-first through all states that a small world can reach, and looks in each for a breach of what a store promises.
What it says holds for worlds of that size, without a gap; a breach comes with the shortest way to it.

* `actions`: what may happen, and how large a world is. `world`: what comes of it, and what is promised.
* `watched`: the in-memory store, and what of it decides its future.
* `search`: through all states.
* `broken`: stores with one rule taken out. The search must find each of them.

``python -m penstock.testing.worlds`` searches and prints the figures.
"""
