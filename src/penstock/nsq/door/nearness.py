"""How near a consumer is to its node, as both say. If that is asked for, the near ones get messages first. Pure."""

from __future__ import annotations

from typing import Final

from penstock.nsq.options import TOPOLOGY_AWARE, DoorOptions

__all__ = ["FAR", "IN_REGION", "IN_ZONE", "distance"]

IN_ZONE: Final = 0
IN_REGION: Final = 1
FAR: Final = 2


def distance(options: DoorOptions, region: str, zone: str) -> int:
    """How far a consumer is. All are equally near where nobody has asked, or the node does not say where it is.

    Args:
        options: of the node.
        region: where the consumer says that it is.
        zone: the same.
    """
    if TOPOLOGY_AWARE not in options.experiments:
        return IN_ZONE
    if options.topology_zone and zone == options.topology_zone:
        return IN_ZONE
    if options.topology_region and region == options.topology_region:
        return IN_REGION
    return FAR
