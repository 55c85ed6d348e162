"""Traces per second that the Python API stores, and how long its searches take over them.

Each run ingests trace dicts of one to three spans with five attributes into an empty file, without embeddings,
until the last one is acknowledged. The searches run over one such store whose texts are embedded; a new question
is one that was never asked (the model embeds it), a warm one was asked before.
Run: ``python -m tests.benchmarks.ingester --runs 3 --traces 100000``
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from receiver import OtelIngester
from receiver.config import Settings

OPERATIONS = (
    "GET /cart", "POST /orders", "claude.api.call", "query users", "embed document", "render page",
    "publish event", "read cache", "write file", "validate input", "send mail", "run tool",
)  # fmt: skip
SUBJECTS = (
    "payment", "refund", "invoice", "login", "search", "upload", "report", "delivery", "stock", "price",
    "review", "coupon", "session", "profile", "photo", "message", "contract", "ticket", "survey", "backup",
)  # fmt: skip
MODELS = ("claude-3-5-sonnet", "claude-3-haiku", "qwen2.5-coder", "qwen-max")
QUESTIONS = (
    "why did the payment fail",
    "slow database query",
    "model calls about refunds",
    "user cannot log in",
)
_START_S = 1_767_000_000


def trace_dicts(count: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """Return traces in the documented form: one to three spans of five attributes."""
    chance = random.Random(seed)
    return [_trace(number, chance) for number in range(count)]


def _trace(number: int, chance: random.Random) -> dict[str, Any]:
    begin = _START_S + number / 10
    service = chance.choice(("claude-integration", "qwen-integration"))
    return {
        "trace_id": f"trace-{number:08d}",
        "spans": [
            {
                "name": f"{chance.choice(OPERATIONS)} {chance.choice(SUBJECTS)}",
                "start_time": _iso(begin + place),
                "end_time": _iso(begin + place + chance.random()),
                "attributes": {
                    "service.name": service,
                    "llm.model": chance.choice(MODELS),
                    "llm.total_tokens": chance.randrange(8000),
                    "http.status_code": chance.choice((200, 200, 200, 404, 500)),
                    "user.id": f"user-{chance.randrange(10_000)}",
                },
            }
            for place in range(1 + number % 3)
        ],
    }


def _iso(seconds: float) -> str:
    whole = int(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((seconds - whole) * 1000):03d}Z"


async def ingested(traces: list[dict[str, Any]], folder: Path) -> float:
    """Return traces per second, from the call until all are acknowledged."""
    settings = Settings.model_validate({"embed": {"enabled": False}})
    async with OtelIngester(hot_store_path=folder, embedding_model=None, settings=settings) as ingester:
        started = time.perf_counter()
        report = await ingester.ingest_batch(traces)
        took = time.perf_counter() - started
    assert report["success_count"] == len(traces), report["errors"][:3]
    return len(traces) / took


async def searched(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of searches, with new and with warm questions."""
    found: dict[str, list[float]] = {"new question": [], "warm question": []}
    async with OtelIngester(hot_store_path=folder, settings=Settings()) as ingester:
        await ingester.flush(embeddings=True)
        embedding = (await ingester.hot_store.access.ask("stats"))["embedding"]
        print(f"{embedding['embedded']} distinct texts are embedded")
        await ingester.search_traces("warm up", limit=10)
        for number in range(rounds):
            question = f"{QUESTIONS[number % len(QUESTIONS)]} number {number}"
            for kind, times in found.items():
                started = time.perf_counter()
                results = await ingester.search_traces(question, limit=10)
                times.append((time.perf_counter() - started) * 1000)
                assert results, kind
    return found


def main() -> None:
    """Print the rate and the latencies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=100)
    arguments = parser.parse_args()
    traces = trace_dicts(arguments.traces)
    with tempfile.TemporaryDirectory() as folder:
        rates = [
            asyncio.run(ingested(traces, Path(folder) / str(run))) for run in range(max(arguments.runs, 1))
        ]
        spread = f"{min(rates):.0f}-{max(rates):.0f}"
        print(f"{arguments.traces} traces: {statistics.median(rates):.0f} traces/s ({spread})")
        if arguments.searches:
            for kind, times in asyncio.run(searched(Path(folder) / "0", arguments.searches)).items():
                cuts = statistics.quantiles(times, n=100)
                print(f"search, {kind}: p50 {cuts[49]:.1f} ms, p95 {cuts[94]:.1f} ms")


if __name__ == "__main__":
    main()
