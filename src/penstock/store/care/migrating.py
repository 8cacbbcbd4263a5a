"""Upgrade of a store to the schema of this Penstock, which every opening does as well: shown, or done on its own."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import NamedTuple

from penstock.store.care.reaching import EarlierOwner, looked_into, opened, served_or_held, stopped
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite.database import SCHEMA_VERSION
from penstock.store.sqlite.schema_upgrades import planned


class Migration(NamedTuple):
    """What there is to do, or was done.

    Attributes:
        version: of the store's schema before.
        target: that of this Penstock. Lower than ``version``: this Penstock is too old for the store.
        steps: the versions that the upgrade goes through.
        rewrites: most of the file is written anew.
        needed_bytes, free_bytes: space that is needed, and that there is.
        seconds: how long it took.
        is_done: there was something to do, and it was done.
    """

    version: int
    target: int
    steps: list[int]
    rewrites: bool
    needed_bytes: int
    free_bytes: int
    seconds: float = 0.0
    is_done: bool = False

    @property
    def can_be_done(self) -> bool:
        """Whether there is room, and this Penstock knows the schema."""
        return self.version <= self.target and self.needed_bytes <= self.free_bytes


def plan(directory: StoreDirectory) -> Migration:
    """What an upgrade would do. Nothing is changed.

    Raises:
        EarlierOwner: an owner of an earlier version of Penstock serves the store.
        StoreUnavailable: the store cannot be reached or read.
    """
    with served_or_held(directory) as client:
        if client is not None:
            told = client.file_statistics()
            return _planned(directory, told.schema_version, (told.pages - told.pages_free) * told.page_bytes)
        return _look(directory)


def migrate(directory: StoreDirectory) -> Migration:
    """Upgrade the store, if there is anything to do and it can be done. A detached owner is asked to leave; clients
    wait for the next.

    Raises:
        CareFailed: an owner serves the store and stays.
        StoreUnavailable: the store cannot be read or opened.
    """
    with suppress(EarlierOwner):
        found = plan(directory)
        if not (found.steps and found.can_be_done):
            return found
    with stopped(directory):
        found = _look(directory)
        if not (found.steps and found.can_be_done):
            return found
        started = time.monotonic()
        with opened(directory):
            pass
        return found._replace(seconds=time.monotonic() - started, is_done=True)


def _look(directory: StoreDirectory) -> Migration:
    """The plan for a store whose lock is held."""
    with looked_into(directory) as connection:
        used = int(connection.pragma("page_count")) - int(connection.pragma("freelist_count"))
        size_bytes = used * int(connection.pragma("page_size"))
        return _planned(directory, int(connection.pragma("user_version")), size_bytes)


def _planned(directory: StoreDirectory, version: int, size_bytes: int) -> Migration:
    upgrade = planned(version, SCHEMA_VERSION, size_bytes)
    disk = os.statvfs(directory.path)
    free_bytes = disk.f_bavail * disk.f_frsize
    return Migration(version, SCHEMA_VERSION, upgrade.steps, upgrade.rewrites, upgrade.needed_bytes, free_bytes)
