"""The daemons that the suite `nsq` compares: Penstock's door before its owner, and NSQ's own nsqd on its files."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.nsq_load import CHANNEL, TOPIC
from benchmarks.processes import START_S, BenchmarkFailed, Child, until
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import ROOT, Workspace, free_port, listens

PEER = ROOT / ".cache" / "nsq-peers" / "bin" / "nsqd"


class Daemon(Protocol):
    """What clients of NSQ connect to, in one workspace.

    Attributes:
        port: of its TCP protocol.
        pids: its processes, by role.
    """

    port: int
    pids: dict[str, list[int]]

    def waiting(self) -> int:
        """The messages of the channel that are not finished."""
        ...


class _Asked:
    """What both are asked over HTTP, which both answer."""

    port: int
    http_port: int

    def wait(self, child: Child) -> None:
        """Until it listens, and has the topic and its channel."""

        def up() -> bool:
            child.check()
            return listens(self.port) and listens(self.http_port)

        until(up, "the daemon listens", START_S)
        self._post(f"/topic/create?topic={TOPIC}")
        self._post(f"/channel/create?topic={TOPIC}&channel={CHANNEL}")

    def waiting(self) -> int:
        """See `Daemon`. What nsqd has not brought from the topic into the channel yet counts, too."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/stats?format=json", timeout=START_S) as answer:
            stats: dict[str, Any] = json.load(answer)
        (topic,) = (one for one in stats["topics"] if one["topic_name"] == TOPIC)
        (channel,) = topic["channels"]
        in_channel: int = channel["depth"] + channel["in_flight_count"] + channel["deferred_count"]
        in_topic: int = topic["depth"]
        return in_topic + in_channel

    def _post(self, path: str) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", b"", timeout=START_S) as answer:
            answer.read()


class Door(_Asked):
    """Ours: `penstock nsqd` in one process, the owner in another."""

    def __init__(self, workspace: Workspace, options: Sequence[str] = ()) -> None:
        self.site = PenstockSite(workspace)
        self.site.start()
        self.port, self.http_port = free_port(), free_port()
        addresses = (f"-tcp-address=127.0.0.1:{self.port}", f"-http-address=127.0.0.1:{self.http_port}")
        self.child = workspace.python("penstock.cli", "nsqd", f"--url={workspace.store}", *addresses, *options)
        self.wait(self.child)
        self.pids = {"door": [self.child.pid], "owner": list(self.site.keepers().values())}


class Nsqd(_Asked):
    """NSQ's own, with nothing in memory alone: every message goes to its files, synced now and then."""

    def __init__(self, workspace: Workspace, options: Sequence[str] = ()) -> None:
        program = nsqd()
        if program is None:
            raise BenchmarkFailed("There is no nsqd: make nsq-peers.")
        self.port, self.http_port = free_port(), free_port()
        path = workspace.path / "nsqd"
        path.mkdir()
        addresses = (f"-tcp-address=127.0.0.1:{self.port}", f"-http-address=127.0.0.1:{self.http_port}")
        self.child = workspace.start(
            [str(program), "-mem-queue-size=0", f"-data-path={path}", "-log-level=error", *addresses, *options]
        )
        self.wait(self.child)
        self.pids = {"nsqd": [self.child.pid]}


def nsqd() -> Path | None:
    """NSQ's own daemon, if there is one here."""
    if PEER.exists():
        return PEER
    found = shutil.which("nsqd")
    return Path(found) if found else None
