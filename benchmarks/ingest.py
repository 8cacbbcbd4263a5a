"""HTTP: one job a POST, many connections, every answer after its commit is synced."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import webhooks
from benchmarks.harness import Bench
from benchmarks.load import Answered, Load, generator
from benchmarks.processes import START_S, BenchmarkFailed, Child, Spending, descendants, until
from benchmarks.record import Control, Measurement
from benchmarks.subjects import Subject
from benchmarks.subjects.penstock import PenstockSite
from benchmarks.workspace import Workspace, free_port, listens

ABOUT = (
    "POST /v1/jobs, one job each; owner and gates are processes of their own and share the cores with the load; "
    "the control is one process of granian alone, each body synced to a file in groups"
)
BODIES = 64
WARM_S = 1.0
"""How long a server is warmed up before it is measured."""


def steps(bench: Bench) -> int:
    return bench.scale.repeats * 4


def run(bench: Bench, subject: Subject) -> None:
    """Measure; only Penstock has a gate."""
    if subject.name != "penstock":
        return
    _row(bench, subject, "300 bytes", webhooks.small(BODIES), 1)
    _row(bench, subject, "300 bytes, two gates", webhooks.small(BODIES), 2)
    _row(bench, subject, "8 KB webhooks", webhooks.webhooks(BODIES), 1)
    _row(bench, subject, "8 KB webhooks, two gates", webhooks.webhooks(BODIES), 2)


def _row(bench: Bench, subject: Subject, name: str, bodies: Sequence[bytes], gates: int) -> None:
    bare = Control("bare granian + fdatasync", "requests/s")
    rate = bench.add(Measurement("ingest", name, subject.name, "jobs/s", [], bare, subject.survives))
    load = Load(bodies, bench.scale.ingest_connections, bench.scale.ingest_s)
    warm = Load(bodies, bench.scale.ingest_connections, WARM_S)
    for repeat in bench.repeats():
        with bench.workspace(f"ingest: {name}, {repeat + 1}") as workspace:
            alone, spent_alone = load_alone(workspace, warm, load)
            bare.values.append(alone.rate)
            answered, spent = _penstock(workspace, warm, load, gates)
        rate.values.append(answered.rate)
        mean = sum(map(len, bodies)) / len(bodies)
        rate.note = (
            f"{mean:,.0f} bytes a request at the mean; answered in {answered.p50_ms:.1f} ms at the median,"
            f" p99 {answered.p99_ms:.1f} ms; load by {generator()}, {load.connections} connections;"
            f" {spent}; {spent_alone}"
        )


def load_alone(workspace: Workspace, warm: Load, load: Load, *options: str) -> tuple[Answered, str]:
    """What a server alone makes of this load: granian, or with the option ``own`` the gate's own connections."""
    port = free_port()
    path = workspace.path / "bare"
    server = workspace.python("benchmarks.bare_gate", str(port), str(path), *options)
    url = f"http://127.0.0.1:{port}/v1/jobs"
    _wait_for(server, port)
    warm.put(workspace, url)
    spending = Spending({"own connections" if options else "bare granian": [server.pid]})
    answered = load.put(workspace, url)
    spent = spending.per_job(answered.count)
    server.stop()
    if path.stat().st_size < answered.count * min(map(len, load.bodies)):
        raise BenchmarkFailed("The control answered more than it wrote.")
    path.unlink()
    return answered, spent


def _penstock(workspace: Workspace, warm: Load, load: Load, gates: int) -> tuple[Answered, str]:
    site = PenstockSite(workspace)
    site.start()
    port = free_port()
    gate = site.start_gate(port, gates)
    url = f"http://127.0.0.1:{port}/v1/jobs"
    _wait_for(gate, port)
    before = warm.put(workspace, url)
    keepers = {role: [pid] for role, pid in site.keepers().items()}
    spending = Spending({"gate" if gates == 1 else "gates": [gate.pid, *descendants(gate.pid)], **keepers})
    answered = load.put(workspace, url)
    spent = spending.per_job(answered.count)
    asked = before.count + answered.count
    accepted = site.ledger().accepted
    # What was under way when the load ended may have been accepted without being counted as answered.
    if not asked <= accepted <= asked + 2 * load.connections:
        raise BenchmarkFailed(f"{asked} requests were answered; the ledger says {accepted} accepted.")
    return answered, spent


def _wait_for(server: Child, port: int) -> None:
    def up() -> bool:
        server.check()
        return listens(port)

    until(up, f"port {port} is open", START_S)
