"""Write the locks.

requirements.lock: what Penstock runs on; requirements-dev.lock: that, and what its tests and checks need;
requirements-mutants.lock: that, and what `make mutants` needs; tools/nsq_peers/*.lock: what the NSQ clients need whose
suites are run, each in an environment of its own.

Each names every package exactly, with the hashes of all its files, for every Python and platform that pyproject.toml
allows: plain pip installs it with --require-hashes. ``--check`` needs no network: it compares the digest of
pyproject's dependencies with the one noted in the files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    "requirements.lock": ["pyproject.toml"],
    "requirements-dev.lock": ["pyproject.toml", "--extra", "dev"],
    "requirements-mutants.lock": ["pyproject.toml", "--extra", "dev", "tools/mutants.in"],
    "tools/nsq_peers/ansq.lock": ["tools/nsq_peers/ansq.in"],
    "tools/nsq_peers/gnsq.lock": ["tools/nsq_peers/gnsq.in"],
    "tools/nsq_peers/pynsq.lock": ["tools/nsq_peers/pynsq.in"],
}
NOTE = "# Of the dependencies in pyproject.toml, sha256 "
NOTE_OF_FILE = "# Of the dependencies in the file beside it, sha256 "


def note(options: list[str]) -> str:
    """What a lock follows from, in one line: pyproject.toml's dependencies, and a file of more, or of others."""
    inputs = []
    if "pyproject.toml" in options:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        inputs += [project["requires-python"], project["dependencies"], project["optional-dependencies"]]
    inputs += [(ROOT / option).read_text() for option in options if option.endswith(".in")]
    return (NOTE if "pyproject.toml" in options else NOTE_OF_FILE) + hashlib.sha256(
        json.dumps(inputs, sort_keys=True).encode()
    ).hexdigest()


def stale() -> list[str]:
    """The lock files that were not made from what they follow from as it is."""
    return [
        name
        for name, options in LOCKS.items()
        if not (ROOT / name).exists() or note(options) not in (ROOT / name).read_text().splitlines()
    ]


def write() -> None:
    """Resolve anew with uv, from a throw-away environment. Needs the network."""
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(scratch, with_pip=True)
        binaries = Path(scratch, "bin")
        subprocess.run([binaries / "python", "-m", "pip", "install", "--quiet", "uv>=0.13"], check=True)
        for name, options in LOCKS.items():
            resolved = subprocess.run(
                [binaries / "uv", "--no-config", "pip", "compile", *options, "--quiet", "--universal"]
                + [
                    "--python-version",
                    "3.11",
                    "--generate-hashes",
                    "--no-header",
                    "--no-emit-index-url",
                    "--no-annotate",
                ],
                cwd=ROOT,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            head = f"# Written by `make lock`; not to be edited.\n{note(options)}\n"
            (ROOT / name).write_text(head + resolved)
            print(f"{name}: {resolved.count('==')} packages")


def main() -> int:
    """Write the locks, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="say whether the locks fit pyproject.toml")
    if not parser.parse_args().check:
        write()
        return 0
    for name in stale():
        print(f"{name} does not follow from pyproject.toml: run `make lock`.", file=sys.stderr)
    return 1 if stale() else 0


if __name__ == "__main__":
    sys.exit(main())
