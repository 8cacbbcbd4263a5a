"""Tasks that another process can import."""

from __future__ import annotations

from typing import Any

from penstock.tasks.app import Penstock
from penstock.tasks.retry import Retry
from penstock.testing.clock import VirtualClock
from penstock.testing.memory import MemoryStore

app = Penstock(store=MemoryStore(VirtualClock()))


@app.task(name="p.double", retry=Retry(on=(OSError, KeyError)))
def double(x: int) -> int:
    """Twice as much."""
    return 2 * x


def _half(x: int) -> int:
    return x // 2


halved = app.task(name="p.half")(_half)


def hidden() -> Any:
    """A task that no module has under a name."""
    return app.tasks.get("p.hidden") or app.task(name="p.hidden")(lambda x: x)


hidden()


class Shop:
    """Tasks may stand in a class."""

    @staticmethod
    @app.task(name="p.price")
    def price(x: int) -> int:
        return x + 1
