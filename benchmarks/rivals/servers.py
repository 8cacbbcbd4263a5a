"""What the rivals keep their jobs in: a Redis or a PostgreSQL of this machine, started empty on a free port, or a file.

Servers are looked for on the PATH (PostgreSQL also where Debian puts it) and started as they are shipped.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from benchmarks.processes import START_S, BenchmarkFailed, Child, descendants, until
from benchmarks.workspace import ROOT, Workspace, free_port, listens

UNPRIVILEGED: Final = ("postgres", "nobody")
"""Who runs PostgreSQL when root asks for it: it refuses to be root. The first that exists."""
DEBIAN: Final = Path("/usr/lib/postgresql")
ELSEWHERE: Final = Path("/var/tmp")
"""Where PostgreSQL's files go when its user may not reach the workspace."""
LOCALE: Final = {"LC_ALL": "C"}
"""Of every server: they refuse to start in one that the machine lacks, such as one that came along with a login."""


class Server(Protocol):
    """A kind of place where jobs are kept.

    Attributes:
        durability: what its configuration promises, for people.
    """

    name: str
    durability: str

    def missing(self) -> str | None:
        """Why there is none on this machine. None: there is."""
        ...

    def version(self) -> str:
        """Of the program."""
        ...

    def start(self, workspace: Workspace) -> tuple[str, list[Child]]:
        """An empty one: its URL, and its processes."""
        ...


class Redis:
    """Redis as it is shipped: snapshots now and then, no append-only file."""

    name = "Redis"
    durability = "as shipped: a snapshot after 60 s at the earliest, no append-only file"

    def missing(self) -> str | None:
        if shutil.which("redis-server"):
            return None
        return "there is no redis-server on the PATH (Debian, Ubuntu: apt install redis-server)"

    def version(self) -> str:
        return _version("redis-server", "--version")

    def start(self, workspace: Workspace) -> tuple[str, list[Child]]:
        port = free_port()
        directory = workspace.path / "redis"
        directory.mkdir()
        server = workspace.start(
            [
                "redis-server",
                "--port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--dir",
                str(directory),
                "--loglevel",
                "warning",
            ],
            environment=LOCALE,
        )
        _until_listening(server, port)
        return f"redis://127.0.0.1:{port}/0", [server]


class PostgreSQL:
    """PostgreSQL as it is shipped: every commit is synced."""

    name = "PostgreSQL"
    durability = "as shipped: fsync and synchronous_commit on"

    def missing(self) -> str | None:
        if _postgresql() is None:
            return f"there is no PostgreSQL server on the PATH or in {DEBIAN} (Debian, Ubuntu: apt install postgresql)"
        if os.geteuid() == 0 and _user() is None:
            return f"PostgreSQL refuses to run as root, and there is no user {' or '.join(UNPRIVILEGED)}"
        return None

    def version(self) -> str:
        return _version(str(_binary("postgres")), "--version")

    def start(self, workspace: Workspace) -> tuple[str, list[Child]]:
        home = _postgresql_home(workspace)
        data = home / "data"
        _copy_template(data)
        port = free_port()
        arguments = [str(_binary("postgres")), "-D", str(data), "-p", str(port), "-k", str(home)]
        server = workspace.start(
            [*arguments, "-c", "listen_addresses=127.0.0.1"],
            environment=LOCALE,
            user=_user(),
            stop_signal=signal.SIGQUIT,
        )
        _until_listening(server, port)
        return f"postgresql://benchmark@127.0.0.1:{port}/postgres", [server]


class File:
    """A file of the rival's own; no process keeps the jobs."""

    name = "SQLite"
    durability = "a file of its own"

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return ""

    def start(self, workspace: Workspace) -> tuple[str, list[Child]]:
        directory = workspace.path / "file"
        directory.mkdir()
        return str(directory / "jobs.db"), []


REDIS: Final = Redis()
POSTGRESQL: Final = PostgreSQL()
FILE: Final = File()


def _until_listening(server: Child, port: int) -> None:
    def answers() -> bool:
        server.check()
        return listens(port)

    until(answers, f"{server.name} listens", START_S)


def _version(*arguments: str) -> str:
    said = subprocess.run(arguments, capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+(\.\d+)?", said)
    return found.group() if found else "unknown"


# --- PostgreSQL -------------------------------------------------------------------------------------------------------
def _postgresql() -> Path | None:
    """The directory of its programs."""
    found = [Path(place).resolve().parent for name in ("initdb",) if (place := shutil.which(name))]
    versions = sorted(DEBIAN.glob("*/bin"), key=lambda path: _number(path.parent.name), reverse=True)
    for directory in [*found, *versions]:
        if (directory / "postgres").exists() and (directory / "initdb").exists():
            return directory
    return None


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _binary(name: str) -> Path:
    directory = _postgresql()
    assert directory is not None, "whoever starts it has asked what is missing"
    return directory / name


def _user() -> str | None:
    """Who runs it. None: whoever we are."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in UNPRIVILEGED if name in names), None)


def _postgresql_home(workspace: Workspace) -> Path:
    """A directory for data and socket that the server's user can reach; sockets have short names."""
    user = _user()
    home = workspace.path / "pg"
    if user is not None and not _reaches(user, workspace.path):
        home = Path(tempfile.mkdtemp(prefix="bench-pg-", dir=ELSEWHERE))
        workspace.also_remove(home)
    home.mkdir(exist_ok=True)
    if len(str(home)) > 80:
        home_short = Path(tempfile.mkdtemp(prefix="bench-pg-", dir=ELSEWHERE))
        workspace.also_remove(home_short)
        home = home_short
    if user is not None:
        shutil.chown(home, user)
    return home


def _reaches(user: str, directory: Path) -> bool:
    return subprocess.run(["test", "-x", str(directory)], user=user, check=False).returncode == 0


@cache
def _template() -> Path:
    """A cluster nobody has used yet, made once: making one takes seconds, copying it a fraction."""
    base = ELSEWHERE if os.geteuid() == 0 else ROOT / ".cache"
    directory = Path(tempfile.mkdtemp(prefix="bench-pg-template-", dir=base))
    user = _user()
    if user is not None:
        shutil.chown(directory, user)
    done = subprocess.run(
        [str(_binary("initdb")), "-D", str(directory / "data"), "-U", "benchmark", "--auth=trust", "--encoding=UTF8"],
        user=user,
        env={**os.environ, **LOCALE},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if done.returncode != 0:
        shutil.rmtree(directory, ignore_errors=True)
        raise BenchmarkFailed(f"initdb failed: {done.stderr.strip()}")
    return directory / "data"


def _copy_template(data: Path) -> None:
    subprocess.run(["cp", "-a", str(_template()), str(data)], check=True)


def remove_template() -> None:
    """At the end of a run: what `_template` made goes."""
    if _template.cache_info().currsize:
        shutil.rmtree(_template().parent, ignore_errors=True)
        _template.cache_clear()


def backends(server: Child) -> list[int]:
    """The processes of a server."""
    return [server.pid, *descendants(server.pid)]
