"""Some tasks of `unruly_app` alone: coroutines, whose lane has the executor's main thread then."""

from __future__ import annotations

import unruly_app

from penstock.tasks.app import Penstock

app = Penstock()
for task in (unruly_app.leaves_async, unruly_app.looks_async, unruly_app.signals_async, unruly_app.terminate_async):
    app.task(task.function)
