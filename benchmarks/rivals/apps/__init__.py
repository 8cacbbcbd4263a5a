"""One module a rival: its tasks, and how jobs are put in. Each runs in that rival's own environment.

A module has ``enqueue(kind, number)``, ``waiting()`` (jobs that the rival says it holds), and where the rival can,
``enqueue_many(kind, numbers)``; ``opened()`` connects and ``prepare()`` makes the tables, where there is such a thing.
They are plain functions or coroutine functions, as the rival's users would write them.
"""
