"""Which NSQ is spoken. Pure."""

from __future__ import annotations

from typing import Final

NSQ_VERSION: Final = "1.3.0"
"""The version of NSQ whose protocol is spoken and whose flags are known. Clients tell features by it."""
