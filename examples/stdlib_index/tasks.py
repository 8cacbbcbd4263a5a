"""The application: one task, which analyses one source file and writes what it found."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path

import analysis

from penstock import Context, Penstock, Retry

app = Penstock("penstock-data")
QUEUE = "stdlib"


@app.task(name="stdlib.index", queue=QUEUE, retry=Retry(max_attempts=3, base_s=0.2, on=(OSError,)))
def index(ctx: Context, path: str, content: bytes, out: str, hashes: int) -> int:
    """Analyse ``content`` and write the document to ``out``. Answers the document's size in bytes.

    A full disk is worth another attempt (`OSError`); a file that does not parse is not: it is dead at once, and the
    record says why.
    """
    started = time.perf_counter()
    found = analysis.analyse(content, hashes)
    found |= {"path": path, "job": ctx.job_id, "attempt": ctx.attempt, "seconds": time.perf_counter() - started}
    return write_document(Path(out, f"{path}.json.gz"), found)


def write_document(target: Path, document: analysis.Document) -> int:
    """Write a compressed document so that it is there whole or not at all, whenever this process dies."""
    data = gzip.compress(json.dumps(document, separators=(",", ":")).encode(), compresslevel=6, mtime=0)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    draft.write_bytes(data)
    draft.replace(target)
    return len(data)
