"""A thread that is interrupted while it asks leaves a client that works on as before."""

import dis
import sys

import pytest

from penstock.store.wire.client import Client

STOPS = ("CALL", "RESUME", "JUMP_BACKWARD")
"""After these, Python lets signal handlers run."""


class Interrupter:
    """Raises in the asking thread at the n-th moment at which a signal could."""

    def __init__(self, at):
        self.left = at
        self.last = {}

    def trace(self, frame, event, _):
        if event == "call":
            # What it calls is Python too: signal handlers run there, not behind it.
            self.last.pop(frame.f_back, None)
        if "penstock/store/wire" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            before, self.last[frame] = self.last.get(frame), dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if before is not None and before.startswith(STOPS):
                self.left -= 1
                if not self.left:
                    raise KeyboardInterrupt
        return self.trace

    def __enter__(self):
        self.before = sys.gettrace()
        # Python 3.12 looks when tracing begins whether anybody has asked for opcodes, and not again.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self.trace)

    def __exit__(self, *_):
        sys.settrace(self.before)


def moments(act):
    """Do it again and again, interrupted a moment later each time, until it is done before it is interrupted."""
    for at in range(1, 10_000):
        interrupter = Interrupter(at)
        try:
            with interrupter:
                act()
        except KeyboardInterrupt:
            yield at
        else:
            return


def alone(client):
    """The thread has the connection to itself: the short way."""


def among_others(client):
    """As if somebody else had left without an answer: the long way."""
    client._all_answered = False


@pytest.mark.parametrize("way", [alone, among_others])
@pytest.mark.parametrize("is_cut", [False, True])
def test_an_interrupted_call_holds_up_no_later_one(served, groups, way, is_cut):
    client = Client(served.dial, reach_s=2.0)
    client.enqueue(groups(1))
    count = 0

    def interrupted():
        way(client)
        if is_cut:
            served.cut()
        client.enqueue(groups(2))

    for _ in moments(interrupted):
        count += 1
        assert client._callers == 0
        assert client.statistics().unanswered == 0
        for _ in range(2):
            assert client.enqueue(groups(3)).accepted == 1
    assert count > 10
    client.close()
    for sock in served.dialled:
        sock.close()
