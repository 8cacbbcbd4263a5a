"""Clients as processes of their own, and the owner that they find or start."""

import os
import select
import subprocess
import sys
from contextlib import contextmanager

from penstock.store.wire.client.blocking import Client

DEADLINE_S = 60.0

CONNECTED = """
import sys
from penstock.store.wire.client.blocking import Client
client = Client.connect(sys.argv[1])
client.capabilities()
print("connected", flush=True)
sys.stdin.readline()
"""
"""How a script begins that goes on when all others are connected, too."""


def run(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def told(process):
    with process:
        text, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    return [int(word) for word in text.split()]


def begun(count, script, *arguments):
    """So many processes of this script. Behind `CONNECTED` all go on together: each of them meets the first kill."""
    processes = [run(CONNECTED + script, *arguments) for _ in range(count)]
    for process in processes:
        assert process.stdout.readline() == "connected\n"
    for process in processes:
        process.stdin.write("begin\n")
        process.stdin.flush()
    return processes


def wait_for_end(pid):
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], DEADLINE_S)[0], "it should have ended"
    finally:
        os.close(descriptor)


@contextmanager
def connected(directory, **options):
    client = Client.connect(directory, **options)
    try:
        yield client
    finally:
        client.close()
