"""``own_network.py COMMAND…``: run the command in a network of its own, which has the loopback and nothing else.

Suites that want their daemons at fixed ports then run beside each other, and beside whatever else uses these ports.
Status 77: this system gives a process no network of its own.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys

NEW_NETWORK = 0x40000000  # CLONE_NEWNET
NEW_USERS = 0x10000000  # CLONE_NEWUSER: lets those in who are not root
SET_FLAGS = 0x8914  # SIOCSIFFLAGS
UP = 1  # IFF_UP


def enter() -> bool:
    """Move this process into a network of its own, and switch its loopback on."""
    if ctypes.CDLL(None).unshare(NEW_NETWORK if os.getuid() == 0 else NEW_NETWORK | NEW_USERS) != 0:
        return False
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", UP))
    return True


if __name__ == "__main__":
    if sys.platform != "linux" or not enter():
        sys.exit(77)
    os.execvp(sys.argv[1], sys.argv[1:])
