"""What is to be indexed: the source files of the standard library of the Python that runs this."""

from __future__ import annotations

import base64
import json
import sysconfig
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import analysis

HASHES_MIN, HASHES_MAX = 16, 512
_SAMPLE_FILES = 12
_SAMPLE_BYTES = 60_000
_ELSEWHERE = frozenset({"site-packages", "dist-packages", "__pycache__"})
_BATCH_BYTES = 2 * 1024 * 1024
_BATCH_JOBS = 250


@dataclass(frozen=True, slots=True)
class Source:
    """One file. ``name``: its path below the library."""

    name: str
    path: Path
    size_bytes: int


def standard_library(limit: int | None = None) -> list[Source]:
    """Every source file of the standard library, without what was installed besides. ``limit``: at most so many."""
    root = Path(sysconfig.get_paths()["stdlib"]).resolve()
    found = sorted(path for path in root.rglob("*.py") if _ELSEWHERE.isdisjoint(path.relative_to(root).parts))
    sources = [Source(path.relative_to(root).as_posix(), path, path.stat().st_size) for path in found if path.is_file()]
    if limit is not None and limit < len(sources):
        # Evenly spread, so that a short run sees the odd files too.
        sources = [sources[at * len(sources) // limit] for at in range(limit)]
    return sources


def fitting_hashes(sources: Sequence[Source], work_s: float) -> int:
    """How fine the fingerprints may be so that the whole takes about ``work_s`` seconds of one core here."""
    fitting = [source for source in sources if source.size_bytes <= _SAMPLE_BYTES]
    sample = [source.path.read_bytes() for source in fitting[:: max(1, len(fitting) // _SAMPLE_FILES)]]
    share = max(1, sum(map(len, sample))) / max(1, sum(source.size_bytes for source in sources))
    fewest_s = _sample_s(sample, HASHES_MIN) / share
    each_s = (_sample_s(sample, HASHES_MIN * 8) / share - fewest_s) / (HASHES_MIN * 7)
    more = (work_s - fewest_s) / each_s if each_s > 0 else 0.0
    return max(HASHES_MIN, min(HASHES_MAX, HASHES_MIN + int(more)))


def _sample_s(sample: Sequence[bytes], hashes: int) -> float:
    started = time.process_time()
    for content in sample:
        try:
            analysis.analyse(content, hashes)
        except (SyntaxError, ValueError):
            continue
    return time.process_time() - started


def batches(sources: Sequence[Source], out: Path, hashes: int) -> Iterator[tuple[list[Source], bytes]]:
    """Request bodies for the gate, one job a line, and the sources in each."""
    batch: list[Source] = []
    lines: list[bytes] = []
    size_bytes = 0
    for source in sources:
        line = _job_line(source, out, hashes)
        if batch and (len(batch) >= _BATCH_JOBS or size_bytes + len(line) > _BATCH_BYTES):
            yield batch, b"\n".join(lines)
            batch, lines, size_bytes = [], [], 0
        batch.append(source)
        lines.append(line)
        size_bytes += len(line)
    if batch:
        yield batch, b"\n".join(lines)


def _job_line(source: Source, out: Path, hashes: int) -> bytes:
    content = base64.b64encode(source.path.read_bytes()).decode()
    arguments = [source.name, content, str(out), hashes]
    # The key makes it safe to post a batch again whose answer did not arrive.
    job = {"task": "stdlib.index", "args": arguments, "idempotency_key": source.name, "tags": ["demo"]}
    return json.dumps(job).encode()
