"""The code base has a test of its own: sizes, names and habits, with a ratchet.

What is over a budget today is listed below with its size. A listed thing may shrink, and then its number must shrink
with it; it may not grow, and nothing new may join.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from penstock.model.job import QueueStats

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "penstock").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BESIDE = sorted(path for folder in ("benchmarks", "examples", "tools") for path in (ROOT / folder).rglob("*.py"))

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

LONG_FILES: dict[str, int] = {}
"""Files over the budget, with their lines."""
LONG_FUNCTIONS: dict[str, int] = {}
"""Functions over the budget (file:name), with their lines."""

SLEEPERS = {
    "src/penstock/store/embedded.py": "an owner waits for the lock of one that leaves; flock knows no time-out",
    "src/penstock/store/wire/client/reach.py": "a client looks again whether an owner listens",
    "src/penstock/store/wire/client/exchange.py": "an owner that was reached and does not answer is tried again",
    "src/penstock/store/wire/client/async_exchange.py": "as exchange.py",
    "src/penstock/store/care/reaching.py": "waits for another process to let go of the lock",
    "src/penstock/nsq/door/statsd.py": "reports at an interval, spread over it",
    "src/penstock/nsq/door/publishing.py": "what was answered from memory is published when the store is there again",
    "src/penstock/nsq/door/lookup_peer.py": "an nsqlookupd that was not reached is tried again",
    "src/penstock/gate/operator_routes.py": "the answer to a new bulk action waits a little for its count",
    "src/penstock/nsq/door/delivering.py": "a lease that the store refused is asked for again",
    "src/penstock/nsq/door/sharing.py": "a lease that the store refused is asked for again",
    "src/penstock/nsq/door/settling.py": "a settlement that did not get through is made again",
    "src/penstock/nsq/door/subscriptions.py": "from time to time the store hears of consumers that ask for nothing",
    "src/penstock/nsq/door/debugging.py": "a profile lasts as long as it was asked for",
    "src/penstock/testing/": "torture paces itself",
}
"""Where a sleep is the right thing, and why."""

UNPAIRED = {
    "__init__.py": "re-exports; what is behind it has tests",
    "__main__.py": "two lines, run by the acceptance tests",
    "model/store_file.py": "records only; tests/unit/store/care makes them",
    "model/workflow_plan.py": "records only; tests/unit/workflow makes them",
    "model/workflow_views.py": "records only; tests/unit/workflow makes them",
    "workflow/schedule_rows.py": "records and protocols; what uses them has tests",
    "tasks/type_hints.py": "types only; tests/typing checks them",
    "workflow/decisions.py": "records only; tests/unit/workflow/paper.py does what they say",
    "workflow/rows_at_hand.py": "rows kept for a moment: tests/unit/workflow/test_any_order.py reads them anew",
    "http/exchange.py": "tests/unit/http/test_connection.py, each on its connection",
    "http/request_line.py": "tests/unit/http/test_request_reader.py",
    "http/messages.py": "types only; whoever answers has tests",
    "model/limits/nsq.py": "names only; tests/unit/model/test_limits.py has the relations",
    "nsq/door/lookup_peer.py": "tests/unit/nsq/door/test_lookup_peers.py, with real connections",
    "model/limits/nsq_data_directory.py": "names only; tests/unit/nsq/data_directory goes to each",
    "nsq/message_headers.py": "names only",
    "nsq/lookup/lookup_process.py": "a process with its sockets: tests/acceptance/test_nsq_lookup.py",
    "node/root.py": "forks real processes: tests/acceptance/test_tree.py",
    "node/forked_part.py": "see node/root.py",
    "node/nsq_part.py": "a real part: tests/acceptance/test_nsq_up.py",
    "node/parts.py": "real parts: tests/acceptance/test_up.py",
    "node/probe.py": "forks a real process: tests/acceptance/test_cli.py",
}
"""Source files without a test file of the same name, and why. A key is a name or a path below src/penstock."""
WHOLE_UNPAIRED = {
    "model/limits": "numbers; how they stand to each other: tests/unit/model/test_limits.py",
    "ports": "protocols: the conformance suite, tests/unit/ports and tests/unit/store/wire/test_calls.py",
    "store": "the conformance suite, over every path to a store, and tests/unit/store",
    "testing": "is itself what tests are made of; the conformance suite, tests/unit/testing and torture run it",
    "cli": "one command a file: tests/unit/cli and tests/acceptance/test_cli.py go through all of them",
    "worker": "tests/unit/worker goes by what it does, not by file",
    "nsq/door": "tests/unit/nsq/door goes by what a client sees",
    "gate": "tests/unit/gate goes by what a client sees",
    "tasks": "tests/unit/tasks goes by what a caller sees",
}

BANNED_NAMES = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc)($|_)")
BANNED_WORDS = re.compile(r"/home/\w|/root/|/work/|\bTODO\b|\bFIXME\b|\bXXX\b|NotImplementedError|\bimport pickle\b")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def calls(path: Path, *names: str) -> list[int]:
    """The lines on which one of these is called, such as ``time.sleep``. Sleeping for 0 is only giving way."""
    return [
        node.lineno
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in names
        and [ast.unparse(argument) for argument in node.args] != ["0"]
    ]


def check_ratchet(found: dict[str, int], listed: dict[str, int]) -> None:
    assert {name: size for name, size in found.items() if size > listed.get(name, 0)} == {}, "over the budget"
    shrunk = {name: size for name, size in listed.items() if found.get(name, 0) < size}
    assert shrunk == {}, "smaller than listed: lower or remove the number"


def test_no_file_is_longer_than_its_budget():
    sizes = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in [*SOURCES, *BESIDE]}
    check_ratchet({name: size for name, size in sizes.items() if size > FILE_LINES_MAX}, LONG_FILES)


def test_no_function_is_longer_than_its_budget():
    sizes = {
        f"{name_of(path)}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in [*SOURCES, *BESIDE]
        for function in functions(path)
    }
    check_ratchet({name: size for name, size in sizes.items() if size > FUNCTION_LINES_MAX}, LONG_FUNCTIONS)


VIRTUAL_TIME = ("penstock.testing.virtual_loop", "tests.unit.worker.supervisor.staged")
"""Where these are imported, and in them, a coroutine that sleeps takes no time."""
ASTRAY = {"tests/unit/store/wire/test_deletion_watch.py": "loses the files of an owner that serves, which wire/ has"}
"""Unit tests that stand elsewhere than their module, and why."""


def imports(path: Path, modules: tuple[str, ...]) -> bool:
    nodes = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom)]
    return any(node.module in modules for node in nodes) or name_of(path)[:-3].replace("/", ".") in modules


def test_no_test_sleeps_outside_the_acceptance_tests():
    sleeping = {}
    for path in TESTS:
        names = ("time.sleep", "sleep") if imports(path, VIRTUAL_TIME) else ("time.sleep", "sleep", "asyncio.sleep")
        if "acceptance" not in path.parts and (lines := calls(path, *names)):
            sleeping[name_of(path)] = lines
    assert sleeping == {}


def test_the_sources_sleep_only_where_a_reason_is_given():
    sleeping = {
        name_of(path): lines
        for path in SOURCES
        if (lines := calls(path, "time.sleep", "sleep", "asyncio.sleep"))
        and not any(name_of(path).startswith(place) for place in SLEEPERS)
    }
    assert sleeping == {}


@pytest.mark.parametrize("path", [*SOURCES, *BESIDE], ids=name_of)
def test_a_module_is_named_for_what_it_does(path):
    assert not any(BANNED_NAMES.search(part) for part in path.relative_to(ROOT).with_suffix("").parts)


def test_no_banned_words():
    own = Path(__file__)
    texts = [*SOURCES, *TESTS, *BESIDE, *ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("*.toml")]
    found = {
        name_of(path): sorted({match.group() for match in BANNED_WORDS.finditer(path.read_text(encoding="utf-8"))})
        for path in texts
        if path != own and BANNED_WORDS.search(path.read_text(encoding="utf-8"))
    }
    assert found == {}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_says_what_it_is(path):
    assert ast.get_docstring(tree_of(path)), "no docstring"


def test_nothing_inside_imports_the_public_face():
    """`penstock` itself, or a name from it that is no module of its own."""
    below = {
        path.stem if path.name != "__init__.py" else path.parent.name for path in (ROOT / "src/penstock").glob("*")
    }
    guilty: list[str] = []
    for path in SOURCES:
        if path == ROOT / "src/penstock/__init__.py":
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import) and any(alias.name == "penstock" for alias in node.names):
                guilty.append(f"{name_of(path)}:{node.lineno}")
            if isinstance(node, ast.ImportFrom) and node.module == "penstock":
                guilty += [f"{name_of(path)}:{node.lineno}" for alias in node.names if alias.name not in below]
    assert guilty == []


def test_only_the_configuration_reads_the_environment():
    guilty = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        if path.name != "config.py" and "testing" not in path.parts
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv", "os.environb"}
    ]
    assert guilty == []


BARE = re.compile(r"#\s*noqa(?!: [A-Z]+[0-9]+(, [A-Z]+[0-9]+)* - \w)|#\s*type:\s*ignore(?!\[[a-z, -]+\]  # \w)")
"""A check that is switched off without saying which, or why."""


def test_a_check_that_is_switched_off_is_named_with_the_reason():
    suspects = [path for path in [*SOURCES, *TESTS, *BESIDE] if BARE.search(path.read_text(encoding="utf-8"))]
    bare = [
        f"{name_of(path)}:{token.start[0]}"
        for path in suspects
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        if token.type == tokenize.COMMENT and BARE.search(token.string)
    ]
    assert bare == []


@pytest.mark.parametrize("comment", ["# noqa", "# noqa: S101", "# noqa: S101 -", "# type: ignore", "# type: ignore[x]"])
def test_one_without_is_found(comment):
    assert BARE.search(comment)
    assert not BARE.search("# noqa: S101, E501 - why")
    assert not BARE.search("# type: ignore[arg-type, misc]  # why")


def test_every_module_has_a_test_file_or_a_reason():
    tested = {path.stem.removeprefix("test_") for path in TESTS}
    missing = []
    for path in SOURCES:
        below = path.relative_to(ROOT / "src/penstock").as_posix()
        excused = path.name in UNPAIRED or below in UNPAIRED
        excused = excused or any(below.startswith(f"{folder}/") for folder in WHOLE_UNPAIRED)
        if not excused and path.stem not in tested:
            missing.append(below)
    assert missing == []


def test_unit_tests_stand_where_the_tree_has_what_they_test():
    """In a folder that the package has too. Where a module has the test's name, a test of this name is in its place."""
    package, unit = ROOT / "src" / "penstock", ROOT / "tests" / "unit"
    places: dict[tuple[str, str], set[Path]] = {}
    for path in SOURCES:
        folder = path.parent.relative_to(package)
        places.setdefault((folder.parts[0] if folder.parts else "", path.stem), set()).add(folder)
    astray = []
    for path in TESTS:
        if not path.is_relative_to(unit) or path.is_relative_to(unit / "benchmarks"):
            continue
        folder = path.parent.relative_to(unit)
        known = places.get((folder.parts[0] if folder.parts else "", path.stem.removeprefix("test_")), {folder})
        in_place = any((unit / place / path.name).exists() for place in known)
        if not (package / folder).is_dir() or not in_place:
            astray.append(name_of(path))
    assert astray == list(ASTRAY)


def test_every_excuse_is_still_needed():
    paths = {path.relative_to(ROOT / "src/penstock").as_posix() for path in SOURCES}
    names = {path.name for path in SOURCES}
    assert [key for key in UNPAIRED if key not in paths and key not in names] == []
    assert [place for place in SLEEPERS if not any(name_of(path).startswith(place) for path in SOURCES)] == []


NAMED_FILE = re.compile(r"`((?:[a-z0-9_]+/)+[a-z0-9_]+\.(?:py|sql))`")
"""A file in a text for developers, such as `gate/app.py`: below the package, or below the root."""


def test_every_file_that_the_architecture_names_is_there():
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = NAMED_FILE.findall(text)
    assert len(named) > 30
    bases = (ROOT / "src" / "penstock", ROOT)
    assert [name for name in named if not any((base / name).exists() for base in bases)] == []


def test_whatever_says_that_it_is_pure_is_checked_for_it():
    """By import-linter, which follows imports however far down."""
    (contract,) = [
        contract
        for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if contract["name"].startswith("Pure cores")
    ]
    checked = contract["source_modules"]
    claims = re.compile(r"\bPure(?:[.:;,]| but)")
    unchecked = []
    for path in SOURCES:
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        is_checked = any(module == one or module.startswith(f"{one}.") for one in checked)
        if claims.search(docstring) and not is_checked and not module.startswith("penstock.testing."):
            unchecked.append(module)
    assert unchecked == []


def test_counts_of_queues_change_in_the_ledger_alone():
    """Every move of every store is checked against the transition table: nobody changes a count by hand."""
    fields = "|".join(QueueStats.__struct_fields__)
    by_hand = re.compile(rf"\b(counts\w*(\([^()]*\))?\.({fields})\s*[-+]?=(?!=)|setattr\(counts)")
    found = [
        f"{name_of(path)}:{number}"
        for path in SOURCES
        if path.name != "ledger.py" or path.parent.name != "model"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if by_hand.search(line)
    ]
    assert found == []
