"""Fairness: the rank that puts the tenants of a queue into turns.

A job of a fair queue has a tenant, and takes that tenant's next turn when it joins the line of ready jobs anew. The
turn is its rank, a number by which the jobs of a queue and a priority are ordered before their arrival. The rank is
fixed then, so it costs nothing how many jobs wait, and of how many tenants. A job that leaves its line unleased gives a
turn back to its tenant.

For each priority of a fair queue a store knows two things: the rank of the last job that was leased, which never falls,
and the last rank that each tenant was given. A tenant that was away begins at the first: it has saved nothing up. Which
queues are fair: those in which a job of a task with a `FairRule` has joined, as long as jobs have places in them.
Pure; the state is the store's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from penstock.model.flow import FairRule

TURN: Final = 1 << 20
"""How far apart two turns of a tenant of weight 1 are."""
NOBODY: Final = ""
"""The tenant of jobs that name none, of tasks without fairness too, and of those beyond `limits.FAIR_TENANTS_MAX`."""


def tenant_of(rule: FairRule | None, values: Mapping[str, str] | None) -> str:
    """Whose a job is.

    Args:
        rule: of its task; None: it has none.
        values: as in `JobEntry.values`.
    """
    if rule is None or not values:
        return NOBODY
    return values.get(rule.by, NOBODY)


def turn_of(rule: FairRule | None, tenant: str) -> int:
    """How far apart two turns of a tenant are: the less, the heavier it is."""
    weight = 1.0 if rule is None else rule.weights.get(tenant, 1.0)
    return max(1, round(TURN / weight))


def next_rank(leased: int, last: int, turn: int) -> int:
    """The rank of a job that joins its line.

    Args:
        leased: the rank of the last job of its queue and priority that was leased.
        last: the rank that its tenant was given last; 0: none.
        turn: as `turn_of` says.
    """
    return max(leased, last) + turn
