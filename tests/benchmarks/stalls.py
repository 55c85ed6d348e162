"""The longest wait for an acknowledgement while the receiver is busy with something that is large.

    python -m tests.benchmarks.stalls [--seconds 6] [--only checkpoints ...]

A probe sends one span every 10 ms (:mod:`tests.benchmarks.stall_probe`). Meanwhile: nothing else; checkpoints of the
store, one a second, at 10,000 spans/s; retention that deletes most of what comes in; questions that scan and join
all spans; requests of almost 64 MiB, one after the other, over gRPC and over HTTP, good ones and ones that are
refused after all of it was read. Each on a receiver of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.signals import Signal
from tests.benchmarks.attributes import add_attributes
from tests.benchmarks.grpc_sender import GrpcSender
from tests.benchmarks.http_sender import HttpSender
from tests.benchmarks.ingest_run import Generator, Plan
from tests.benchmarks.payload_small import small_traces
from tests.benchmarks.template import Chance, Template
from tests.support.receiver_process import REPOSITORY, ReceiverProcess

_LARGE_BYTES = 63 << 20
_FRAME = "  at Server.<anonymous> (/usr/src/app/index.js:42:22)\n"
_SQL = (
    "SELECT count(*), max(length(a.attributes)), max(b.end_time_unix_nano - b.start_time_unix_nano)"
    " FROM spans a JOIN spans b USING (name) WHERE a.span_id <> b.span_id"
)
_SENDERS: Mapping[str, type[GrpcSender | HttpSender]] = {"grpc": GrpcSender, "http": HttpSender}


def large_body(kind: str) -> bytes:
    """Return a request of almost 64 MiB: good spans, or more empty ones than a request may have.

    The good spans have long texts: short attributes would be more messages than ``limits.request_messages``.
    """
    if kind == "refused":
        spans = b"\x12\x00" * (_LARGE_BYTES // 2)
        scope = ExportTraceServiceRequest()
        scope.resource_spans.add().scope_spans.add().MergeFromString(spans[: len(spans) // 8])
        return scope.SerializeToString() * 8
    message, marks = small_traces(512, random.Random(2))
    for span in message.resource_spans[0].scope_spans[0].spans:
        add_attributes(span.attributes, [("exception.stacktrace", _FRAME * 12)])
    template, chance = Template(message, marks, 512), Chance()
    count = _LARGE_BYTES // len(template)
    return b"".join(template.fresh(time.time_ns(), chance) for _ in range(count))


async def send_large(endpoint: str, transport: str, kind: str, seconds: float) -> int:
    """Send large requests one after the other; return how many."""
    sender = _SENDERS[transport](endpoint, Signal.TRACES, timeout_s=60.0)
    until, sent = time.monotonic() + seconds, 0
    body = large_body(kind)
    while time.monotonic() < until:
        head = ExportTraceServiceRequest()
        head.resource_spans.add(schema_url=f"https://example.test/{sent}")  # the same bytes again are a retry
        answer = await sender.send(head.SerializeToString() + body)
        if answer.accepted != (kind == "good"):
            raise AssertionError(f"a {kind} request was answered {answer.status}")
        sent += 1
        await asyncio.sleep(0.5)
    await sender.close()
    return sent


class _Probe:
    """The probe's process."""

    def __init__(self, endpoint: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.stall_probe", endpoint],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
        )  # fmt: skip

    def part(self) -> dict[str, float]:
        """Return what the part that ends now was like."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        figures: dict[str, float] = json.loads(self._process.stdout.readline())
        return figures

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def _load(receiver: ReceiverProcess, seconds: float, rate: float) -> None:
    plan = Plan(payload="small", batch=512, seconds=seconds, rate=rate)
    with Generator(plan, receiver.grpc) as generator:
        generator.begin()
        generator.result()


def _nothing(_receiver: ReceiverProcess, seconds: float) -> None:
    time.sleep(seconds)


def _steady(receiver: ReceiverProcess, seconds: float) -> None:
    _load(receiver, seconds, 10_000)


def _questions(receiver: ReceiverProcess, seconds: float) -> None:
    until = time.monotonic() + seconds

    def ask() -> None:
        while time.monotonic() < until:
            with contextlib.suppress(AssertionError):  # it takes longer than query.sql_timeout_s
                receiver.sql(_SQL)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()


def _large(transport: str, kind: str) -> Callable[[ReceiverProcess, float], None]:
    def send(receiver: ReceiverProcess, seconds: float) -> None:
        endpoint = receiver.grpc if transport == "grpc" else receiver.http
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.stalls", "--send", endpoint, transport, kind, str(seconds)],
            check=True, cwd=REPOSITORY,
        )  # fmt: skip

    return send


_CASES: Mapping[str, tuple[Callable[[ReceiverProcess, float], None], Mapping[str, str], float]] = {
    # what goes on, the receiver's environment, seconds of load at full speed before
    "nothing else": (_nothing, {}, 0.0),
    "10,000 spans/s": (_steady, {}, 0.0),
    "checkpoints": (_steady, {"OTLP_RECEIVER_STORE__CHECKPOINT_INTERVAL_S": "1"}, 3.0),
    "retention": (
        _steady,
        {"OTLP_RECEIVER_RETENTION__MAX_AGE_HOURS": "0.001", "OTLP_RECEIVER_RETENTION__INTERVAL_S": "1"},
        3.0,
    ),
    "heavy questions": (_questions, {}, 3.0),
    "64 MiB over gRPC": (_large("grpc", "good"), {}, 0.0),
    "64 MiB over HTTP": (_large("http", "good"), {}, 0.0),
    "64 MiB over gRPC, refused": (_large("grpc", "refused"), {}, 0.0),
    "64 MiB over HTTP, refused": (_large("http", "refused"), {}, 0.0),
}


def one_case(name: str, seconds: float) -> dict[str, float]:
    """Return what the probe waited while one thing went on."""
    work, environment, filled_s = _CASES[name]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = stack.enter_context(ReceiverProcess(folder / "data", environment=environment))
        if filled_s:
            _load(receiver, filled_s, 0.0)
            receiver.flush()
        probe = _Probe(receiver.grpc)
        stack.callback(probe.stop)
        time.sleep(1.5)  # connected and warm
        probe.part()
        work(receiver, seconds)
        return probe.part()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each part")
    parser.add_argument("--only", nargs="+", choices=_CASES, default=list(_CASES))
    parser.add_argument("--send", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        endpoint, transport, kind, seconds = options.send
        asyncio.run(send_large(endpoint, transport, kind, float(seconds)))
        return
    print("| meanwhile | p50, ms | p99, ms | longest wait, ms | probe late, ms | not accepted |")
    print("|---|---|---|---|---|---|")
    for name in options.only:
        part = one_case(name, options.seconds)
        figures = (part[key] for key in ("p50_ms", "p99_ms", "longest_ms", "probe_late_ms", "failures"))
        print(f"| {name} | {' | '.join(f'{figure:g}' for figure in figures)} |", flush=True)


if __name__ == "__main__":
    main()
