"""What is told of the file of an embedded store: its sizes, how a copy of it comes along, what a check found."""

from __future__ import annotations

from msgspec import Struct


class FileStatistics(Struct, array_like=True, frozen=True):
    """The file of a store. Sizes are in bytes.

    Attributes:
        schema_version: of the tables in it.
        size_bytes: of the database, without its logs.
        log_bytes: of the write-ahead log, which is brought into the database now and then and written over.
        redo_bytes: of the redo log.
        reserve_bytes: of the file that is given up when the disk is full; 0: it was given up.
        disk_free_bytes: what the disk has left for this user.
        page_bytes: of one page.
        pages: in the database.
        pages_free: of those, how many nothing stands in. New rows are written there before the file grows.
        rows: by table, as far as they have been counted.
        cursor: ask again with it, and add the rows up; None: all have been counted.
    """

    schema_version: int
    size_bytes: int
    log_bytes: int
    redo_bytes: int
    reserve_bytes: int
    disk_free_bytes: int
    page_bytes: int
    pages: int
    pages_free: int
    rows: dict[str, int]
    cursor: str | None = None


class CopyStep(Struct, array_like=True, frozen=True):
    """How far the copy of a store's file is.

    Attributes:
        pages: of the whole database, as it is now.
        left: pages that are still to be copied. A transaction that is undone can make them more.
        is_done: the copy is whole, and is not written any more. It is not synced: that is up to who asked.
        is_unknown: no such copy is being made here, because the owner has been started again, or nobody has asked for
            the next step for `limits.COPY_IDLE_S`. Begin again.
    """

    pages: int = 0
    left: int = 0
    is_done: bool = False
    is_unknown: bool = False


class Finding(Struct, array_like=True, frozen=True):
    """Something that is wrong with a store.

    Attributes:
        name: which rule is broken, such as ``job-without-state``.
        detail: where, for people.
        count: how often.
    """

    name: str
    detail: str
    count: int = 1
