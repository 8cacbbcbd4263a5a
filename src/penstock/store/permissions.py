"""Files and sockets for this user alone, on a machine that others use too.

The files in a store's directory are read and written by its user only. So the directory must belong to that user, no
file in it may belong to another user or be a symbolic link, and a client talks to a socket only when this user, or
root, listens on it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import re
import socket
import stat
import struct
from pathlib import Path
from typing import Final

from penstock.model.errors import StoreUnavailable

__all__ = ["check_directory", "check_listener", "check_place", "open_file", "peer", "tighten"]

OTHERS: Final = 0o077
"""The bits of a mode that are for anybody else."""
_OTHERS_WRITE: Final = 0o022
_OURS: Final = re.compile(
    r"penstock\.db.*|reserve.*|owner\.(lock|sock|log)|format(\.new)?|identity|\.?processes\.json.*|lost\+found"
)
"""The names of the files that a store makes in its directory."""
_CREDENTIALS: Final = struct.Struct("3i")


def check_directory(path: Path) -> None:
    """Pass when a store may live in this directory. One that holds nothing but a store is closed to other users.

    Raises:
        StoreUnavailable: the directory is another user's, or others can write there and it holds other things too.
    """
    found = path.lstat()
    if found.st_uid != os.geteuid():
        raise StoreUnavailable(
            f"{path} belongs to {_user(found.st_uid)}, and this process runs as {_user(os.geteuid())}; "
            "name a directory of its own for the store, such as a new one inside it."
        )
    if not found.st_mode & OTHERS:
        return
    # A directory that cannot be listed, and a file system that knows no modes, are no reason to refuse.
    with contextlib.suppress(OSError):
        if all(_OURS.fullmatch(name) for name in os.listdir(path)):
            with contextlib.suppress(OSError):
                path.chmod(0o700)
            return
    if found.st_mode & _OTHERS_WRITE:
        raise StoreUnavailable(
            f"Others can write to {path} (mode {stat.S_IMODE(found.st_mode):o}), and it holds other things than a "
            "store: name a new directory inside it, or take away their right to write."
        )


def tighten(directory: Path) -> None:
    """Check every file of a store in its directory, and take away other users' rights to it. Call this before any of
    the files is opened: closing a file here would let go of a lock on it.

    Raises:
        StoreUnavailable: one is a symbolic link, another user's, or no file.
    """
    for name in os.listdir(directory):
        if _OURS.fullmatch(name) and name not in {"lost+found", "owner.sock"}:
            os.close(open_file(directory / name, os.O_RDONLY))


def check_place(path: Path) -> None:
    """Pass when there is nothing at ``path``, or a file of this user. The file is not opened.

    Raises:
        StoreUnavailable: there is a symbolic link, another user's file, or something that is no file.
    """
    with contextlib.suppress(FileNotFoundError):
        _check(path, path.lstat())


def open_file(path: Path, flags: int) -> int:
    """A descriptor of a file that belongs to this user and is closed to others. With O_CREAT the file is made. No link
    is followed.

    Raises:
        StoreUnavailable: there is a symbolic link, another user's file, or something that is no file.
        OSError: the file cannot be opened for another reason.
    """
    try:
        # Without O_NONBLOCK a pipe in its place would hold this process up.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO, errno.ENODEV}:
            check_place(path)
        raise
    try:
        found = os.fstat(descriptor)
        _check(path, found)
        if found.st_mode & OTHERS:
            # Some file systems know no modes.
            with contextlib.suppress(PermissionError):
                os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise StoreUnavailable(f"{path} is a symbolic link, and none is followed in a store: remove it.")
    if not stat.S_ISREG(found.st_mode):
        raise StoreUnavailable(f"{path} is no file, where a store has one: remove it.")
    if found.st_uid != os.geteuid():
        raise StoreUnavailable(
            f"{path} belongs to {_user(found.st_uid)}, and this process runs as {_user(os.geteuid())}: "
            "a store's files are its user's own."
        )


def check_listener(sock: socket.socket, path: Path) -> None:
    """Pass when the process at the other end of a connected socket is this user's, or root's. Root also talks to the
    owner of the directory ``path``. Where the system does not tell, pass.

    Raises:
        StoreUnavailable: another user's process listens.
    """
    told = peer(sock)
    if told is None or told[1] in {os.geteuid(), 0}:
        return
    if os.geteuid() == 0 and path.stat().st_uid == told[1]:
        return
    raise StoreUnavailable(
        f"The process that listens in {path} is {_user(told[1])}'s, and this one runs as {_user(os.geteuid())}: "
        "it is not given any jobs."
    )


def peer(sock: socket.socket) -> tuple[int, int] | None:
    """Process and user at the other end of a connected unix socket; None: the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    pid, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid


def _user(number: int) -> str:
    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"
