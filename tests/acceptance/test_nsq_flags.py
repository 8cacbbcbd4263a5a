"""Our flags beside those that NSQ's own daemons list: each is there, of the same kind and with the same default."""

from __future__ import annotations

import re
import subprocess

import pytest

from penstock.nsq.flags import flags_of
from penstock.nsq.notation import seconds_of
from penstock.nsq.options import DoorOptions, LookupOptions
from tests.acceptance.nsq_peers import program

LISTED = re.compile(r"^  -(\S+)(?: (\S+))?\n\s+(.*?)(?: \(default (.*)\))?$", re.MULTILINE)
OF_THE_MACHINE = {"node-id", "broadcast-address"}
ADDRESSES = {"tcp-address", "http-address", "https-address"}


def listed(name):
    """What the real one says of each flag: the word for its value, and its default as text."""
    said = subprocess.run([program(name), "-h"], capture_output=True, text=True, timeout=60, check=False).stderr
    return {flag: (word, default.strip('"')) for flag, word, _, default in LISTED.findall(said)}


@pytest.mark.parametrize("name, options", [("nsqd", DoorOptions), ("nsqlookupd", LookupOptions)])
def test_flags_and_defaults_are_theirs(name, options):
    ours = {found.name: (getattr(options(), field), found.kind) for field, found in flags_of(options).items()}
    theirs = listed(name)
    assert len(theirs) > 8
    differing = []
    for flag, (word, default) in theirs.items():
        if flag in {"config", "version"} | OF_THE_MACHINE:
            continue
        value, kind = ours[flag]
        assert (word == "") == (kind.word == ""), flag
        if flag in ADDRESSES:
            assert value == default.replace("0.0.0.0", "127.0.0.1")
        elif word == "duration":
            assert value == seconds_of(default)
        elif shown(value) != default.lower().removeprefix("0, i.e., unlimited"):
            differing.append((flag, value, default))
    assert differing == []


def shown(value):
    """As Go lists it; what is empty, false or 0 is not listed."""
    if value in ("", 0, False, "false", ()):
        return ""
    return str(value).lower()


@pytest.mark.parametrize("name", ["nsqd", "nsqlookupd"])
def test_what_theirs_refuses_ours_refuses(place, name):
    for arguments in (["-no-such-flag"], ["-log-level=loud"], ["---tcp-address=x"], ["-tcp-address"]):
        theirs = subprocess.run([program(name), *arguments], capture_output=True, timeout=60, check=False)
        assert theirs.returncode == 2, arguments
        assert place.run(name, *arguments)[0] == 2, arguments
