"""Reaching a directory's owner: connect to it, or start one, detached, and connect to that.

Both clients dial through a `Reach`. A client that finds no owner starts one. When several start at once, the
directory's lock decides which of them serves, and all clients connect to that one. A new owner tells through a pipe
when it serves, or why it cannot, so that nobody polls and the reason reaches the caller.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Final

import msgspec

from penstock.config import environment_for_programs
from penstock.model import errors
from penstock.store import permissions
from penstock.store.directory import StoreDirectory
from penstock.store.wire import protocol

if TYPE_CHECKING:
    from asyncio import Future

OWNER_MODULE: Final = "penstock.store.embedded"
SERVING: Final = b"serving"
"""What a new owner writes to its pipe when it, or another owner of the same directory, serves. Anything else that it
writes is the reason why it cannot."""
_PAUSE_S: Final = 0.01
_PAUSE_S_MAX: Final = 0.25
_LOG_BYTES_MAX: Final = 1024 * 1024


Dial = Callable[[float], socket.socket]
"""Answers a connected socket before a deadline (monotonic seconds), or raises StoreUnavailable."""


class OwnerRefused(errors.StoreUnavailable):
    """No owner can serve this directory, for a reason that trying again does not change."""


class Reach:
    """Makes connections to the owner of one directory. Thread-safe.

    Args:
        directory: the store's.
        start_owner: start one where there is none; False: wait for somebody else to.
    """

    def __init__(self, directory: StoreDirectory, *, start_owner: bool = True) -> None:
        self._directory = directory
        self._start_owner = start_owner
        self._was_there = False

    def __call__(self, deadline: float) -> socket.socket:
        """A connected, blocking socket, before ``deadline`` (monotonic seconds).

        Raises:
            OwnerRefused: the store was there before and is gone; no new one is made in its place.
            StoreUnavailable: there is no owner, and none could be started in time.
        """
        pause_s = _PAUSE_S
        while True:
            try:
                sock = self._directory.connect(max(0.001, deadline - time.monotonic()))
                self._was_there = True
                return sock
            except (ConnectionRefusedError, FileNotFoundError, NotADirectoryError):
                if self._was_there and not self._directory.database.exists():
                    raise OwnerRefused(
                        f"The store {self._directory.path} is gone: it was deleted or renamed while this process used "
                        "it. Put it back, or start this process again for a new one."
                    ) from None
                if self._start_owner:
                    start_owner(self._directory, deadline)
            except OSError as error:
                if time.monotonic() >= deadline:
                    reason = error.strerror or str(error)
                    raise errors.StoreUnavailable(f"No owner of {self._directory.path} answers: {reason}.") from error
            if time.monotonic() + pause_s >= deadline:
                raise errors.StoreUnavailable(f"Nobody serves the store {self._directory.path}{_see(self._directory)}.")
            # The owner may have left after it said that it serves and before we connected. That is rare, and costs a
            # pause.
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)


def dial_in_thread(dial: Dial, until: float, answer: Future[socket.socket], post: Callable[..., object]) -> None:
    """Dial in a thread of its own, for an event loop.

    Not in that loop's executor: a program that is ending can have none, and `asyncio.run` fails then on having tried.

    Args:
        answer: is given the connection, or what ``dial`` raised.
        post: has the loop call a function. Raises RuntimeError when the loop is closed.
    """

    def tell(sock: socket.socket | None, error: Exception | None) -> None:
        if answer.done():
            # Who asked has left.
            if sock is not None:
                sock.close()
        elif sock is not None:
            answer.set_result(sock)
        elif error is not None:
            answer.set_exception(error)

    def run() -> None:
        sock = error = None
        try:
            sock = dial(until)
        except Exception as raised:  # noqa: BLE001 - it is raised where it is waited for
            error = raised
        try:
            post(tell, sock, error)
        except RuntimeError:
            if sock is not None:
                sock.close()

    try:
        threading.Thread(target=run, name="penstock dial", daemon=True).start()
    except RuntimeError:
        # A program that is ending starts no threads any more. Nothing else waits for its loop then.
        run()


def start_owner(directory: StoreDirectory, deadline: float) -> None:
    """Start a detached owner. Returns once it or a faster one serves, or it was killed before it could tell.

    Raises:
        OwnerRefused: it cannot serve, for the reason that it gave.
        StoreUnavailable: it did not get ready in time.
    """
    try:
        directory.prepare()
    except errors.StoreUnavailable as error:
        raise OwnerRefused(error.message) from error
    ready, told = os.pipe()
    try:
        command = owner_command(directory, "--detached", "--ready-fd", str(told))
        with _open_log(directory) as log:
            # It puts itself in the background at once, so this child is short-lived and leaves no zombie.
            child = subprocess.Popen(
                command,
                pass_fds=(told,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                # Without secrets: the owner stays, and jobs of the same user can read what it was started with.
                env=environment_for_programs(),
            )
        os.close(told)
        told = -1
        word = _read_word(ready, deadline)
        status = child.wait()
    finally:
        os.close(ready)
        if told >= 0:
            os.close(told)
    if word != SERVING and (word or status > 0):
        raise _refusal(word, directory)


def owner_command(directory: StoreDirectory, *options: str) -> list[str]:
    """The command that runs an owner with the same Penstock as this process, wherever that was imported from."""
    path = [entry for entry in sys.path if entry]
    code = f"import sys; sys.path[:] = {path!r}; from {OWNER_MODULE} import main; sys.exit(main())"
    return [sys.executable, "-P", "-c", code, *options, str(directory.path)]


def _open_log(directory: StoreDirectory) -> IO[bytes]:
    try:
        descriptor = permissions.open_file(directory.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    except OSError as error:
        raise OwnerRefused(f"{directory.log} cannot be opened: {error.strerror}.") from error
    except errors.StoreUnavailable as error:
        raise OwnerRefused(error.message) from error
    if os.fstat(descriptor).st_size > _LOG_BYTES_MAX:
        os.ftruncate(descriptor, 0)
    return os.fdopen(descriptor, "ab")


def _read_word(ready: int, deadline: float) -> bytes:
    """All that the child writes before it closes the pipe. Empty: it died without a word."""
    word = b""
    poll = select.poll()
    poll.register(ready, select.POLLIN)
    while True:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise errors.StoreUnavailable("A new owner of the store did not get ready in time.")
        chunk = os.read(ready, 4096)
        if not chunk:
            return word
        word += chunk


def _refusal(word: bytes, directory: StoreDirectory) -> OwnerRefused:
    try:
        return OwnerRefused(protocol.error_of(word).message)
    except msgspec.DecodeError:
        return OwnerRefused(f"An owner of {directory.path} cannot be started{_see(directory)}.")


def _see(directory: StoreDirectory) -> str:
    """The end of a message: where the owner's log is, if anything stands in it."""
    try:
        return f"; see {directory.log}" if directory.log.stat().st_size else ""
    except OSError:
        return ""


class OpenSocket:
    """The socket of a client's present connection.

    Whoever keeps this object keeps neither the client nor its loop alive: a program that lets go of a loop without
    closing its client has the socket closed by a finalizer, which may know neither.
    """

    __slots__ = ("sock",)

    def __init__(self) -> None:
        self.sock: socket.socket | None = None

    def close(self) -> None:
        """Close the socket; from any thread, once the loop does not run any more."""
        if self.sock is not None:
            self.sock.close()
