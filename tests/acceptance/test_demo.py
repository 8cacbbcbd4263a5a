"""``make demo``, cut short: the whole story on a few files, with its two crashes."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.process import process_tree

ROOT = Path(__file__).resolve().parents[2]
RUN_S = 200


def start(tmp_path, *options):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(tmp_path), "COLUMNS": "120"}
    command = [sys.executable, "-u", str(ROOT / "examples" / "stdlib_index" / "run.py"), *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
def test_the_demo_crashes_twice_and_its_ledger_is_right(tmp_path):
    process = start(tmp_path, "--files", "60", "--target-s", "2")
    said, _ = process.communicate(timeout=RUN_S)

    assert process.returncode == 0, said
    assert re.search(r"SIGKILL to executor \d+", said)
    assert re.search(r"SIGKILL to owner \d+", said)
    accepted, succeeded, dead = map(
        int, re.findall(r"^accepted (\d+) = (\d+) succeeded \+ (\d+) dead, lost 0$", said, re.MULTILINE)[-1]
    )
    documents = list(tmp_path.glob("penstock-demo-*/index/**/*.json.gz"))
    assert accepted == succeeded + dead == 60
    assert len(documents) == succeeded
    assert all(json.loads(gzip.decompress(path.read_bytes()))["definitions"] is not None for path in documents)
    assert not list(tmp_path.glob("penstock-demo-*/index/**/*.draft"))
    assert not list(tmp_path.glob("penstock-demo-*/jobs"))


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process_and_no_file(tmp_path, number):
    process = start(tmp_path, "--target-s", "1")
    for line in process.stdout:
        if "Penstock is up" in line:
            break
    below = process_tree.descendants(process.pid)
    assert len(below) > 4

    process.send_signal(number)
    process.communicate(timeout=RUN_S)

    assert process.returncode == 130
    assert [pid for pid in below if Path(f"/proc/{pid}").exists()] == []
    assert list(tmp_path.iterdir()) == []
