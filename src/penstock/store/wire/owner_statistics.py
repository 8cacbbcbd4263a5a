"""What an owner tells of itself, to whoever asks."""

from __future__ import annotations

from msgspec import Struct


class OwnerStatistics(Struct, frozen=True):
    """What an owner has done since it started.

    Attributes:
        groups: times that pending requests were applied together.
        commits: transactions committed; a group that only read, or was deferred, needs none.
        deferred: enqueues answered from the redo log, without a transaction of their own.
        retried_groups: groups that failed and were applied again one request at a time.
        group_requests_max: the most requests in one group.
        commit_s_max: the longest commit.
        parked_leases, parked_waits: now.
        returned: leases released because the answer that gave them was lost on the way.
        refused: connections closed with a reason.
        places: how many connections there may be.
        turned_away: connections refused because there was no room for them.
        silent: connections closed because they said no hello.
    """

    pid: int
    epoch: int
    groups: int = 0
    requests: int = 0
    deferred: int = 0
    repeated: int = 0
    returned: int = 0
    commits: int = 0
    retried_groups: int = 0
    group_requests_max: int = 0
    commit_s_max: float = 0.0
    received_bytes: int = 0
    sent_bytes: int = 0
    parked_leases: int = 0
    parked_waits: int = 0
    connections: int = 0
    refused: int = 0
    ticks: int = 0
    places: int = 0
    turned_away: int = 0
    silent: int = 0
