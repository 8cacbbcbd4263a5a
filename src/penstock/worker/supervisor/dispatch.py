"""Who gets what. Pure: lanes are told apart by their ledgers, ``now`` is handed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from penstock.model import limits
from penstock.worker.supervisor.ledger import LaneLedger, Piece

SHARE_S = 0.002
"""A lot that takes longer than this is shared among the lanes that are idle."""
RECALL_S_MAX = 1.0
"""Jobs behind one that runs longer than this are recalled even when no lane is idle: another worker may be."""

GIVE_BACK_AGAIN_S = 0.5
"""What went back to the store and came again is given back again after this, and after twice that the next time."""
GIVE_BACK_AGAIN_S_MAX = 2.0


@dataclass(slots=True)
class Backlog:
    """Jobs leased and not handed over, by kind of lane, in order of fence."""

    _pieces: dict[str, deque[Piece]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(self._counts.values())

    def count(self, kind: str) -> int:
        """Jobs waiting for this kind of lane."""
        return self._counts.get(kind, 0)

    def add(self, kind: str, piece: Piece) -> None:
        """Leased just now."""
        self._pieces.setdefault(kind, deque()).append(piece)
        self._counts[kind] = self.count(kind) + len(piece)

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
        return piece

    def fences(self) -> list[int]:
        """Every fence in it."""
        return [fence for pieces in self._pieces.values() for piece in pieces for fence in piece.fences]

    def clear(self, kind: str) -> list[int]:
        """Forget what waits for this kind of lane. Answers its fences."""
        self._counts[kind] = 0
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
        return found


def shares(lanes: Sequence[LaneLedger], waiting: int, now: float) -> Iterator[tuple[LaneLedger, int]]:
    """How many of ``waiting`` jobs each lane gets, lanes being of one kind.

    A lot goes to one lane when it can: that is cheapest. It is shared when it would keep one busy for long while others
    idle. Idle lanes come first, then those with most room.
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
        # A lane that is stalled or full of bytes wants no more than it has, however fast it was before.
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
"""Jobs leased and not handed over. Beyond: no more are leased."""
CRUMBS_S = 0.01
"""While jobs wait in the backlog, no less is asked for than is done in this time, or than an eighth of all wanted."""
REQUESTS_MAX = 3
"""Lease requests under way: the owner works on one while others' answers travel."""


def is_stuck(lanes: Sequence[LaneLedger], now: float) -> bool:
    """Whether none of these lanes, of one kind, has started anything for so long that what is leased for them and not
    handed over is better given back."""
    return bool(lanes) and all(lane.still(now, max(RECALL_S_MAX, 4 * (lane.per_job_s or 0.0))) for lane in lanes)


class GivingBack:
    """When what is leased for stuck lanes and not handed over goes back: as soon as they are stuck, then ever less
    often until they move. Lanes of another kind may be idle, for which more is leased all the time; and where no other
    worker takes what went back, it is the first that comes again."""

    def __init__(self) -> None:
        self._pauses: dict[str, tuple[float, float]] = {}

    def is_due(self, kind: str, waiting: int, now: float, *, stuck: bool) -> bool:
        """Whether to give back what waits for this kind of lane; it is taken for done.

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
    """Lanes, of one kind, whose waiting jobs would start sooner elsewhere."""
    idle = any(lane.ready and not lane.held and not lane.recalling for lane in lanes)
    found = []
    for lane in lanes:
        patience_s = 0.0 if idle else max(RECALL_S_MAX, 4 * (lane.per_job_s or 0.0))
        if lane.stalled_s(now) > patience_s:
            found.append(lane)
    return found
