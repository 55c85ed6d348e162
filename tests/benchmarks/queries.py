"""How long answers take, server side and warm, over a filled store; and what questions cost the ingest beside them.

    python -m tests.benchmarks.store_filler --spans 10000000 FOLDER
    python -m tests.benchmarks.queries FOLDER [--rounds 50] [--json FILE] [--no-load]

A real receiver answers over HTTP on loopback, one connection, one question at a time; every round asks for something
else (another trace, service, question). The vector index alone, its recall and the query service without HTTP are
measured on a receiver inside this process. Then spans come in at a steady rate, without questions, beside four users,
and without them again. That adds spans to the store.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import random
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from receiver.app.embedded import EmbeddedReceiver
from receiver.config import Settings
from receiver.questions import Filters, Status
from receiver.times import NS
from tests.benchmarks.span_shapes import RARE_KEY
from tests.support.receiver_process import ReceiverProcess

_VECTORS = {"OTLP_RECEIVER_EMBED__ENABLED": "true"}
QUESTIONS = (
    "why did the payment fail", "slow database query", "broken telescope was returned", "cancel an urgent parcel",
    "the camera lens is out of stock", "recommendation of a quiet lamp", "card number not valid",
    "upstream timed out", "refund of a duplicate invoice", "translate a contract", "delivery is late",
    "model answered a customer", "reserve a seat at the airport", "antique mirror repaired", "search for a guitar",
    "reject the temporary passport", "shipping quote of heavy luggage", "currency conversion", "user profile page",
    "collect a donation at the festival",
)  # fmt: skip
_SERVICES = ("checkout", "payments", "shipping", "email", "assistant", "frontend")
_GOALS_MS = {
    "nearest texts": 5.0,
    "search, question known": 30.0,
    "search, question new": 60.0,
    "trace by id": 5.0,
    "recent traces of a service": 20.0,
    "hot attribute, a tenth of the spans": 200.0,
    "any attribute, all spans": 1500.0,
}
_LEAST_RECALL = 0.97
_LEARN_S = 120.0
_LEARNT_S = 0.1
"""A question that takes no longer has nothing to wait for."""
_EMBED_S = 900.0
_USERS = 4
_RATE = 10_000


@dataclass(frozen=True)
class Latency:
    """How long one kind of question took, in milliseconds."""

    rounds: int
    p50_ms: float
    p95_ms: float

    @classmethod
    def of(cls, seconds: list[float]) -> Self:
        """Return what so many measurements say."""
        ordered = sorted(seconds)
        return cls(
            rounds=len(ordered),
            p50_ms=round(statistics.median(ordered) * 1e3, 2),
            p95_ms=round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] * 1e3, 2),
        )


@dataclass(frozen=True)
class Sample:
    """What is asked for: drawn from the store, the same in each run."""

    trace_ids: list[str]
    orders: list[str]
    """Values of the attribute that has no column."""
    first_ns: int
    last_ns: int

    @classmethod
    def of(cls, receiver: ReceiverProcess) -> Self:
        """Draw it."""
        ((count, first, last),) = receiver.sql(
            "SELECT count(*), min(start_time_unix_nano), max(start_time_unix_nano) FROM spans"
        )
        chance = random.Random(3)
        places = ", ".join(str(chance.randrange(int(count))) for _ in range(100))
        rows = receiver.sql(
            "SELECT replace(trace_id::VARCHAR, '-', ''),"
            f" json_extract_string(attributes, '/{RARE_KEY}') FROM spans WHERE rowid IN (SELECT unnest([{places}]))"
        )
        return cls([row[0] for row in rows], [row[1] for row in rows if row[1]], int(first), int(last))

    def tenth(self, number: int) -> tuple[int, int]:
        """Return a tenth of the time, in nanoseconds: about a tenth of the spans."""
        step = (self.last_ns - self.first_ns) // 10
        return self.first_ns + number % 10 * step, self.first_ns + (number % 10 + 1) * step


class Asker:
    """A user: one connection that is kept. Threads: one."""

    def __init__(self, address: str) -> None:
        """Connect with the first question."""
        self._connection = http.client.HTTPConnection(address, timeout=120)

    def ask(self, path: str, **parameters: str | float) -> float:
        """Return the seconds until the last byte of the answer."""
        target = f"/api/v1{path}?{urllib.parse.urlencode(parameters)}"
        started = time.perf_counter()
        self._connection.request("GET", target)
        answer = self._connection.getresponse()
        body = answer.read()
        took = time.perf_counter() - started
        if answer.status != 200:
            raise SystemExit(f"{target}: {answer.status} {body[:500]!r}")
        return took

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def kinds(sample: Sample, asker: Asker) -> dict[str, Callable[[int], float]]:
    """Return each kind of question as a function of the round."""
    session = random.randrange(10**9)

    def search(question: str, number: int) -> float:
        begin, end = sample.tenth(number)
        return asker.ask(
            "/search",
            q=question,
            service=_SERVICES[number % len(_SERVICES)],
            since=_seconds(begin - 3 * (end - begin)),
            until=_seconds(end),
            limit=10,
        )

    def tenth(number: int, **more: str | int) -> float:
        begin, end = sample.tenth(number)
        return asker.ask("/traces", since=_seconds(begin), until=_seconds(end), limit=20, **more)

    return {
        "search, question known": lambda number: search(QUESTIONS[number % len(QUESTIONS)], number),
        "search, question new": lambda number: search(
            f"{QUESTIONS[number % len(QUESTIONS)]} case {session + number}", number
        ),
        "search, no filters": lambda number: asker.ask("/search", q=QUESTIONS[number % len(QUESTIONS)]),
        "trace by id": lambda number: asker.ask(
            f"/traces/{sample.trace_ids[number % len(sample.trace_ids)]}"
        ),
        "recent traces of a service": lambda number: asker.ask(
            "/traces", service=_SERVICES[number % len(_SERVICES)], limit=20
        ),
        "recent failed traces of a service": lambda number: asker.ask(
            "/traces", service=_SERVICES[number % len(_SERVICES)], status="error", limit=20
        ),
        "hot attribute, a tenth of the spans": lambda number: tenth(
            number, attribute=f"http.response.status_code={(500, 503, 504)[number % 3]}"
        ),
        "hot attribute found nowhere, a tenth": lambda number: tenth(number, attribute="http.route=/nowhere"),
        "any attribute, all spans": lambda number: asker.ask(
            "/traces", attribute=f"{RARE_KEY}={sample.orders[number % len(sample.orders)]}", limit=20
        ),
        "any attribute found nowhere, all spans": lambda number: asker.ask(
            "/traces", attribute=f"{RARE_KEY}=order-{number}", limit=20
        ),
    }


_SLOW = {"any attribute, all spans", "any attribute found nowhere, all spans"}


def _learnt(question: Callable[[int], float]) -> float:
    """Return what the first question took; it has the receiver learn where attributes stand: wait until it has."""
    first = question(0)
    deadline = time.monotonic() + _LEARN_S
    while question(1) > max(first / 4, _LEARNT_S) and time.monotonic() < deadline:
        time.sleep(1)
    return first


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // NS}.{nanoseconds % NS:09d}"


def answered_over_http(receiver: ReceiverProcess, sample: Sample, rounds: int) -> dict[str, Latency]:
    """Return the latencies of each kind of question, after a warm-up of each."""
    asker = Asker(receiver.query)
    found: dict[str, Latency] = {}
    try:
        for kind, question in kinds(sample, asker).items():
            count = max(rounds // 10, 5) if kind in _SLOW else rounds
            if kind in _SLOW and f"{kind}, asked first" not in found:
                found[f"{kind}, asked first"] = Latency.of([_learnt(question)])
            for number in range(min(count, 2 * len(QUESTIONS) if kind == "search, question known" else 3)):
                question(1000 + number if "new" in kind else number)
            found[kind] = Latency.of([question(number) for number in range(count)])
            print(f"{kind}: {found[kind]}", file=sys.stderr, flush=True)
    finally:
        asker.close()
    return found


async def answered_inside(folder: Path, sample: Sample, rounds: int) -> dict[str, Any]:
    """Return the latencies of the vector index and of the query service without HTTP, and the index's recall."""
    settings = Settings(data_dir=str(folder))
    access = await EmbeddedReceiver.open(settings)
    try:
        receiver = access.receiver
        index, service, model = (
            receiver.answering.vectors,
            receiver.answering.service,
            receiver.answering.vectors.embedder.model,
        )
        ids, vectors = await asyncio.to_thread(_all_vectors, receiver.answering.reader.vectors(model))
        chance = np.random.default_rng(4)
        questions = [(await receiver.answering.vectors.embedder.embed([each]))[0][0] for each in QUESTIONS]
        near = vectors[chance.integers(0, len(vectors), 180)]
        noisy = near + chance.standard_normal(near.shape, dtype=np.float32) * np.float32(0.02)
        asked = [*questions, *(noisy / np.linalg.norm(noisy, axis=1, keepdims=True))]
        found: dict[str, Any] = {
            "nearest texts": asdict(Latency.of(list(_timed(lambda at: index.search(asked[at], 12), rounds)))),
            "nearest 1000 texts": asdict(
                Latency.of(list(_timed(lambda at: index.search(asked[at], 1000), rounds)))
            ),
            "recall_at_10": round(_recall(index.search, asked, ids, vectors), 4),
        }
        inside = {
            "search, question known, in the service": lambda number: service.search_vector(
                asked[number % len(QUESTIONS)],
                Filters(
                    service=_SERVICES[number % len(_SERVICES)],
                    since_ns=sample.tenth(number)[0] - 3 * (sample.tenth(1)[1] - sample.tenth(1)[0]),
                    until_ns=sample.tenth(number)[1],
                ),
            ),
            "trace by id, in the service": lambda number: service.trace(
                UUID(hex=sample.trace_ids[number % len(sample.trace_ids)])
            ),
            "recent traces of a service, in the service": lambda number: service.list_traces(
                Filters(service=_SERVICES[number % len(_SERVICES)])
            ),
            "recent failed traces of a service, in the service": lambda number: service.list_traces(
                Filters(service=_SERVICES[number % len(_SERVICES)], status=Status.ERROR)
            ),
        }
        for kind, question in inside.items():
            times: list[float] = []
            for number in range(-3, rounds):
                started = time.perf_counter()
                await question(number)  # type: ignore[no-untyped-call]
                times.append(time.perf_counter() - started)
            found[kind] = asdict(Latency.of(times[3:]))
        return found
    finally:
        await access.close()


def _timed(work: Callable[[int], object], rounds: int) -> Iterator[float]:
    for number in range(rounds):
        started = time.perf_counter()
        work(number % 20)
        yield time.perf_counter() - started


def _all_vectors(batches: Iterator[Any]) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
    ids: list[UUID] = []
    vectors: list[NDArray[np.float32]] = []
    for batch in batches:
        ids.extend(batch.text_ids)
        vectors.append(batch.vectors)
    return np.array(ids, dtype=object), np.concatenate(vectors)


def _recall(
    search: Callable[[NDArray[np.float32], int], list[tuple[UUID, float]]],
    asked: list[NDArray[np.float32]],
    ids: NDArray[np.object_],
    vectors: NDArray[np.float32],
) -> float:
    """Return which share of the ten nearest texts by exact comparison the index finds."""
    hits = 0
    for vector in asked:
        nearest = np.argpartition(-(vectors @ vector), 10)[:10]
        hits += len(set(ids[nearest]) & {text_id for text_id, _ in search(vector, 10)})
    return hits / (10 * len(asked))


def sent(receiver: ReceiverProcess, *, seconds: float, rate: float) -> tuple[float, dict[str, Any]]:
    """Return how long it took until all that was sent could be queried, and what the generator says of it.

    Raises:
        SystemExit: What is stored is not what was acknowledged.
    """
    before = receiver.stats()["records"]["spans"]
    with subprocess.Popen(
        [
            sys.executable, "-m", "tests.benchmarks.generator", "--endpoint", receiver.grpc, "--batch", "512",
            "--seconds", str(seconds), "--rate", str(rate), "--wait",
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as generator:  # fmt: skip
        assert generator.stdout is not None
        generator.stdout.readline()  # its pool is built
        started = time.perf_counter()
        result: dict[str, Any] = json.loads(generator.communicate("\n")[0].splitlines()[-1])
    receiver.flush()
    took = time.perf_counter() - started
    result["stored"] = receiver.stats()["records"]["spans"] - before
    if result["stored"] != result["acknowledged_records"]:
        raise SystemExit(f"void: {result['acknowledged_records']} acknowledged, {result['stored']} stored")
    return took, result


def _ingest(receiver: ReceiverProcess, seconds: float) -> dict[str, Any]:
    took, result = sent(receiver, seconds=seconds, rate=_RATE)
    return {"stored_spans_per_s": round(result["stored"] / took), **result}


def beside_users(
    receiver: ReceiverProcess, sample: Sample, *, seconds: float, think_s: float
) -> dict[str, Any]:
    """Return what a steady ingest does without users, beside four of them, and without them again."""
    found: dict[str, Any] = {"without users": _ingest(receiver, seconds)}
    stop = threading.Event()
    times: list[list[float]] = [[] for _ in range(_USERS)]

    def user(number: int) -> None:
        asker = Asker(receiver.query)
        mine = [question for kind, question in kinds(sample, asker).items() if kind not in _SLOW]
        try:
            while not stop.wait(think_s):
                times[number].append(mine[(number + len(times[number])) % len(mine)](len(times[number])))
        finally:
            asker.close()

    users = [threading.Thread(target=user, args=(number,)) for number in range(_USERS)]
    for each in users:
        each.start()
    try:
        found["beside four users"] = _ingest(receiver, seconds)
    finally:
        stop.set()
        for each in users:
            each.join()
    found["questions of the users"] = asdict(Latency.of([took for mine in times for took in mine]))
    found["without users again"] = _ingest(receiver, seconds)
    return found


def run(folder: Path, *, rounds: int, load_s: float, think_s: float) -> dict[str, Any]:
    """Return all figures of a filled store."""
    found: dict[str, Any] = {}
    with ReceiverProcess(folder, environment=_VECTORS) as receiver:
        started = time.perf_counter()
        _wait_for_index(receiver)
        found["index_ready_s"] = round(time.perf_counter() - started, 1)
        found["idle_rss_mb"] = memory_mb(receiver.pid, "VmRSS")
        sample = Sample.of(receiver)
        found["spans"] = receiver.stats()["records"]["spans"]
        answers = answered_over_http(receiver, sample, rounds)
        found["questions"] = {kind: asdict(each) for kind, each in answers.items()}
        found["peak_rss_mb"] = memory_mb(receiver.pid, "VmHWM")
        if load_s:
            found["ingest"] = beside_users(receiver, sample, seconds=load_s, think_s=think_s)
        receiver.stop()
    found["inside"] = asyncio.run(answered_inside(folder, sample, rounds))
    found["questions"]["nearest texts"] = found["inside"]["nearest texts"]
    return found


def _wait_for_index(receiver: ReceiverProcess) -> None:
    """Return when all vectors are in the index and no text waits for one: embedding takes a core of the questions."""
    deadline = time.monotonic() + _EMBED_S
    while time.monotonic() < deadline:
        embedding = receiver.stats()["embedding"]
        if embedding["indexed"] >= embedding["embedded"] and not embedding["pending"]:
            return
        time.sleep(0.5)


def memory_mb(pid: int, key: str) -> int:
    """Return a figure of /proc/PID/status in MB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) // 1024
    return 0


def table(found: dict[str, Any]) -> str:
    """Return the latencies with their goals as Markdown."""
    lines = ["| question | p50, ms | p95, ms | goal, ms | |", "|---|---|---|---|---|"]
    for kind, each in found["questions"].items():
        goal = _GOALS_MS.get(kind)
        verdict = "" if goal is None else "reached" if each["p50_ms"] < goal else "missed"
        lines.append(f"| {kind} | {each['p50_ms']} | {each['p95_ms']} | {goal or ''} | {verdict} |")
    recall = found["inside"]["recall_at_10"]
    verdict = "reached" if recall >= _LEAST_RECALL else "missed"
    return "\n".join([*lines, f"| recall@10 | {recall} | | {_LEAST_RECALL} | {verdict} |"])


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="data directory that the filler has filled")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--load-seconds", type=float, default=20.0, help="length of each load; 0: none")
    parser.add_argument("--think-s", type=float, default=0.25, help="pause of a user between two questions")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    found = run(options.folder, rounds=options.rounds, load_s=options.load_seconds, think_s=options.think_s)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(json.dumps(found))
    print(table(found))


if __name__ == "__main__":
    main()
