"""The environment of a rival: a virtual one of its own, with pinned versions, made once and kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.workspace import ROOT

REQUIREMENTS: Final = Path(__file__).resolve().parent / "requirements"
ENVIRONMENTS: Final = ROOT / ".cache" / "rivals"
INSTALL_S_MAX: Final = 900.0


class Environment:
    """What one file of requirements comes to.

    Attributes:
        pins: what the file names, by package.
    """

    def __init__(self, name: str, directory: Path = ENVIRONMENTS) -> None:
        self._requirements = REQUIREMENTS / f"{name}.txt"
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        self.path = directory / f"{name}-{version}"
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
        wanted = f"{sys.version}\n{self._requirements.read_text(encoding='utf-8')}"
        stamp = self.path / ".installed"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return None
        shutil.rmtree(self.path, ignore_errors=True)
        make = [sys.executable, "-m", "venv", str(self.path)]
        fill = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for arguments in (make, [*fill, "--requirement", str(self._requirements)]):
            reason = _failure(arguments)
            if reason is not None:
                shutil.rmtree(self.path, ignore_errors=True)
                return reason
        stamp.write_text(wanted, encoding="utf-8")
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
    said = [line for line in done.stderr.strip().splitlines() if line.startswith("ERROR")]
    words = said or done.stderr.strip().splitlines() or ["pip said nothing"]
    return f"it could not be installed: {words[-1].removeprefix('ERROR:').strip()}"
