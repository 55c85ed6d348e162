"""One run of the load generator against a receiver on an empty data directory, and everything measured about it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from receiver.signals import Signal
from tests.benchmarks.payload import POOL_RECORDS
from tests.benchmarks.queryable import QueryableWatch
from tests.benchmarks.stage_cpu import CHILDREN, QUERIES, StageCpu, children, memory_mb
from tests.support.receiver_process import REPOSITORY, ReceiverProcess

_WATCH_S, _BUSY_WATCH_S = 0.2, 1.0
"""Time between two questions of the watch; each costs the receiver some 10 ms of CPU time."""


class VoidRunError(Exception):
    """What was acknowledged is not what is stored: none of the run's figures counts."""


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    signal: Signal = Signal.TRACES
    payload: str = "realistic"
    transport: str = "grpc"
    batch: int = 512
    seconds: float = 12.0
    rate: float = 0.0
    """Records a second; 0: as fast as it answers."""
    under_way: int = 8
    """Requests under way at a time, without a rate."""
    embed: bool = True
    watch: bool = True
    """Measure the time until records can be queried; it costs some questions a second."""
    capture: Path | None = None
    pool_records: int = POOL_RECORDS

    @property
    def name(self) -> str:
        """Return what tells it from other plans."""
        pace = f"{self.rate:.0f}/s" if self.rate else f"{self.under_way} under way"
        return f"{self.signal.value} {self.payload} {self.transport} {self.batch} a request, {pace}"


class Generator:
    """A load generator as a process of its own, which waits until it is told to begin. A context manager."""

    def __init__(self, plan: Plan, endpoint: str, times: Path | None = None) -> None:
        """Start it; return once its pool is built."""
        more = ["--capture", str(plan.capture)] if plan.capture else []
        more += ["--times", str(times)] if times else []
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.benchmarks.generator", "--wait", "--endpoint", endpoint,
                "--transport", plan.transport, "--signal", plan.signal.value, "--payload", plan.payload,
                "--batch", str(plan.batch), "--seconds", str(plan.seconds), "--rate", str(plan.rate),
                "--under-way", str(plan.under_way), "--pool-records", str(plan.pool_records), *more,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )  # fmt: skip
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise SystemExit(f"the load generator ended with {self._process.wait()}")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, whatever state it is in."""
        self._process.kill()
        self._process.communicate()

    def begin(self) -> None:
        """Let it send."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """Return its figures once it has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if self._process.wait() or not line:
            raise SystemExit(f"the load generator ended with {self._process.returncode}")
        figures: dict[str, Any] = json.loads(line)
        return figures


def one_run(plan: Plan, folder: Path) -> dict[str, Any]:
    """Return the figures of one run.

    Args:
        plan: What it does.
        folder: Where the data directory is made, and removed again.

    Raises:
        VoidRunError: What was acknowledged is not what is stored.
    """
    environment = {"OTLP_RECEIVER_EMBED__ENABLED": str(plan.embed).lower()}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        home = Path(name).absolute()  # the receiver has another working directory
        data, times = home / "data", home / "times.npy"
        with ReceiverProcess(
            data, environment=environment, module="tests.benchmarks.named_threads"
        ) as receiver:
            endpoint = receiver.grpc if plan.transport == "grpc" else receiver.http
            with Generator(plan, endpoint, times) as generator:
                run = measured(plan, receiver, generator, times)
            receiver.stop()  # its checkpoint puts the database's log into the file
        run["bytes_per_record"] = round(database_bytes(data) / run["stored_records"])
        return run


def measured(plan: Plan, receiver: ReceiverProcess, generator: Generator, times: Path) -> dict[str, Any]:
    """Return the figures of a load that has the receiver to itself, and stop neither.

    Args:
        plan: What the generator does.
        receiver: Has no records of the plan's signal yet.
        generator: Waits to begin; its times go to ``times``.
        times: See there.

    Raises:
        VoidRunError: What was acknowledged is not what is stored.
    """
    receiver.flush()  # answered when the store is open
    idle_mb = memory_mb(receiver.pid, "VmRSS")
    cpu = StageCpu(receiver.pid)
    watch = QueryableWatch(receiver, plan.signal, _WATCH_S if plan.rate else _BUSY_WATCH_S)
    generator.begin()
    if plan.watch:
        with watch:
            load, ended = _sent_and_stored(receiver, generator)
    else:
        load, ended = _sent_and_stored(receiver, generator)
    used, workers_mb = cpu.seconds(), [memory_mb(child, "VmHWM") for child in children(receiver.pid)]
    receiver_cpu = cpu.total() - used.get(QUERIES, 0.0)  # the watch asks, nobody else
    stats = receiver.stats()
    stored = _verified(plan, load, stats)
    seconds = ended - load["started"]
    _, acknowledged = np.load(times)
    million = stored / 1e6
    return {
        "plan": plan.name,
        "signal": plan.signal.value,
        "payload": plan.payload,
        "transport": plan.transport,
        "batch": plan.batch,
        "rate": plan.rate,
        "under_way": plan.under_way,
        "seconds": plan.seconds,
        "embed": plan.embed,
        "stored_records": stored,
        "stored_per_s": round(stored / seconds),
        "acknowledged_per_s": round(stored / load["seconds"]),
        "request_bytes": load["request_bytes"],
        "answer_ms": load["latency_ms"],
        "queryable_ms": watch.figures(acknowledged, plan.batch) if plan.watch else {},
        "retries": load["retries"],
        "statuses": load["statuses"],
        "cpu_s_per_million": round(receiver_cpu / million, 2),
        "stage_cpu_s_per_million": {stage: round(value / million, 2) for stage, value in used.items()},
        "cores": round(receiver_cpu / seconds, 2),
        "generator_cpu_us_per_record": load["generator_cpu_us_per_record"],
        "idle_rss_mb": round(idle_mb),
        "peak_rss_mb": round(memory_mb(receiver.pid, "VmHWM")),
        "worker_peak_rss_mb": [round(size) for size in workers_mb],
        "texts": stats["embedding"]["texts"],
        "texts_waiting": stats["embedding"]["pending"],
        "embed_cpu_s": round(used.get(CHILDREN, 0.0), 2),
        "log": _troubles(receiver.log),
    }


def _sent_and_stored(receiver: ReceiverProcess, generator: Generator) -> tuple[dict[str, Any], float]:
    load = generator.result()
    receiver.flush()
    return load, time.monotonic()


def _verified(plan: Plan, load: dict[str, Any], stats: dict[str, Any]) -> int:
    """Return how many records are stored, having compared what was sent, acknowledged and stored."""
    records = plan.signal.records
    stored: int = stats["records"][records]
    if load["given_up_requests"] or load["partial_success_requests"]:
        raise VoidRunError(f"not all was accepted: {load}")
    if stored != load["acknowledged_records"] or not stored:
        raise VoidRunError(f"{load['acknowledged_records']} {records} acknowledged, {stored} stored")
    states = {state: counts[records] for state, counts in stats["conservation"].items()}
    if states.pop("accepted") != sum(states.values()) or states["stored"] != stored:
        raise VoidRunError(f"the totals do not agree: {stats['conservation']}")
    return stored


def _troubles(log: str) -> list[str]:
    """Return the first lines of the receiver's log that are warnings or errors; a good run has none."""
    return [line for line in log.splitlines() if " warning " in line.lower() or " error " in line.lower()][:5]


def database_bytes(data: Path) -> int:
    """Return the size of the database in the directory of a receiver that has stopped."""
    return sum(path.stat().st_size for path in data.glob("telemetry.duckdb*"))
