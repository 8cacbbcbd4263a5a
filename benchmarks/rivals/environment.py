"""The environment of a rival: a virtual one of its own, with pinned versions, made once and kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.workspace import ROOT

REQUIREMENTS: Final = Path(__file__).resolve().parent / "requirements"
ENVIRONMENTS: Final = ROOT / ".cache" / "rivals"
INSTALL_S_MAX: Final = 900.0
NEWER: Final = 4
"""So many minor versions are looked for."""
BUILD_ENDS: Final = "[end of output]"
"""What pip says below the output of a build that failed."""


class Environment:
    """What one file of requirements comes to.

    Args:
        python: the oldest that will do. Where this one is older, another of the machine is taken.

    Attributes:
        pins: what the file names, by package.
    """

    def __init__(self, name: str, directory: Path = ENVIRONMENTS, *, python: tuple[int, int] = (3, 11)) -> None:
        self._requirements = REQUIREMENTS / f"{name}.txt"
        self._base = interpreter(python) or sys.executable
        major, minor = max(python, sys.version_info[:2])
        self.path = directory / f"{name}-{major}.{minor}"
        self.pins = dict(pins(self._requirements.read_text(encoding="utf-8")))

    @property
    def binaries(self) -> Path:
        """Where its commands are."""
        return self.path / "bin"

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.binaries / "python")

    def install(self) -> str | None:
        """Make it, unless it stands as asked for. Answers why it cannot be made; None: it is there."""
        wanted = f"{sys.version}\n{self._base}\n{self._requirements.read_text(encoding='utf-8')}"
        stamp = self.path / ".installed"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return None
        shutil.rmtree(self.path, ignore_errors=True)
        make = [self._base, "-m", "venv", str(self.path)]
        fill = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for arguments in (make, [*fill, "--requirement", str(self._requirements)]):
            reason = _failure(arguments)
            if reason is not None:
                shutil.rmtree(self.path, ignore_errors=True)
                return reason
        stamp.write_text(wanted, encoding="utf-8")
        return None


@cache
def interpreter(oldest: tuple[int, int]) -> str | None:
    """A Python that is no older: this one where it will do, else the oldest on the PATH or of pyenv. None: none."""
    if sys.version_info[:2] >= oldest:
        return sys.executable
    major, minor = oldest
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for newer in range(minor, minor + NEWER):
        places = [shutil.which(f"python{major}.{newer}"), *sorted(versions.glob(f"{major}.{newer}.*/bin/python"))]
        for place in filter(None, places):
            # What pyenv puts on the PATH may lead nowhere.
            if _failure([str(place), "--version"]) is None:
                return str(place)
    return None


def pins(text: str) -> Iterator[tuple[str, str]]:
    """Package and version of each line of a file of requirements.

    Raises:
        ValueError: a line pins nothing.
    """
    for line in text.splitlines():
        wanted = line.partition("#")[0].strip()
        if not wanted:
            continue
        package, exactly, version = wanted.partition("==")
        if not exactly:
            raise ValueError(f"{wanted!r} pins no version.")
        yield package.partition("[")[0].strip(), version.strip()


def _failure(arguments: list[str]) -> str | None:
    """Why a command failed, in its own last words. None: it did not."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False)
    except subprocess.TimeoutExpired:
        return f"it could not be installed within {INSTALL_S_MAX:.0f} s"
    if done.returncode == 0:
        return None
    said = done.stderr.strip() or done.stdout.strip()
    silent = f"{' '.join(arguments[1:3])} ended with status {done.returncode} and said nothing"
    return f"it could not be installed: {cause(said) if said else silent}"


def cause(said: str) -> str:
    """Why pip failed, of all that it said: its last words are mostly about where to look."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if BUILD_ENDS in lines[1:]:
        last = lines[lines.index(BUILD_ENDS) - 1]
        return f"no wheel of it fits this machine, and building it here, which may want a Rust compiler, failed: {last}"
    if any("Retrying (" in line for line in lines) and "from versions: none" in said:
        return "the package index cannot be reached"
    words = [line for line in lines if line.startswith("ERROR")] or lines
    return words[-1].removeprefix("ERROR:").strip()
