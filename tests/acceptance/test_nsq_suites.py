"""Other people's tests, as they are: the suites of three NSQ clients, with our daemons on the PATH under NSQ's names.

gnsq and ansq bring their suites in what they publish. That of pynsq is in its git repository alone: it runs where
PENSTOCK_PYNSQ names a clone. Everywhere ``nsq_suites/pynsq_library.py`` goes through what it covers, with the library.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.acceptance.nsq_peers import OURS, client_python, client_suite

SUPPORT = Path(__file__).parent / "nsq_suites"
PASSED = {"gnsq": 108, "ansq": 107, "pynsq": 75, "pynsq, the library": 19}
"""How many tests each suite has; all of them pass against the real nsqd."""
SUITES = [suite for suite in PASSED if suite != "pynsq" or "PENSTOCK_PYNSQ" in os.environ]
OWN_NETWORK_DENIED = 77
PLENTY_S = 540.0

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="gives each suite a network of its own"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
]


def daemons_under_their_names(directory: Path) -> Path:
    """A folder for PATH, with our daemons as ``nsqd`` and ``nsqlookupd``."""
    directory.mkdir()
    for name, command in OURS.items():
        script = directory / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        script.chmod(0o755)
    return directory


def folder_of(suite: str, directory: Path) -> Path:
    """Where the tests are, as their authors published them."""
    if suite == "pynsq, the library":
        return SUPPORT / "pynsq_library.py"
    if suite != "pynsq":
        return client_suite(suite) / "tests"
    clone = Path(os.environ["PENSTOCK_PYNSQ"])
    place = directory / "pynsq-suite"
    place.mkdir()
    archive = subprocess.run(["git", "-C", clone, "archive", "v0.9.1"], check=True, capture_output=True).stdout
    subprocess.run(["tar", "x", "-C", place], input=archive, check=True)
    return place / "tests"


def start(suite: str, daemons: Path, directory: Path, *, own_network: bool = True) -> subprocess.Popen[bytes]:
    """The suite, in the environment of its client, in a session and, if asked for, a network of its own."""
    client = suite.partition(",")[0]
    tests = folder_of(suite, directory)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "PYTEST"))}
    environment |= {
        "PATH": f"{daemons}:/usr/bin:/bin",
        "PYTHONPATH": str(SUPPORT) if client == "ansq" else "",
        # How long the suites of gnsq and of pynsq let a test take: this machine has other work, too.
        "SLOW_TIMEOUT": "60",
        "ASYNC_TEST_TIMEOUT": "60",
        "TMPDIR": str(directory),
        "CERTIFICATES": str(client_suite("gnsq") / "tests"),
    }
    options = {
        "ansq": ["-p", "ansq_fixtures", "-o", "asyncio_mode=auto"],
        "pynsq, the library": ["--noconftest"],
    }.get(suite, [])
    # No configuration but this, neither ours nor of who made the sdist.
    command = [client_python(client), "-m", "pytest", "-q", "-c", "/dev/null", f"--rootdir={tests.parent}"]
    around = [sys.executable, SUPPORT / "own_network.py"] if own_network else []
    # Into a file: a daemon that a suite has left would hold the other end of a pipe.
    with (directory / "output").open("wb") as output:
        return subprocess.Popen(
            [*around, *command, "-p", "no:cacheprovider", *options, tests],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def verdict(output: str) -> str:
    """The closing line of pytest, without how long it took."""
    closing = re.findall(r"^[= ]*(\d.*) in [\d.]+s", output, re.MULTILINE)
    return closing[-1] if closing else "no closing line"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[subprocess.Popen[bytes], Path]]]:
    """All suites, started together: they wait more than they work."""
    with ExitStack() as all_of_them:
        started = {}
        for suite in SUITES:
            directory = tmp_path_factory.mktemp("suite")
            process = start(suite, daemons_under_their_names(directory / "bin"), directory)
            started[suite] = process, directory / "output"
            all_of_them.callback(end, process)
        yield started


def end(process: subprocess.Popen[bytes]) -> None:
    """End whatever a suite has left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("suite", SUITES)
def test_the_suite_of_a_client_passes_whole(running, suite, tmp_path):
    process, output = running[suite]
    if process.wait(PLENTY_S) == OWN_NETWORK_DENIED:
        # As in many containers: the suites run one after another then, at the ports of this machine.
        output = tmp_path / "output"
        process = start(suite, daemons_under_their_names(tmp_path / "bin"), tmp_path, own_network=False)
        try:
            process.wait(PLENTY_S)
        finally:
            end(process)
    said = output.read_text(errors="replace")
    assert re.fullmatch(rf"{PASSED[suite]} passed(, \d+ warnings?)?", verdict(said)), said[-20_000:]
