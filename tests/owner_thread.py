"""An owner that serves an engine in a thread of the test."""

import socket
import threading

from penstock.store.wire.owner.serving import Owner


def listening(address):
    """A socket at which an owner can be reached."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(address))
    listener.listen(64)
    listener.setblocking(False)
    return listener


def dialled(address):
    """A connection to an owner."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(address))
    return sock


class OwnerThread:
    """It serves from the beginning until `stop`. ``options``: those of the owner."""

    def __init__(self, engine, listener, clock, **options):
        self.engine = engine
        self.owner = Owner(engine, listener, clock, **options)
        self.thread = threading.Thread(target=self.run, name="owner")
        self.thread.start()

    def run(self):
        """What the thread does."""
        self.owner.run()

    def stop(self):
        self.owner.stop()
        self.thread.join()
