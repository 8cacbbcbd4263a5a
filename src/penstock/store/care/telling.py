"""Sizes and rows of a store's file, whether it is served or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from penstock.model.store_file import FileStatistics
from penstock.store.care.reaching import looked_into, served_or_held
from penstock.store.directory import StoreDirectory
from penstock.store.sqlite.file_care import file_statistics


def statistics_of(directory: StoreDirectory) -> FileStatistics:
    """What there is to tell of a store's file. Nothing is changed.

    Raises:
        StoreUnavailable: the store cannot be reached or read.
    """
    with served_or_held(directory) as client:
        if client is not None:
            return _all(client.file_statistics)
        with looked_into(directory) as connection:
            return _all(partial(file_statistics, connection, directory.database, for_s=math.inf))


def _all(ask: Callable[[str | None], FileStatistics]) -> FileStatistics:
    """All parts, with the rows added up."""
    rows: dict[str, int] = {}
    cursor = None
    while True:
        told = ask(cursor)
        for table, count in told.rows.items():
            rows[table] = rows.get(table, 0) + count
        if told.cursor is None:
            return replace(told, rows=rows)
        cursor = told.cursor
