"""The owner process of a directory: ``python -m penstock.store.embedded [--detached | --handover] DIRECTORY``.

The process takes the directory's lock, listens on its socket, opens the engine and serves it. When several start at
once, one gets the lock. The others end as soon as that one listens, or take its place if it dies before.

* ``--detached``: in the background. A client that finds no owner starts one so. It leaves after OWNER_IDLE_S without
  clients.
* ``--handover``: under ``penstock up``. It asks a detached owner to leave, takes its place, and ends with its parent.

Variants for torture, which must lose or double jobs: ``--unsafe-no-fences``, ``--unsafe-no-answers``.

The process and its files belong to one user. Nobody else may read the files that it makes.

Exit status: 0 done, or another process serves; 3 the store cannot be opened, or is gone.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

from penstock.config import redo_setting
from penstock.model import limits
from penstock.model.errors import Conflict, PenstockError, StoreUnavailable
from penstock.process import standard_streams
from penstock.process.clock import SystemClock
from penstock.process.descriptors import raise_limit
from penstock.process.process_tree import leave_with_parent, set_title
from penstock.store import permissions
from penstock.store.deletion_watch import LostFiles, ServedFiles, owner_of_deleted
from penstock.store.directory import OwnerLock, OwnerRecord, StoreDirectory
from penstock.store.sqlite.store import SqliteStore
from penstock.store.startup_check import StoreIdentity
from penstock.store.wire import protocol
from penstock.store.wire.client.blocking import Client
from penstock.store.wire.client.reach import SERVING
from penstock.store.wire.owner.serving import Owner

CANNOT_OPEN: Final = 3
_LOST: Final = 1
_RETRY_S: Final = 0.01
_NOTICE_S: Final = 5 * limits.LOST_FILES_S
"""How long the owner of a deleted store gets to notice."""
_GC_THRESHOLD: Final = 100_000


def main(
    arguments: Sequence[str] | None = None,
    *,
    make_engine: Callable[..., SqliteStore] = SqliteStore,
    on_loss: Callable[[str], None] = lambda _: None,
) -> int:
    """Own a directory until told to stop. Answers the exit status.

    Args:
        arguments: the command line.
        make_engine: makes the engine. Another one than the usual is for torture, which must find what is wrong with it.
        on_loss: told why the store that was served is no longer there. When it is gone as a whole, the process ends
            here and now.
    """
    options = _parser().parse_args(arguments)
    if options.detached and os.fork():
        # The starter waits for this process only; the owner itself is nobody's child.
        os._exit(0)
    if not options.detached and options.parent is not None:
        leave_with_parent(options.parent, number=signal.SIGTERM)
    standard_streams.install()
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    tell = _Teller(options.ready_fd)
    try:
        return _own(options, tell, on_loss, make_engine)
    except Exception as error:
        if tell.has_told:
            raise
        return _cannot_open(options, error, tell)


def _cannot_open(options: argparse.Namespace, error: Exception, tell: Callable[[bytes], None]) -> int:
    """Say in a sentence why the store cannot be opened. Answers the exit status.

    The starter is told through its pipe, and tells people. The log of a detached owner has the sentence too, and the
    traceback where the error is not a `PenstockError`.
    """
    logger, place = logging.getLogger("penstock.owner"), options.directory
    known = error if isinstance(error, PenstockError) else None
    if known is None and isinstance(error, OSError):
        what = error.filename if isinstance(error.filename, str) else place
        known = StoreUnavailable(f"{what} cannot be used by a store: {error.strerror or error}.")
    if known is not None:
        logger.log(logging.DEBUG if options.handover else logging.ERROR, "%s", known.message)
        tell(protocol.failure(known))
        return CANNOT_OPEN
    logger.error("The store in %s cannot be opened.", place, exc_info=error)
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    tell(protocol.failure(StoreUnavailable(f"The store in {place} cannot be opened: {told}.")))
    return CANNOT_OPEN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penstock.store.embedded", description=__doc__)
    parser.add_argument("directory")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--detached", action="store_true")
    how.add_argument("--handover", action="store_true")
    parser.add_argument("--idle-s", type=float, default=limits.OWNER_IDLE_S)
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--parent", type=int, help="leave when this process is no longer the parent")
    parser.add_argument("--redo", choices=("on", "off"), help="off: every enqueue goes through a transaction")
    parser.add_argument("--unsafe-no-fences", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--unsafe-no-answers", action="store_true", help=argparse.SUPPRESS)
    return parser


def _own(
    options: argparse.Namespace,
    tell: Callable[[bytes], None],
    on_loss: Callable[[str], None],
    make_engine: Callable[..., SqliteStore],
) -> int:
    set_title("penstock owner")
    os.umask(permissions.OTHERS)
    directory = StoreDirectory(options.directory)
    directory.prepare()
    lock = directory.open_lock()
    try:
        if not _take_lock(directory, lock, handover=options.handover):
            tell(SERVING)
            return 0
        permissions.tighten(directory.path)
        directory.check_format()
        # Listening before opening: whoever connects now waits for its hello's answer, and starts no other owner.
        listener = directory.listen()
        clock = SystemClock()
        _outlast_deleted(directory)
        identity = StoreIdentity(directory.database)
        identity.check()
        engine = make_engine(
            directory.database,
            clock=clock,
            check_fences=not options.unsafe_no_fences,
            redo=(options.redo or redo_setting()) == "on",
        )
        identity.opened()
        engine.before_close = identity.closing
        files = ServedFiles(directory, lock)
        owner = Owner(
            engine,
            listener,
            clock,
            descriptors=raise_limit(),
            lost=files.lost,
            idle_s=options.idle_s if options.detached else None,
            check_requests=not options.unsafe_no_answers,
        )
        record = OwnerRecord(os.getpid(), socket.gethostname(), engine.epoch, directory.socket_path)
        lock.publish(record)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: owner.stop())
        _calm_collector()
        tell(SERVING)
        owner.run()
        files.remove_socket()
        return 0 if owner.loss is None else _leave(owner.loss, on_loss)
    finally:
        lock.release()


def _leave(loss: LostFiles, on_loss: Callable[[str], None]) -> int:
    """Log which files are gone. Answers the exit status, if the files that are left can be opened again."""
    logging.getLogger("penstock.owner").error("%s", loss.reason)
    if not loss.is_total:
        return _LOST
    on_loss(loss.reason)
    logging.shutdown()
    # At once: to end in order would close the database, and with that unlink by name what others may have put there.
    os._exit(CANNOT_OPEN)


def _outlast_deleted(directory: StoreDirectory) -> None:
    """Wait until the owner of a store that was deleted here has noticed it and left, before a new store is made.

    Raises:
        StoreUnavailable: that owner does not leave.
    """
    deadline = time.monotonic() + _NOTICE_S
    while not directory.database.exists():
        pid = owner_of_deleted(directory.lock)
        if pid is None:
            return
        if time.monotonic() >= deadline:
            raise StoreUnavailable(
                f"Process {pid} still serves the store that was in {directory.path} before it was deleted; "
                "end it first."
            )
        time.sleep(_RETRY_S)


def _take_lock(directory: StoreDirectory, lock: OwnerLock, *, handover: bool) -> bool:
    """Take the lock. False: another process serves, and this one is not needed.

    Raises:
        StoreUnavailable: with ``handover``, when the other does not leave; or nobody gets ready.
    """
    deadline = time.monotonic() + limits.RECONNECT_S_MAX
    while not lock.take():
        if handover:
            _ask_to_leave(directory)
        elif _is_served(directory):
            return False
        if time.monotonic() >= deadline:
            raise StoreUnavailable(f"Another process holds the lock of {directory.path} and does not serve.")
        # The other process is between taking the lock and listening, or between its last answer and its end.
        time.sleep(_RETRY_S)
    return True


def _is_served(directory: StoreDirectory) -> bool:
    try:
        directory.connect(timeout_s=1.0).close()
    except OSError:
        return False
    return True


def _ask_to_leave(directory: StoreDirectory) -> None:
    try:
        client = Client.connect(directory.path, start_owner=False, reach_s=1.0, role="successor")
        with closing(client):
            client.hand_over()
    except Conflict as error:
        raise StoreUnavailable(error.message) from error
    except StoreUnavailable:
        return


class _Teller:
    """Tells the starter once how it went, through the pipe that the starter passed; None: it passed none."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self.has_told = False

    def __call__(self, word: bytes) -> None:
        self.has_told = True
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, word)
        except OSError:
            # The starter has gone; other clients may still come.
            pass
        os.close(self._descriptor)
        self._descriptor = None


def _calm_collector() -> None:
    """Requests make no reference cycles, so looking for some at every 700 objects only costs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 50, 50)


if __name__ == "__main__":
    sys.exit(main())
