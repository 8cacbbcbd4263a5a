"""Which version is installed."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "0+unknown"
"""For a package that runs from its sources and was never installed."""


def installed_version(distribution: str = "penstock") -> str:
    """The version of an installed distribution, from its metadata; `UNKNOWN` where it has none."""
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return UNKNOWN
