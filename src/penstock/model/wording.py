"""English that depends on a word or a number that is not known when a message is written."""

from __future__ import annotations

__all__ = ["counted", "with_article"]


def with_article(name: str) -> str:
    """``a list``, ``an int``. Names that begin with u mostly sound like ``you``: ``a uuid.UUID``, ``a User``."""
    return f"an {name}" if name[:1] in "aeioAEIO" and name else f"a {name}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 job``, ``1,200 jobs``; ``many``: what several are called, where that is not ``one`` with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
