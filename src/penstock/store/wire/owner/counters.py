"""What an owner counts of its groups."""

from __future__ import annotations


class Counters:
    """What `OwnerStatistics` shows of groups."""

    def __init__(self) -> None:
        self.groups = 0
        self.requests = 0
        self.deferred = 0
        self.repeated = 0
        self.returned = 0
        self.commits = 0
        self.retried_groups = 0
        self.group_requests_max = 0
        self.commit_s_max = 0.0
        self.ticks = 0
