"""A load generator: sends requests that are unique, and says when they were acknowledged.

    python -m tests.benchmarks.generator --endpoint localhost:4317 --batch 512 --seconds 10
    python -m tests.benchmarks.generator --endpoint localhost:4318 --transport http --signal logs --rate 10000

A process of its own, cheap on purpose, because it shares the machine with the receiver. With ``--wait`` it says
"ready" once its pool is built and begins when a line comes in. Prints one JSON object; ``--times FILE`` gets the
times of all acknowledged requests as a numpy file.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from receiver.signals import Signal
from tests.benchmarks.grpc_sender import GrpcSender
from tests.benchmarks.http_sender import HttpSender
from tests.benchmarks.latency import latency_figures
from tests.benchmarks.load import Load
from tests.benchmarks.payload import PAYLOADS, POOL_RECORDS, pool_of
from tests.benchmarks.template import Chance, Template

_TIMEOUT_S = 10.0
_SENDERS: dict[str, type[GrpcSender | HttpSender]] = {"grpc": GrpcSender, "http": HttpSender}


async def run(options: argparse.Namespace, pool: Sequence[Template]) -> dict[str, Any]:
    """Return the figures of one run."""
    sender = _SENDERS[options.transport](options.endpoint, Signal(options.signal), timeout_s=_TIMEOUT_S)
    load = Load(sender, pool, Chance())
    cpu, started = time.process_time(), time.monotonic()
    try:
        if options.rate:
            await load.open(per_second=options.rate / options.batch, until=started + options.seconds)
        else:
            await load.closed(under_way=options.under_way, until=started + options.seconds)
    finally:
        await sender.close()
    cpu, ended = time.process_time() - cpu, time.monotonic()
    measured = load.measured
    due, acknowledged = measured.arrays()
    if options.times:
        np.save(options.times, np.stack([due, acknowledged]))
    records = len(acknowledged) * options.batch
    return {
        "acknowledged_requests": len(acknowledged),
        "acknowledged_records": records,
        "started": started,
        "seconds": round(ended - started, 3),
        "request_bytes": round(sum(map(len, pool)) / len(pool)),
        "retries": measured.retries,
        "given_up_requests": measured.given_up,
        "partial_success_requests": measured.rejected,
        "statuses": dict(measured.statuses),
        "latency_ms": latency_figures(acknowledged - due),
        "generator_cpu_us_per_record": round(cpu / records * 1e6, 3) if records else None,
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--endpoint", default="localhost:4317")
    parser.add_argument("--transport", choices=sorted(_SENDERS), default="grpc")
    parser.add_argument("--signal", choices=[signal.value for signal in Signal], default=Signal.TRACES.value)
    parser.add_argument("--payload", choices=PAYLOADS, default="realistic")
    parser.add_argument("--capture", type=Path, help="OTLP/JSON lines for the payload demo")
    parser.add_argument("--batch", type=int, default=512, help="records in a request")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=0.0, help="records a second; 0: as fast as it answers")
    parser.add_argument(
        "--under-way", type=int, default=8, help="requests under way at a time, without --rate"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--pool-records", type=int, default=POOL_RECORDS, help="records that are built at first"
    )
    parser.add_argument("--wait", action="store_true", help="begin when a line comes in")
    parser.add_argument("--times", type=Path, help="where the times of the requests go")
    options = parser.parse_args()
    pool = pool_of(
        options.payload,
        Signal(options.signal),
        records=options.batch,
        seed=options.seed,
        capture=options.capture,
        pool_records=options.pool_records,
    )
    gc.collect()
    gc.freeze()
    if options.wait:
        print("ready", flush=True)
        sys.stdin.readline()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(options, pool))), flush=True)


if __name__ == "__main__":
    main()
