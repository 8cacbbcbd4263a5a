"""Who is compared, in the order of the table; Penstock first."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.rivals import on_postgres, on_redis, on_sqlite
from benchmarks.rivals.penstock import PenstockContender
from benchmarks.rivals.rival import Rival

RIVALS: Sequence[Rival] = (*on_redis.RIVALS, *on_sqlite.RIVALS, *on_postgres.RIVALS)
Contender = PenstockContender | Rival


def chosen(names: Sequence[str]) -> list[Rival]:
    """The rivals of these names; all of them when none is named. A name is enough to its first comma.

    Raises:
        ValueError: there is no such rival.
    """
    if not names:
        return list(RIVALS)
    found = [rival for rival in RIVALS if rival.name in names or rival.name.partition(",")[0] in names]
    known = {rival.name for rival in found} | {rival.name.partition(",")[0] for rival in found}
    unknown = [name for name in names if name not in known]
    if unknown:
        everybody = ", ".join(sorted({rival.name for rival in RIVALS}))
        raise ValueError(f"There is no rival {unknown[0]}: choose from {everybody}.")
    return found
