"""Watches, while everything is being killed, whether more jobs of a key are leased than its limit allows.

The audit cannot tell from what is left: bodies that outlive their lease are not counted by a limit, and leases leave no
trace. So the store is asked again and again which jobs are leased.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Final

from penstock.model.errors import PenstockError
from penstock.model.job import Filter, JobView
from penstock.model.states import State
from penstock.ports import BlockingStore
from penstock.store.paging import full_page
from penstock.store.wire.client.blocking import Client
from penstock.tasks.app import Penstock
from penstock.testing.torture import tasks

_LOOK_S: Final = 0.05
_REACH_S: Final = 1.0
_MOST: Final = 1_000
_WHERE: Final = Filter(state=State.RUNNING, task=tasks.LIMITED)


class LimitWatch:
    """A thread that looks until it is closed. Use it in a with statement.

    Attributes:
        looks: how often it has seen which jobs are leased.
        breaches: keys with more leases than they may have, each with how many it had.
    """

    def __init__(self, directory: Path) -> None:
        self.looks = 0
        self.breaches: set[str] = set()
        self._directory = directory
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="limit watch", daemon=True)

    def __enter__(self) -> LimitWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            # The owner is killed now and then.
            with contextlib.suppress(PenstockError):
                client = Client.connect(self._directory, start_owner=False, reach_s=_REACH_S)
                with contextlib.closing(client):
                    while not self._closed.wait(_LOOK_S):
                        self.look(client)

    def look(self, client: BlockingStore) -> None:
        """Look once."""
        leased = full_page(client, _WHERE, limit=_MOST).jobs
        # A job that has ended since has its body as long as it has its record.
        views = client.get([view.id for view in leased], body=True) if leased else []
        self.looks += 1
        self.breaches |= over_limit([view for view in views if view is not None], tasks.app)


def over_limit(leased: list[JobView], app: Penstock) -> set[str]:
    """Groups of which more jobs are leased than may be.

    Args:
        leased: jobs of the task with a limit that are leased at one moment, with their bodies.
        app: with this task.
    """
    groups: Counter[str] = Counter()
    for view in leased:
        if view.body is not None:
            _, kwargs = app.get(view.task).decode(view.body)
            groups[kwargs["group"]] += 1
    return {f"{group}: {count} leases" for group, count in groups.items() if count > tasks.LIMIT}
