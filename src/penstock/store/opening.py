"""Opens the store that a url names. The url's scheme says which kind of store it is.

A path without a scheme is a directory: an embedded store, whose owner is found or started. There is no other kind yet.
One that is added has its scheme in `check_url`, and is opened in `open_store` and `open_async_store`; who opens a store
needs to know none of them. What a kind needs is imported when it is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from penstock.config import absolute
from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.ports import AsyncStore, BlockingStore

_PLANNED: Final = frozenset({"redis", "rediss", "postgresql", "postgres", "kafka"})
"""Schemes of stores that there will be."""


def check_url(url: object, base: str | None = None) -> str:
    """A place for jobs: the absolute path of a directory. A relative one begins at ``base``, or where the process is.

    Raises:
        InvalidOption: it is something else.
    """
    if isinstance(url, Path):
        url = str(url)
    if not isinstance(url, str) or not url or "\0" in url:
        raise InvalidOption(f"url is {url!r}: give the path of a directory.", field="url")
    scheme, mark, _ = url.partition("://")
    if mark and "/" not in scheme:
        why = "is not there yet" if scheme.strip().lower() in _PLANNED else "names no kind of store"
        raise InvalidOption(
            f"url begins with {scheme}://, which {why}: this version keeps jobs in a directory.", field="url"
        )
    return absolute(url, base)


def open_store(
    url: str | Path, *, start_owner: bool = True, reach_s: float = limits.RECONNECT_S_MAX, role: str = "client"
) -> BlockingStore:
    """The store at ``url``, for threads, connected.

    Args:
        url: see `check_url`.
        start_owner: of a directory: start an owner where there is none; False: wait for somebody else to.
        reach_s: how long a call may go without an answer, beyond the wait it asks for; then it raises StoreUnavailable.
        role: what this process is, for people: gate, supervisor, client.

    Raises:
        InvalidOption: the url names no store that can be opened.
        StoreUnavailable: it cannot be reached or opened.
    """
    from penstock.store.wire.client.blocking import Client

    return Client.connect(check_url(url), start_owner=start_owner, reach_s=reach_s, role=role)


async def open_async_store(
    url: str | Path,
    *,
    start_owner: bool = True,
    reach_s: float = limits.RECONNECT_S_MAX,
    role: str = "client",
    held: Callable[[], list[int]] | None = None,
    holders: bytes | None = None,
) -> AsyncStore:
    """The store at ``url``, for the running event loop, connected.

    Args:
        url, start_owner, reach_s, role: see `open_store`.
        held: answers the fences that the caller holds. Asked after every reconnect, before anything else is sent:
            leases of its that it does not list are released, because their answers were lost on the way.
        holders: the front of the names of holders that the caller has many of, one for each connection of a door
            (`penstock.model.deliveries.door_holders`): their leases are reconciled all at once.

    Raises:
        InvalidOption, StoreUnavailable: as `open_store`.
    """
    from penstock.store.wire.client.async_client import AsyncClient

    place = check_url(url)
    return await AsyncClient.connect(
        place, start_owner=start_owner, reach_s=reach_s, role=role, held=held, holders=holders
    )
