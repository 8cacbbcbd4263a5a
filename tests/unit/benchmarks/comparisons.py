"""Records of runs that nobody ran."""

from __future__ import annotations

from benchmarks.document import Absence, Document, Facts, Figure, Machine
from benchmarks.rows import ROWS, SUITE

EVERYTHING = ["worker-kill", "broker-kill", "power-cut"]


def figure(row, subject, *values, survives=(), cap=0.0, note="", suite=SUITE, **more):
    unit = ROWS[row][0] if suite == SUITE else "jobs/s"
    ordered = sorted(values)
    fields = {
        "suite": suite,
        "row": row,
        "subject": subject,
        "unit": unit,
        "value": ordered[len(ordered) // 2],
        "values": list(values),
        "cap": cap,
        "note": note,
        "survives": list(survives),
        "control_name": "",
        "control": None,
        "target": "",
        "met": None,
    }
    return Figure(**{**fields, **more})


def facts(name, *, survives=(), skipped=None):
    return Facts(
        name=name,
        version="1.2.3",
        packages={name: "1.2.3"},
        server="a file",
        configuration="as its documents say",
        acknowledged="it is written",
        survives=list(survives),
        skipped=skipped,
    )


def record(*figures, subjects=(), absences=(), failures=(), quick=False):
    return Document(
        began_at="2026-01-02 03:04",
        duration_s=600.0,
        command="python -m benchmarks --rivals",
        quick=quick,
        repeats=3,
        machine=Machine(
            system="Linux", processor="a processor", cores=2, memory_gb=8.0, python="3.11.7", syncs_a_second=1_000
        ),
        subjects=list(subjects),
        figures=list(figures),
        absences=[Absence(row=row, subject=subject, reason=reason) for row, subject, reason in absences],
        failures=list(failures),
    )
