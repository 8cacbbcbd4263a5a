"""How long messages take from being published to being finished, as quantiles over the last minutes. Pure.

A latency is counted in a bucket whose bounds are 2 % apart, so that a quantile is told within 1 % however many there
are, and two histograms are added bucket by bucket (Masson, Rim, Lee: DDSketch, VLDB 2019). A window has two halves, of
which the older is forgotten when the newer is full, as in nsqd.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

__all__ = ["LatencyWindow", "latency_json"]

_ERROR: Final = 0.01
_GROWTH: Final = (1 + _ERROR) / (1 - _ERROR)
_PER_LOG: Final = 1 / math.log(_GROWTH)
_SMALLEST_S: Final = 1e-6
"""Latencies below are counted as this."""
_NS_PER_S: Final = 1_000_000_000


class LatencyWindow:
    """The latencies of a channel in the last minutes.

    Args:
        window_s: how far back it looks.
        now: by a clock that only rises.
    """

    __slots__ = ("_before", "_buckets", "_half_s", "_largest_before_s", "_largest_s", "_turned_at")

    def __init__(self, window_s: float, now: float) -> None:
        self._half_s = window_s / 2
        self._turned_at = now
        self._buckets: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self._largest_s = self._largest_before_s = 0.0

    def add(self, latency_s: float, now: float) -> None:
        """Count a message that was finished now."""
        if now - self._turned_at >= self._half_s:
            self._turn(now)
        latency_s = max(latency_s, _SMALLEST_S)
        self._largest_s = max(latency_s, self._largest_s)
        bucket = math.ceil(math.log(latency_s) * _PER_LOG)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def counted(self, now: float) -> tuple[Counter[int], float]:
        """How many there are in which bucket, and the largest."""
        if now - self._turned_at >= self._half_s:
            self._turn(now)
        return Counter(self._buckets) + Counter(self._before), max(self._largest_s, self._largest_before_s)

    def _turn(self, now: float) -> None:
        """Forget the older half; the newer becomes the older."""
        halves = int((now - self._turned_at) / self._half_s)
        self._before, self._largest_before_s = (self._buckets, self._largest_s) if halves == 1 else ({}, 0.0)
        self._buckets, self._largest_s = {}, 0.0
        self._turned_at += halves * self._half_s


def latency_json(windows: Iterable[LatencyWindow], quantiles: Sequence[float], now: float) -> dict[str, Any]:
    """What ``/stats`` says of a channel, or of all channels of a topic together; values are nanoseconds.

    Args:
        windows: of the channels.
        quantiles: which are asked for. None: the statistics are off.
        now: by the windows' clock.
    """
    if not quantiles:
        return {"count": 0, "percentiles": None}
    buckets: Counter[int] = Counter()
    largest_s = 0.0
    for window in windows:
        counted, largest_of_one_s = window.counted(now)
        buckets += counted
        largest_s = max(largest_s, largest_of_one_s)
    total = buckets.total()
    ordered = sorted(buckets.items())
    return {
        "count": total,
        "percentiles": [
            {"quantile": quantile, "value": round(_quantile_s(ordered, total, largest_s, quantile) * _NS_PER_S)}
            for quantile in quantiles
        ],
    }


def _quantile_s(ordered: Sequence[tuple[int, int]], total: int, largest_s: float, quantile: float) -> float:
    """The latency that so large a part of all does not exceed."""
    if not total:
        return 0.0
    if quantile >= 1:
        return largest_s
    rank = max(1, math.ceil(quantile * total))
    for bucket, count in ordered:
        rank -= count
        if rank <= 0:
            # The middle of the bucket, in the sense that both ends are as far away in proportion.
            return min(largest_s, 2 * _GROWTH**bucket / (_GROWTH + 1))
    return largest_s
