"""Change the pure modules in small ways, one at a time, and see whether a test notices.

    make mutants                       all of them
    make mutants MODULES=ledger,watch  those of this name

The modules are those that pyproject.toml lists as pure. mutmut changes them in a copy of the tree below .cache, and
runs the tests that reach a changed function. What a test noticed before is not tried again unless the function has
changed; what none noticed is, because there may be a test now. A change that no test notices, a survivor, is written to
.cache/mutants/survivors.txt, to be looked at one by one: a test is missing, or the change makes no difference, or the
code is not needed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".cache" / "mutants"
TREE = PLACE / "tree"
LOCK = ROOT / "requirements-mutants.lock"
CONTRACT = "Pure cores"
PACKAGES = ("penstock.model", "penstock.store", "penstock.worker")
"""Where pure modules are looked for."""
AT_IMPORT = ("penstock.store.wire.calls", "penstock.model.states.x__move__", "penstock.model.ledger.x__changes_of__")
"""What is called while a module is imported, which is before mutmut begins: no change of it is ever seen."""
SUPERVISOR = ("catalogue", "dispatch", "ledger", "settlement", "suspects", "watch")
TESTS = [
    "tests/unit/model",
    "tests/unit/store/test_paging.py",
    *(f"tests/unit/store/sqlite/test_{name}.py" for name in ("line_heads", "row_numbers")),
    *(f"tests/unit/store/wire/test_{name}.py" for name in ("gathering", "protocol")),
    *(f"tests/unit/store/wire/client/test_{name}.py" for name in ("delivered", "session")),
    *(f"tests/unit/store/wire/owner/test_{name}.py" for name in ("greeting", "pace", "parking", "turns")),
    *(f"tests/unit/worker/supervisor/test_{name}.py" for name in SUPERVISOR),
    *(f"tests/unit/worker/{name}.py" for name in ("test_messages", "test_outcomes")),
]
"""What is fast, and starts no threads and no processes, which the process of a mutant would miss."""
KILLED = {1, 3, 24, -24, 36, 152, 255}
"""mutmut's numbers for: a test failed, pytest failed, it took too long."""
NOT_RUN = {None, 2, 34}
"""Not tried, interrupted, skipped."""


def pure_files() -> list[str]:
    """The files of the modules and packages that the layers of pyproject.toml call pure."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    modules = next(one["source_modules"] for one in contracts if one["name"].startswith(CONTRACT))
    found = []
    for module in [one for one in modules if one.startswith(PACKAGES)]:
        path = ROOT / "src" / module.replace(".", "/")
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    names = [path.relative_to(ROOT).as_posix() for path in found if path.name != "__init__.py"]
    return [name for name in names if not name[4:-3].replace("/", ".").startswith(AT_IMPORT)]


def chosen(paths: list[str], wanted: list[str]) -> list[str]:
    """Those whose name is wanted; all of them where none is named."""
    found = [path for path in paths if not wanted or Path(path).stem in wanted]
    if not found:
        sys.exit(f"No pure module is called {' or '.join(wanted)}.")
    return found


def environment() -> Path:
    """The binaries of an environment with mutmut. Only the first run needs the network."""
    binaries, stamp = PLACE / "venv" / "bin", PLACE / "venv" / "made-from"
    made_from = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != made_from:
        print("Setting up .cache/mutants/venv.", flush=True)
        venv.create(PLACE / "venv", with_pip=True, clear=True)
        pip = [binaries / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", LOCK], check=True)
        stamp.write_text(made_from)
    return binaries


def copy_tree(paths: list[str]) -> None:
    """The tree as it is, with what mutmut is to do. What mutmut knows of earlier runs stays."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for old in [path for path in TREE.rglob("*") if path.is_file()]:
        name = old.relative_to(TREE).as_posix()
        if not name.startswith("mutants/") and name not in names:
            old.unlink()
    for name in names:
        here, there = ROOT / name, TREE / name
        if not there.exists() or there.read_bytes() != here.read_bytes():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here, there)
        # mutmut copies what is not Python once.
        changed = TREE / "mutants" / name
        if here.suffix != ".py" and changed.exists() and changed.read_bytes() != here.read_bytes():
            shutil.copy2(here, changed)
    for path in paths:
        # mutmut changes no file that it has copied unchanged in an earlier run.
        if not (TREE / "mutants" / f"{path}.meta").exists():
            (TREE / "mutants" / path).unlink(missing_ok=True)
    options = {
        "source_paths": ["src"],
        "only_mutate": paths,
        "also_copy": ["docs", "Makefile", "tools", "benchmarks", "examples", "README.md"],
        "pytest_add_cli_args_test_selection": TESTS,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    (TREE / "pyproject.toml").write_text(
        (ROOT / "pyproject.toml").read_text() + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n"
    )


def forget_survivors(paths: list[str]) -> None:
    """What no test noticed is to be tried again, and which tests reach which function is to be found out anew."""
    (TREE / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    for path in paths:
        meta = TREE / "mutants" / f"{path}.meta"
        if meta.exists():
            known = json.loads(meta.read_text())
            codes = known["exit_code_by_key"]
            known["exit_code_by_key"] = {name: code if code in KILLED else None for name, code in codes.items()}
            meta.write_text(json.dumps(known))


def report(binaries: Path, paths: list[str]) -> tuple[int, int]:
    """Print the share killed by module, and keep the survivors. Answers how many were killed, and of how many."""
    killed = tried = 0
    survivors: list[str] = []
    for path in paths:
        meta = TREE / "mutants" / f"{path}.meta"
        known = json.loads(meta.read_text())["exit_code_by_key"] if meta.exists() else {}
        results = {name: code for name, code in known.items() if not name.startswith(AT_IMPORT)}
        counts = Counter("killed" if code in KILLED else "survived" for code in results.values() if code not in NOT_RUN)
        survivors += [name for name, code in results.items() if code not in KILLED and code not in NOT_RUN]
        killed, tried = killed + counts["killed"], tried + counts.total()
        left = sum(code in NOT_RUN for code in results.values())
        share = f"{counts['killed'] / counts.total():6.1%}" if counts.total() else "     -"
        print(
            f"{share}  {counts['killed']:4d} of {counts.total():4d}  {path}" + (f"  ({left} not tried)" if left else "")
        )
    with (PLACE / "survivors.txt").open("w") as file:
        for name in survivors:
            shown = subprocess.run(
                [binaries / "mutmut", "show", name], cwd=TREE, check=False, capture_output=True, text=True
            )
            file.write(shown.stdout + "\n")
    return killed, tried


def main() -> int:
    """Run mutmut, then say how much of what it changed was noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", default="", help="only those of these names, separated by commas")
    parser.add_argument("--processes", type=int, default=1, help="how many at a time")
    options = parser.parse_args()
    paths = chosen(pure_files(), [one for one in options.modules.split(",") if one])
    PLACE.mkdir(parents=True, exist_ok=True)
    binaries = environment()
    copy_tree(paths)
    forget_survivors(paths)
    log = PLACE / "run.log"
    print(f"mutmut changes {len(paths)} modules; its output: {log.relative_to(ROOT)}", flush=True)
    with log.open("w") as output:
        ended = subprocess.run(
            [binaries / "mutmut", "run", "--max-children", str(options.processes)],
            cwd=TREE, check=False, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": str(TREE / "src")},
        )  # fmt: skip
    killed, tried = report(binaries, paths)
    if tried:
        print(f"{killed / tried:6.1%}  {killed:4d} of {tried:4d}  in all; survivors: .cache/mutants/survivors.txt")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
