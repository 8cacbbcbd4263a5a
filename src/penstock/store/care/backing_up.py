"""Backup: a copy of a store that can be opened, made while the store is served.

The copy is a directory as the store's own, with the database in it. It has all that was accepted before the backup
began, and what was accepted until its last page was copied. While it is made it is called NAME.unfinished, and so is
the database in it; both get their names when everything is on the disk. An empty file ``penstock.db.unfinished`` lies
in it until then: no store is opened or made beside that. So what was cut off half-way is never taken for a backup.

The owner copies; this process has what was copied brought to the disk, some megabytes at a time, so that the owner's
own syncs do not wait behind all of it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from penstock.model import limits
from penstock.model.errors import CareFailed, InvalidOption
from penstock.model.store_file import CopyStep
from penstock.store import permissions
from penstock.store.care.reaching import looked_into, served_or_held
from penstock.store.directory import FORMAT_VERSION, StoreDirectory
from penstock.store.sqlite.file_copy import UNFINISHED, FileCopy
from penstock.store.sqlite.redo_log import redo_path

_LEFT: Final = frozenset({"format", "penstock.db", "penstock.db-redo", "owner.lock", "owner.log", "owner.sock"})
"""What else may lie where a backup was cut off. Some of it is left by an owner that was started there, and refused. One
that served a store there has left an ``identity`` too: that store is not removed."""
_MARK: Final = f"penstock.db{UNFINISHED}"
"""Where this lies nobody opens or makes a store (startup_check.py)."""
_BEGINNINGS_MAX: Final = 5
"""How often a copy is begun. It is begun anew when the owner dies meanwhile."""

Progress = Callable[[CopyStep], None]


class Backup(NamedTuple):
    """What was made.

    Attributes:
        size_bytes: of the database in it.
        beginnings: how often the copy had to be begun.
    """

    target: Path
    size_bytes: int
    seconds: float
    beginnings: int = 1


def back_up(directory: StoreDirectory, target: Path, told: Progress = lambda _: None) -> Backup:
    """Make a backup of a store.

    Args:
        target: the directory to be made. Its parent must be there.
        told: how far it is, now and then.

    Raises:
        InvalidOption: there is something at ``target``, or nothing can be made there.
        CareFailed: it could not be made. There is nothing at ``target``.
        StoreUnavailable: the store cannot be reached or opened.
    """
    started = time.monotonic()
    target = Path(os.path.abspath(target))
    unfinished = _place(target)
    try:
        database = unfinished / f"{directory.database.name}-copy{UNFINISHED}"
        beginnings = _copy(directory, database, told)
        size_bytes = _finish(database, unfinished, target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return Backup(target, size_bytes, time.monotonic() - started, beginnings)


def _place(target: Path) -> Path:
    """The empty directory in which the backup is made."""
    if os.path.lexists(target):
        raise InvalidOption(f"{target} is there already; name a directory that is not.", field="target")
    unfinished = target.with_name(f"{target.name}{UNFINISHED}")
    _remove_earlier(unfinished)
    try:
        unfinished.mkdir(mode=0o700)
        os.close(permissions.open_file(unfinished / _MARK, os.O_WRONLY | os.O_CREAT))
    except OSError as error:
        raise InvalidOption(f"{unfinished} cannot be made: {error.strerror}.", field="target") from error
    return unfinished


def _remove_earlier(unfinished: Path) -> None:
    """Remove what a backup left that was cut off. Anything else is left alone, and refused."""
    try:
        names = os.listdir(unfinished)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InvalidOption(f"{unfinished} is in the way: {error.strerror}.", field="target") from error
    if not all(name.endswith(UNFINISHED) or name in _LEFT for name in names):
        raise InvalidOption(f"{unfinished} is in the way: remove it, or name another directory.", field="target")
    shutil.rmtree(unfinished)


def _copy(directory: StoreDirectory, database: Path, told: Progress) -> int:
    """Copy the database, which is not synced to its end yet. Answers how often that was begun."""
    with served_or_held(directory) as client:
        if client is None:
            _copy_stopped(directory, database, told)
            return 1
        for beginning in range(1, _BEGINNINGS_MAX + 1):
            if copied(lambda begin: client.copy_file(str(database), begin=begin), database, told):
                return beginning
    raise CareFailed(f"The store's owner ended {_BEGINNINGS_MAX} times while the backup was made; see owner.log.")


def copied(step: Callable[[bool], CopyStep], database: Path, told: Progress) -> bool:
    """Ask for one step after the other. Answers False when the copy is unknown: begin anew.

    Args:
        step: asks for one; it is told whether it is the first.
        database: the file that is written.
    """
    synced_bytes = 0
    done = step(True)
    while not (done.is_done or done.is_unknown):
        told(done)
        if (size_bytes := _size_bytes(database)) - synced_bytes >= limits.COPY_SYNC_BYTES:
            _sync(database)
            synced_bytes = size_bytes
        done = step(False)
    told(done)
    return done.is_done


def _copy_stopped(directory: StoreDirectory, database: Path, told: Progress) -> None:
    """Copy the files of a store that nobody serves, as they are: what is in the redo log stays there."""
    with looked_into(directory) as connection:
        copy = FileCopy(connection, database, time.monotonic())
        try:
            copied(lambda _: copy.step(time.monotonic()), database, told)
        finally:
            copy.drop()
    redo = redo_path(directory.database)
    if redo.exists():
        shutil.copyfile(redo, redo_path(database.with_name(directory.database.name)))


def _finish(database: Path, unfinished: Path, target: Path) -> int:
    """Give everything its name, once it is on the disk. Answers the size of the database."""
    _sync(database)
    size_bytes = _size_bytes(database)
    whole = unfinished / "penstock.db"
    database.rename(whole)
    descriptor = permissions.open_file(unfinished / "format", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{FORMAT_VERSION}\n")
    (unfinished / _MARK).unlink()
    for path in (unfinished / "format", redo_path(whole), unfinished):
        if path.exists():
            _sync(path)
    try:
        unfinished.rename(target)
    except OSError as error:
        raise CareFailed(f"{target} cannot be made: {error.strerror}.") from error
    _sync(target.parent)
    return size_bytes


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise CareFailed(f"{path} cannot be brought to the disk: {error.strerror}.") from error
    finally:
        os.close(descriptor)


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
