"""An embedded store's directory: what lies in it, who may own it, where its socket is.

* ``penstock.db`` (with ``-wal`` and ``-shm``, and ``-redo``, the redo log): opened by the owner alone
* ``reserve``: a file that is given up when the disk is full, so that accepted jobs can still be worked off
* ``owner.lock``: the owner holds the ``flock`` on it; its text says which process that is, for people and programs
* ``penstock.db-redo-refused``: records of the redo log that could not be applied (sqlite/redo_quarantine.py)
* ``identity``: a note of the last owner about its files, so that a missing file is noticed (startup_check.py)
* ``format``: the version of the directory's layout
* ``owner.sock``: the owner's socket, for this user only
* ``owner.log``: the log of a detached owner
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from penstock.model import limits
from penstock.model.errors import StoreUnavailable
from penstock.store import permissions

FORMAT_VERSION: Final = 1
_FORMAT_CHARACTERS_MAX: Final = 100
MOUNTINFO: Final = Path("/proc/self/mountinfo")
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "beegfs",
        "gpfs",
        "ocfs2",
        "gfs2",
        "davfs",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.ceph",
        "fuse.s3fs",
        "fuse.rclone",
        "fuse.gcsfuse",
        "fuse.davfs2",
        "fuse.beegfs",
        "fuse.mfs",
        "fuse.juicefs",
    }
)
"""On these neither ``flock`` nor ``fdatasync`` can be trusted between hosts."""
SOCKET_PATH_BYTES_MAX: Final = 103
"""The longest path that every platform takes as a socket's address."""
_SHORT: Final = Path("/tmp")  # noqa: S108 - what is made there is private, and checked to be
_SELF_FD: Final = Path("/proc/self/fd")


class OwnerRecord(msgspec.Struct, frozen=True):
    """The text of ``owner.lock``. It outlives its owner: only the lock itself says whether there is one."""

    pid: int
    host: str
    epoch: int
    socket: str


class StoreDirectory:
    """Paths and checks of one store's directory. The constructor touches no file.

    Args:
        path: the directory; need not exist yet.
        mountinfo: where the mounted file systems are listed.
    """

    def __init__(self, path: str | os.PathLike[str], *, mountinfo: Path = MOUNTINFO) -> None:
        self.path = Path(os.path.realpath(path))
        self.database = self.path / "penstock.db"
        self.log = self.path / "owner.log"
        self._format = self.path / "format"
        self.lock = self.path / "owner.lock"
        self._socket = self.path / "owner.sock"
        self._mountinfo = mountinfo

    def prepare(self) -> None:
        """Make the directory if need be, and refuse one that cannot hold a store.

        Raises:
            StoreUnavailable: the path is no directory, or one of another user, or cannot be written, or lies on a
                network file system.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise StoreUnavailable(f"{self.path} is not a directory; name another place for the store.") from error
        except OSError as error:
            raise StoreUnavailable(f"{self.path} cannot be made: {error.strerror}.") from error
        permissions.check_directory(self.path)
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise StoreUnavailable(f"{self.path} cannot be written by this user; change its owner or its mode.")
        kind = file_system_of(self.path, self._mountinfo)
        if kind in NETWORK_FILE_SYSTEMS:
            raise StoreUnavailable(
                f"{self.path} lies on a network file system ({kind}), where locks and syncs cannot be trusted; "
                "put the store on a local disk."
            )

    def check_format(self) -> None:
        """Refuse a directory of a later format; write the format of a new one. Only the owner calls this.

        Raises:
            StoreUnavailable: a later Penstock wrote the directory, or the file holds no version.
        """
        try:
            descriptor = permissions.open_file(self._format, os.O_RDONLY)
        except FileNotFoundError:
            self._write_format()
            return
        with open(descriptor, encoding="utf-8", errors="replace") as file:
            text = file.read(_FORMAT_CHARACTERS_MAX).strip()
        if not text.isdigit():
            raise StoreUnavailable(f"{self._format} should hold a version and holds {text[:20]!r}.")
        if int(text) > FORMAT_VERSION:
            raise StoreUnavailable(
                f"{self.path} has format {text}, this Penstock knows up to {FORMAT_VERSION}; upgrade Penstock."
            )

    def _write_format(self) -> None:
        fresh = self._format.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = permissions.open_file(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{FORMAT_VERSION}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._format)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def owner(self) -> OwnerRecord | None:
        """The process that owns the store, or owned it last; None: nobody has owned it yet."""
        try:
            return msgspec.json.decode(self.lock.read_bytes(), type=OwnerRecord)
        except (OSError, msgspec.DecodeError):
            return None

    def open_lock(self) -> OwnerLock:
        """The lock file, not locked yet.

        Raises:
            StoreUnavailable: it cannot be opened.
        """
        try:
            return OwnerLock(permissions.open_file(self.lock, os.O_RDWR | os.O_CREAT))
        except OSError as error:
            raise StoreUnavailable(f"{self.lock} cannot be opened: {error.strerror}.") from error

    def connect(self, timeout_s: float | None = None) -> socket.socket:
        """A blocking socket that is connected to the owner's.

        Raises:
            ConnectionRefusedError, FileNotFoundError: nobody listens.
            StoreUnavailable: another user's process listens.
            OSError: another reason, such as a time-out of ``timeout_s`` (None: no limit).
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout_s)
            self._at_socket(connection.connect)
            permissions.check_listener(connection, self.path)
            connection.settimeout(None)
        except BaseException:
            connection.close()
            raise
        return connection

    def listen(self) -> socket.socket:
        """Make the owner's listening socket, non-blocking, in place of one that a dead owner left. Call this with the
        lock held.
        """
        self.remove_socket()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            self._at_socket(listener.bind)
        finally:
            os.umask(mask)
        listener.listen(limits.OWNER_CONNECTIONS_MAX)
        listener.setblocking(False)
        return listener

    def remove_socket(self) -> None:
        """Unlink the socket, if there is one. Call it with the lock held.

        Raises:
            StoreUnavailable: something else than a socket is in its place, and may be of use to somebody.
        """
        place = Path(self.socket_path)
        try:
            found = place.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise StoreUnavailable(f"{place} is no socket, where a store has one: remove it.")
        place.unlink(missing_ok=True)

    @property
    def socket_path(self) -> str:
        """Where the socket lies, for people. The path may be too long to connect to."""
        if self._fits or _SELF_FD.exists():
            return str(self._socket)
        return str(_runtime_directory() / f"{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:32]}.sock")

    @property
    def _fits(self) -> bool:
        return len(os.fsencode(self._socket)) <= SOCKET_PATH_BYTES_MAX

    def _at_socket(self, act: Callable[[str], None]) -> None:
        """Call ``bind`` or ``connect`` with an address of the socket that is short enough."""
        if self._fits or not _SELF_FD.exists():
            act(self.socket_path)
            return
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            act(f"{_SELF_FD}/{descriptor}/{self._socket.name}")
        finally:
            os.close(descriptor)


class OwnerLock:
    """The open lock file. Whoever holds its ``flock`` owns the store; the kernel lets go when its process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def take(self, *, wait: bool = False) -> bool:
        """Take the lock. Answers whether this process has it now. With ``wait`` the call blocks until it has; a signal
        may interrupt that.
        """
        assert self._descriptor is not None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise StoreUnavailable(f"The store's lock cannot be taken: {error.strerror}.") from error
        return True

    def publish(self, record: OwnerRecord) -> None:
        """Write into the file which process holds the lock."""
        assert self._descriptor is not None
        text = msgspec.json.encode(record) + b"\n"
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def identity(self) -> tuple[int, int]:
        """Device and number of the open file, whatever its name leads to by now."""
        assert self._descriptor is not None
        found = os.fstat(self._descriptor)
        return found.st_dev, found.st_ino

    def release(self) -> None:
        """Let go of the lock. A second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def file_system_of(path: Path, mountinfo: Path = MOUNTINFO) -> str | None:
    """The type of the file system that ``path`` lies on; None: the platform does not tell."""
    try:
        lines = mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    best, kind = -1, None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        mounted_at = _unescape(fields[4])
        # A later line with the same mount point lies on top of an earlier one.
        if path.is_relative_to(mounted_at) and len(mounted_at) >= best:
            best, kind = len(mounted_at), after.split(" ")[0]
    return kind


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _runtime_directory() -> Path:
    """A short private directory, where the platform has no other way to a socket with a long path."""
    path = _SHORT / f"penstock-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & permissions.OTHERS:
        raise StoreUnavailable(f"{path} is not private to this user; remove it.")
    return path
