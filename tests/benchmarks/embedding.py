"""What embedding costs with onnxruntime and with torch, how near their rankings are, and how often texts repeat.

    python -m tests.benchmarks.embedding [CAPTURE ...] [--texts N] [--rounds N] [--threads N]

Each capture holds one OTLP/JSON request a line. Its texts and the sentences of docs/ are embedded by one worker process
of each kind, in turns. Texts per second are per second of the workers' CPU time, which is less noisy than the clock.
Overlap@10: how many of the ten texts nearest to each text are the same as with torch; *upgraded*: the same with questions of the new
vectors and texts of the old ones, as in a store that was filled before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from receiver.app.embedded import EmbeddedReceiver
from receiver.config import EmbedConfig, Settings
from receiver.embed.pool import EmbedderPool
from receiver.ports import Encoding, ExportRequest
from receiver.signals import Signal
from tests.benchmarks.payload import pool_of
from tests.benchmarks.template import Chance
from tests.support.receiver_process import REPOSITORY

CONFIGS = {
    "torch": EmbedConfig(runtime="sentence-transformers"),
    "onnx, full": EmbedConfig(runtime="onnx", precision="full"),
    "onnx": EmbedConfig(runtime="onnx"),
}
_SIGNALS = {"resourceSpans": Signal.TRACES, "resourceLogs": Signal.LOGS, "resourceMetrics": Signal.METRICS}
_QUESTIONS = 30
_NEAREST = 10
_TICKS = 100.0


@dataclass
class Cost:
    """What one kind of worker took."""

    first_load_s: float = 0.0
    load_s: list[float] = field(default_factory=list)
    texts_per_cpu_s: list[float] = field(default_factory=list)
    texts_per_s: list[float] = field(default_factory=list)
    question_ms: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    vectors: NDArray[np.float32] | None = None


def sentences() -> list[str]:
    """Return what stands in the documentation, sentence by sentence, without its code."""
    found: list[str] = []
    for file in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]:
        prose = re.sub(r"```.*?```", "", file.read_text("utf-8"), flags=re.DOTALL)
        pieces = re.split(r"(?<=[.:;!?])\s+|\n\n|\n[-|]", prose)
        found += [" ".join(piece.split()).strip("|- ") for piece in pieces]
    return [each for each in dict.fromkeys(found) if len(each) > 20]


async def texts_of(requests: list[tuple[Signal, bytes, Encoding]]) -> tuple[int, list[str]]:
    """Return how many records requests have that carry a text, and the distinct texts as the model reads them."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_validate(
            {
                "data_dir": folder,
                "embed": {"enabled": False},
                "query": {"sql_rows": 1_000_000, "sql_bytes": 1 << 30},
            }
        )
        receiver = await EmbeddedReceiver.open(settings)
        try:
            for signal, body, encoding in requests:
                await receiver.receiver.intake.accept(ExportRequest(signal, body, encoding), wait_s=30)
            await receiver.flush()
            counted = await receiver.receiver.answering.service.sql(
                "SELECT (SELECT count(text_id) FROM spans) + (SELECT count(text_id) FROM logs)"
            )
            texts = await receiver.receiver.answering.service.sql(
                "SELECT DISTINCT model_text FROM texts ORDER BY ALL"
            )
        finally:
            await receiver.close()
    return int(counted.rows[0][0]), [str(row[0]) for row in texts.rows]


def _status_mb(pid: int, key: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def measure(config: EmbedConfig, texts: list[str], cost: Cost, cache: Path) -> None:
    """Start one worker, embed everything, ask some questions, and add up what it took."""
    pool = EmbedderPool(config, cache=cache)
    try:
        await pool.start()
        if reason := pool.unavailable_reason:
            raise SystemExit(reason)
        begun = time.perf_counter()
        await pool.embed(["warm"])
        loaded = time.perf_counter() - begun
        if cost.first_load_s:
            cost.load_s.append(loaded)
        cost.first_load_s = cost.first_load_s or loaded
        (pid,) = pool.worker_pids
        for number in range(_QUESTIONS):
            begun = time.perf_counter()
            await pool.embed([f"why did payment number {number} fail"], urgent=True)
            cost.question_ms.append((time.perf_counter() - begun) * 1e3)
        begun, cpu = time.perf_counter(), _cpu_s(pid)
        vectors = await pool.embed(texts)
        cost.texts_per_s.append(len(texts) / (time.perf_counter() - begun))
        cost.texts_per_cpu_s.append(len(texts) / (_cpu_s(pid) - cpu))
        cost.peak_mb = max(cost.peak_mb, _status_mb(pid, "VmHWM"))
        cost.vectors = np.stack([chunks[0] for chunks in vectors])
    finally:
        await pool.close()


def overlap(
    questions: NDArray[np.float32], texts: NDArray[np.float32], reference: NDArray[np.float32]
) -> float:
    """Return the share of each text's ten nearest that are the same as by ``reference`` on both sides."""

    def nearest(of: NDArray[np.float32], among: NDArray[np.float32]) -> NDArray[np.intp]:
        cosines = of @ among.T
        np.fill_diagonal(cosines, -2)
        return np.argpartition(-cosines, _NEAREST, axis=1)[:, :_NEAREST]

    pairs = zip(nearest(questions, texts), nearest(reference, reference), strict=True)
    return statistics.fmean(len(set(one.tolist()) & set(other.tolist())) / _NEAREST for one, other in pairs)


def report(costs: dict[str, Cost]) -> None:
    """Print one row for each kind of worker, with ratios to torch."""
    base = costs["torch"]
    print(
        "| | texts/CPU s (ratio) | texts/s (ratio) | load s, first | one question ms | peak MB | overlap@10 | upgraded |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, cost in costs.items():
        assert cost.vectors is not None
        assert base.vectors is not None
        cpu, rate = statistics.median(cost.texts_per_cpu_s), statistics.median(cost.texts_per_s)
        ratios = (
            cpu / statistics.median(base.texts_per_cpu_s),
            rate / statistics.median(base.texts_per_s),
        )
        print(
            f"| {name} | {cpu:,.0f} ({ratios[0]:.1f}) | {rate:,.0f} ({ratios[1]:.1f}) |"
            f" {statistics.median(cost.load_s or [cost.first_load_s]):.2f}, {cost.first_load_s:.2f} |"
            f" {statistics.median(cost.question_ms):.1f} | {cost.peak_mb:.0f} |"
            f" {overlap(cost.vectors, cost.vectors, base.vectors):.3f} |"
            f" {overlap(cost.vectors, base.vectors, base.vectors):.3f} |"
        )


def _ratio(name: str, records: int, distinct: int) -> None:
    print(f"| {name} | {records:,} | {distinct:,} | {distinct / records:.4f} |")


async def run(captures: list[Path], texts_limit: int, rounds: int, threads: int) -> None:
    """Print both tables."""
    texts: list[str] = []
    print("| texts of | records with a text | distinct | share |\n|---|---|---|---|")
    for capture in captures:
        lines = [line for line in capture.read_bytes().splitlines() if line.strip()]
        requests = [(_SIGNALS[next(iter(json.loads(line)))], line, Encoding.JSON) for line in lines]
        records, found = await texts_of(requests)
        _ratio(capture.name, records, len(found))
        texts += found
    chance = Chance(1)
    templates = pool_of("realistic", Signal.TRACES, records=512)
    load = [
        (Signal.TRACES, template.fresh(time.time_ns(), chance), Encoding.PROTOBUF)
        for _ in range(4)
        for template in templates
    ]
    records, found = await texts_of(load)
    _ratio("the benchmarks' own spans", records, len(found))
    texts = list(dict.fromkeys([*texts, *sentences()]))[:texts_limit]
    print(f"\n{len(texts):,} texts of {statistics.fmean(map(len, texts)):.0f} characters\n")
    costs = {name: Cost() for name in CONFIGS}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(rounds):
            for name, config in CONFIGS.items():
                chosen = config.model_copy(update={"threads": threads})
                await measure(chosen, texts, costs[name], Path(cache))
    report(costs)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("captures", nargs="*", type=Path, metavar="CAPTURE")
    parser.add_argument("--texts", type=int, default=1500, help="most texts (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="workers of each kind (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each worker (default: %(default)s)")
    options = parser.parse_args()
    asyncio.run(run(options.captures, options.texts, options.rounds, options.threads))


if __name__ == "__main__":
    main()
