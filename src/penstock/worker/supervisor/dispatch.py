"""Which lane gets how many jobs, how many are leased, and which are taken back. Pure: ``now`` is handed in.

`flow.Flow` and `supervisor.Supervisor` ask; a lane is known here by its `ledger.LaneLedger`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from penstock.model import limits
from penstock.worker.supervisor.lane_load import LaneLedger, Piece

SHARE_S = 0.002
"""Jobs that would keep one lane busy for longer than this are shared among the lanes that are idle."""
RECALL_S_MAX = 1.0
"""Jobs that wait behind one that runs longer than this are recalled even when no lane here is idle: another worker may
have one."""

GIVE_BACK_AGAIN_S = 0.5
"""A lane kind that is stuck gives its jobs back at once. If the store hands it jobs again, those go back after this
time, and after twice that the next time, up to `GIVE_BACK_AGAIN_S_MAX`."""
GIVE_BACK_AGAIN_S_MAX = 2.0


@dataclass(slots=True)
class Backlog:
    """Jobs leased and not handed over, by kind of lane, in order of fence.

    Attributes:
        limited: how many of them are limited.
    """

    _pieces: dict[str, deque[Piece]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    limited: int = 0

    def __len__(self) -> int:
        return sum(self._counts.values())

    def count(self, kind: str) -> int:
        """Jobs waiting for this kind of lane."""
        return self._counts.get(kind, 0)

    def add(self, kind: str, piece: Piece) -> None:
        """Add jobs that were just leased."""
        self._pieces.setdefault(kind, deque()).append(piece)
        self._counts[kind] = self.count(kind) + len(piece)
        self.limited += len(piece) if piece.limited else 0

    def first(self, kind: str) -> Piece | None:
        """The jobs that are handed over next; None: there are none."""
        pieces = self._pieces.get(kind)
        return pieces[0] if pieces else None

    def limited_of(self, kind: str | None) -> int:
        """How many limited jobs wait for this kind of lane; None: for any."""
        if not self.limited or kind is None:
            return self.limited
        return sum(len(piece) for piece in self._pieces.get(kind, ()) if piece.limited)

    def late(self, before: float) -> list[int]:
        """The fences of the limited jobs that were leased before this time."""
        found = [piece for pieces in self._pieces.values() for piece in pieces if piece.limited]
        return [fence for piece in found if piece.leased_at <= before for fence in piece.fences]

    def take(self, kind: str, count: int) -> Piece | None:
        """At most ``count`` jobs, from one lease. None: there is nothing."""
        pieces = self._pieces.get(kind)
        if not pieces or count <= 0:
            return None
        piece = pieces.popleft()
        if len(piece) > count:
            piece, rest = piece.split(count)
            pieces.appendleft(rest)
        self._counts[kind] -= len(piece)
        self.limited -= len(piece) if piece.limited else 0
        return piece

    def fences(self) -> list[int]:
        """Every fence in it."""
        return [fence for pieces in self._pieces.values() for piece in pieces for fence in piece.fences]

    def clear(self, kind: str) -> list[int]:
        """Forget what waits for this kind of lane. Answers its fences."""
        self._counts[kind] = 0
        self.limited -= self.limited_of(kind)
        return [fence for piece in self._pieces.pop(kind, ()) for fence in piece.fences]

    def drop(self, fences: set[int]) -> list[int]:
        """Forget these. Answers those that were here."""
        found: list[int] = []
        for kind, pieces in self._pieces.items():
            for at, piece in enumerate(pieces):
                gone = fences.intersection(piece.fences)
                if gone:
                    found.extend(gone)
                    pieces[at] = piece.select([i for i, fence in enumerate(piece.fences) if fence not in gone])
            self._pieces[kind] = kept = deque(piece for piece in pieces if len(piece))
            self._counts[kind] = sum(map(len, kept))
        self.limited = sum(len(piece) for pieces in self._pieces.values() for piece in pieces if piece.limited)
        return found


def shares(lanes: Sequence[LaneLedger], waiting: int, now: float) -> Iterator[tuple[LaneLedger, int]]:
    """How many of ``waiting`` jobs each lane gets, lanes being of one kind.

    All of them go to one lane where that has room, since one message is cheapest. They are shared when they would keep
    that lane busy for longer than `SHARE_S` while others are idle. Idle lanes come first, then those with most room.
    """
    able = [(lane, credit) for lane in lanes if (credit := lane.credit(now))]
    able.sort(key=lambda pair: (len(pair[0].held) >= pair[0].slots, -pair[1]))
    idle = sum(not lane.held for lane, _ in able)
    for lane, credit in able:
        if waiting <= 0:
            return
        count = min(credit, waiting)
        if idle > 1 and (lane.per_job_s is None or lane.per_job_s / lane.slots * count > SHARE_S):
            count = min(count, -(-waiting // idle))
        idle -= not lane.held
        waiting -= count
        yield lane, count


def shares_of_free(lanes: Sequence[LaneLedger], waiting: int, now: float) -> Iterator[tuple[LaneLedger, int]]:
    """How many of ``waiting`` limited jobs each lane gets, lanes being of one kind: none more than it can start at
    once, and those with most room first."""
    able = sorted(((free, at) for at, lane in enumerate(lanes) if (free := lane.free(now))), reverse=True)
    for place, (free, at) in enumerate(able):
        count = min(free, -(-waiting // (len(able) - place)))
        if count:
            waiting -= count
            yield lanes[at], count


def shares_in_order(
    kind: str, lanes: Sequence[LaneLedger], backlog: Backlog, now: float
) -> Iterator[tuple[LaneLedger, int]]:
    """As `shares`, where some of the jobs are limited: those go to lanes that start them at once. What was leased after
    them waits for them, because a lane is given fences that rise. Each share is handed over before the next is asked
    for."""
    while (piece := backlog.first(kind)) is not None:
        count = len(piece)
        for lane, share in shares_of_free(lanes, count, now) if piece.limited else shares(lanes, count, now):
            count -= share
            yield lane, share
        if count:
            return


class Asked(NamedTuple):
    """A lease request under way.

    Attributes:
        kind: the kind of lane that its jobs are for; None: any.
        limit: as in `penstock.model.job.LeaseRequest`.
        limited: as there.
    """

    kind: str | None
    limit: int
    limited: int


def to_ask(
    kind: str | None,
    lanes: Sequence[LaneLedger],
    backlog: Backlog,
    asked: Sequence[Asked],
    now: float,
    *,
    limited: bool,
) -> Asked | None:
    """The next request to make of the store for these lanes; None: none now.

    Args:
        kind: of the lanes; None: they are of any kind, and those of all kinds.
        backlog: leased, not handed over.
        asked: the requests under way for these lanes.
        limited: limits are known to be in force. Else no limited job is asked for.
    """
    waiting = len(backlog) if kind is None else backlog.count(kind)
    limit = appetite(lanes, waiting, sum([one.limit for one in asked]), len(asked), now)
    if not limited:
        return Asked(kind, limit, 0) if limit else None
    room = sum(lane.startable(now) for lane in lanes) - backlog.limited_of(kind) - sum(one.limited for one in asked)
    if not limit and len(asked) < REQUESTS_MAX + LIMITED_REQUESTS_MAX:
        # What was asked for before was asked for when less could be started at once.
        limit = max(0, room)
    return Asked(kind, limit, min(limit, max(0, room))) if limit else None


def appetite(lanes: Iterable[LaneLedger], backlog: int, asked: int, requests: int, now: float) -> int:
    """How many jobs to ask the store for next; 0: none now.

    Args:
        backlog: leased, not handed over.
        asked: limits of the requests under way, together.
        requests: how many those are.
    """
    wanted = held = 0
    rate = 0.0
    for lane in lanes:
        credit = lane.credit(now)
        # A lane without credit is stalled, or has as many bytes as it may: it wants no more than it has.
        wanted += lane.wanted() if credit else len(lane.held)
        held += len(lane.held)
        if lane.held and lane.per_job_s and not lane.still(now):
            rate += min(lane.slots, len(lane.held)) / lane.per_job_s
    room = min(wanted - held - backlog - asked, BACKLOG_JOBS_MAX - backlog)
    if requests >= REQUESTS_MAX or room < 1:
        return 0
    if room < wanted // 8 and (requests or (backlog and room < rate * CRUMBS_S)):
        return 0
    return min(room, max(1, -(-wanted // REQUESTS_MAX)), limits.LEASE_JOBS_MAX)


BACKLOG_JOBS_MAX = 4 * limits.PREFETCH_JOBS_MAX
"""Jobs that are leased and not handed over. Beyond: no more are leased."""
CRUMBS_S = 0.01
"""While the backlog is not empty, a lease asks for at least as many jobs as are done in this time, or for an eighth of
all that are wanted: many small leases cost more than few large ones."""
REQUESTS_MAX = 3
"""Lease requests under way at most. With several, the owner works on one while the answer to another travels."""


LIMITED_REQUESTS_MAX = 2
"""Lease requests under way besides, for limited jobs that can be started since the others were made."""
LIMITED_WAIT_S_MAX = 0.3
"""Limited jobs that no lane could start for so long go back to the store: another worker may have a lane that can."""


def is_stuck(lanes: Sequence[LaneLedger], now: float) -> bool:
    """Whether none of these lanes, which are all of one kind, has started a job for so long that the jobs leased for
    them and not handed over had better go back to the store."""
    return bool(lanes) and all(lane.still(now, max(RECALL_S_MAX, 4 * (lane.per_job_s or 0.0))) for lane in lanes)


class GivingBack:
    """Decides when jobs that are leased for stuck lanes, and not handed over, go back to the store.

    They do as soon as the lanes are stuck. They may come again: this worker leases on for its lanes of other kinds, and
    if no other worker takes what went back, it is first in the line. So from then on they go back less and less often,
    until a lane starts a job.
    """

    def __init__(self) -> None:
        self._pauses: dict[str, tuple[float, float]] = {}

    def is_due(self, kind: str, waiting: int, now: float, *, stuck: bool) -> bool:
        """Whether to give back now what waits for this kind of lane. If the answer is True, the caller does so.

        Args:
            waiting: how many jobs those are.
        """
        if not stuck:
            self._pauses.pop(kind, None)
            return False
        due, pause_s = self._pauses.get(kind, (now, GIVE_BACK_AGAIN_S))
        if not waiting or now < due:
            return False
        self._pauses[kind] = (now + pause_s, min(2 * pause_s, GIVE_BACK_AGAIN_S_MAX))
        return True


def to_recall(lanes: Sequence[LaneLedger], now: float) -> list[LaneLedger]:
    """Those of these lanes, all of one kind, whose waiting jobs are to be recalled because they would start sooner
    elsewhere."""
    idle = any(lane.ready and not lane.held and not lane.recalling for lane in lanes)
    found = []
    for lane in lanes:
        patience_s = 0.0 if idle else max(RECALL_S_MAX, 4 * (lane.per_job_s or 0.0))
        if lane.stalled_s(now) > patience_s:
            found.append(lane)
    return found
