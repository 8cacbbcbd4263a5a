"""``penstock nsqd`` and ``penstock nsqlookupd``: flags, what they print, and how they end."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import until

LINE = re.compile(r"\[(nsqd|nsqlookupd)\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} (DEBUG|INFO|WARNING|ERROR|FATAL): .+")
SCRIPTS = Path(sys.executable).parent


@pytest.mark.parametrize("program", ["nsqd", "nsqlookupd"])
@pytest.mark.parametrize("flag", ["-version", "--version", "-version=true"])
def test_the_version_is_what_clients_look_for(place, program, flag):
    status, output, errors = place.run(program, flag)
    assert (status, errors) == (0, "")
    assert re.fullmatch(rf"{program} v1\.3\.0 \(built w/\S+\)\n", output)


@pytest.mark.parametrize("program", ["nsqd", "nsqlookupd"])
def test_the_scripts_have_the_names_that_nsqs_daemons_can_be_replaced_by(place, program):
    done = subprocess.run(
        [SCRIPTS / f"penstock-{program}", "--version"],
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith(f"{program} v1.3.0 (built w/")


@pytest.mark.parametrize("program", ["nsqd", "nsqlookupd"])
def test_help_lists_the_flags(place, program):
    status, output, errors = place.run(program, "-h")
    assert (status, errors) == (0, "")
    assert "\n  -tcp-address string\n" in output


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nsqd", "-msg-timout=1s"], "flag provided but not defined: -msg-timout. Is it -msg-timeout?"),
        (["nsqd", "--msg-timeout", "soon"], "invalid value 'soon' for flag -msg-timeout"),
        (["nsqd", "-tls-required"], "TLS needs -tls-cert and -tls-key"),
        (["nsqd", "-config", "no-such-file"], "Cannot read the configuration file no-such-file"),
        (["nsqlookupd", "-tombstone-lifetime=-1s"], "-tombstone-lifetime is -1.0: use 0 or more"),
        (["nsqlookupd", "-tcp-address=127.0.0.1:x"], "a port is a number"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_status_2(place, arguments, message):
    status, output, errors = place.run(*arguments)
    assert (status, output) == (2, "")
    first, second = errors.splitlines()
    assert first.startswith(f"{arguments[0]}: ")
    assert message in first
    assert second == f"{arguments[0]} -h lists the flags."


def test_a_directory_of_nsqs_own_nsqd_is_left_alone(place, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "nsqd.dat").write_text("{}")
    status, _, errors = place.run("nsqd", "-data-path", str(theirs))
    assert status == 2
    assert "import" in errors
    assert [path.name for path in theirs.iterdir()] == ["nsqd.dat"]


@pytest.mark.parametrize("program", ["nsqd", "nsqlookupd"])
def test_what_is_logged_is_in_nsqs_format(daemons, program):
    daemon = getattr(daemons, program)("-log-level=debug", "-verbose")
    lines = daemon.said().splitlines()
    assert all(LINE.fullmatch(line) for line in lines), lines
    said = "\n".join(lines)
    assert f"INFO: {program} v1.3.0 (built w/" in said
    assert "WARNING: -verbose is taken and changes nothing: use -log-level" in said
    assert daemon.ask("/ping") == b"OK"


def pinged(path):
    """Whether there is a daemon that answers HTTP at this path."""
    with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
        sock.settimeout(60)
        sock.connect(str(path))
        sock.sendall(b"GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        return sock.makefile("rb").read().endswith(b"OK")
    return False


@pytest.mark.parametrize("program", ["nsqd", "nsqlookupd"])
def test_a_level_and_a_prefix_of_its_own(place, program, tmp_path):
    running = place.start(
        program, "-tcp-address", str(tmp_path / "t.sock"), "-http-address", str(tmp_path / "h.sock"),
        "-log-level=error", "-log-prefix=mine ",
    )  # fmt: skip
    until(lambda: pinged(tmp_path / "h.sock"))
    running.terminate()
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 0
    assert errors == ""


@pytest.mark.parametrize("program", ["nsqd", "nsqlookupd"])
def test_an_address_that_is_taken_is_status_3(daemons, place, program):
    taken = getattr(daemons, program)().tcp
    status, _, errors = place.run(program, "-tcp-address", taken, "-http-address=127.0.0.1:0")
    assert status == 3
    assert f"{program}: Cannot listen on" in errors
