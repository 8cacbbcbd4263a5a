"""What `docs/howto/searching.md` shows works as it says."""

import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.conftest import until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "searching.md"


def blocks(language):
    """The examples of the page in this language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def run(place, lines):
    """Run commands as they stand on the page. Answers what each prints."""
    outputs = []
    for line in lines:
        command = line.replace("penstock ", f"{sys.executable} -m penstock.cli ", 1)
        done = subprocess.run(
            command, shell=True, cwd=place.path, env=place.environment, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, (line, done.stderr)
        outputs.append(done.stdout)
    return outputs


def test_the_jobs_of_the_page_are_found(place):
    (code,) = blocks("python")
    (place.path / "orders.py").write_text(code, encoding="utf-8")
    by_argument, dead = (block.splitlines() for block in blocks("sh"))
    *enqueued, one, both = run(place, by_argument)
    first, second, nobody = (output.strip() for output in enqueued)
    assert first in one
    assert second not in one
    assert first in both
    assert second in both
    assert nobody not in both
    worker = place.start("worker", "orders:app", "--executors", "1")
    try:
        until(lambda: place.json("dead")["kinds"])
    finally:
        worker.terminate()
        worker.communicate(timeout=60)
    counted, listed = run(place, dead)
    assert re.search(r"orders\.ship\s+ValueError\s+1", counted)
    assert nobody in listed
    assert first not in listed
    status, _, told = place.run("jobs", "--arg", "colour=red")
    assert status == 2
    assert "customer, order_id" in told
