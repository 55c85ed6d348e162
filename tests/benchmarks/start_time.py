"""From spawning the process to the first accepted export of a client that is already there.

    python -m tests.benchmarks.start_time [--runs 10] [--spans 0] [--folder .]

The client runs before the receiver does and keeps trying to connect, as an SDK does across a restart; its request
counts when it is answered OK, which is when it is durable. With ``--spans`` the directory holds so many spans
from a receiver that was killed, so that the start includes recovery. Prints each run and the median.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc

from tests.support.exporting_client import request_of
from tests.support.receiver_process import ReceiverProcess

_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_SPANS_A_REQUEST = 512


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _fill(folder: Path, spans: int) -> None:
    with ReceiverProcess(folder) as receiver:
        subprocess.run(
            [
                sys.executable, "-m", "tests.support.exporting_client", receiver.grpc, "1000",
                str(-(-spans // _SPANS_A_REQUEST)), str(_SPANS_A_REQUEST),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        receiver.kill()


def one_run(folder: Path, number: int) -> tuple[float, float]:
    """Return the seconds until the first accepted export and until the process had said where it listens."""
    port = _free_port()
    options = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 20)]
    with grpc.insecure_channel(f"localhost:{port}", options) as channel:
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_METHOD)
        started = time.perf_counter()
        answer = export.future(request_of("traces", number, 1), wait_for_ready=True, timeout=60)
        accepted: list[float] = []
        answer.add_done_callback(lambda _: accepted.append(time.perf_counter() - started))
        process = subprocess.Popen(
            [
                sys.executable, "-m", "receiver", "serve", "--data-dir", str(folder), "--grpc-endpoint",
                f"localhost:{port}", "--http-endpoint", "localhost:0", "--query-endpoint", "localhost:0",
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OTLP_RECEIVER_EMBED__ENABLED": "true"},
        )  # fmt: skip
        try:
            assert process.stdout is not None
            next(line for line in process.stdout if line.split()[:1] == ["query"])
            listening = time.perf_counter() - started
            answer.result()
        finally:
            process.terminate()
            process.communicate()
    return accepted[0], listening


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--spans", type=int, default=0)
    parser.add_argument("--folder", default=".", help="where the data directories are made")
    options = parser.parse_args()
    runs = []
    for number in range(options.runs):
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            data = Path(name, "data")
            if options.spans:
                _fill(data, options.spans)
            runs.append(one_run(data, number))
        print(f"accepted after {runs[-1][0]:.3f} s, listening after {runs[-1][1]:.3f} s")
    accepted, listening = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"median of {len(runs)}: accepted after {accepted:.3f} s, listening after {listening:.3f} s")


if __name__ == "__main__":
    main()
