"""From spawning the process to the first accepted export of a client that is already there.

    python -m tests.benchmarks.start_time [--runs 10] [--spans 0] [--folder .]

The client runs before the receiver does and keeps trying to connect, as an SDK does across a restart; its request
counts when it is answered OK, which is when it is durable. A first start is not counted: it leaves the files in
the system's cache and, in a folder of its own, the compiled modules that an installation has. The receiver starts in an empty folder, with the settings
that it has by default. With ``--spans`` the directory holds so many spans from a receiver that was killed, so that
the start includes recovery. Prints each run, with the CPU time that the process had used, and the median.
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
from typing import NamedTuple

import grpc

from tests.support.exporting_client import request_of
from tests.support.receiver_process import REPOSITORY, ReceiverProcess

_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_SPANS_A_REQUEST = 512


class Start(NamedTuple):
    """Seconds from the spawn of the process."""

    accepted_s: float
    """Until the client had its answer."""
    cpu_s: float
    """CPU time of the process until then."""
    answering_s: float
    """Until all listeners accepted."""

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"accepted after {self.accepted_s:.3f} s ({self.cpu_s:.3f} s of CPU),"
            f" answering after {self.answering_s:.3f} s"
        )


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


def one_run(folder: Path, number: int, *, bytecode: Path) -> Start:
    """Start a receiver on a directory and send it one request.

    Args:
        folder: With the directory ``data``, where there is one.
        number: Of the request: no two have the same bytes.
        bytecode: Folder of compiled modules.
    """
    port = _free_port()
    options = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 20)]
    with grpc.insecure_channel(f"localhost:{port}", options) as channel:
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_METHOD)
        started = time.perf_counter()
        answer = export.future(request_of("traces", number, 1), wait_for_ready=True, timeout=60)
        process = subprocess.Popen(
            [
                sys.executable, "-m", "receiver", "serve", "--data-dir", "data", "--grpc-endpoint",
                f"localhost:{port}", "--http-endpoint", "localhost:0", "--query-endpoint", "localhost:0",
            ],
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=_environment(bytecode),
        )  # fmt: skip
        try:
            answer.result()
            accepted_s, cpu_s = time.perf_counter() - started, _cpu_seconds(process.pid)
            assert process.stdout is not None
            next(line for line in process.stdout if line.split()[:1] == ["query"])
            answering_s = time.perf_counter() - started
        finally:
            process.terminate()
            process.communicate()
    return Start(accepted_s, cpu_s, answering_s)


def _environment(bytecode: Path) -> dict[str, str]:
    environment = {**os.environ, "OTLP_RECEIVER_EMBED__ENABLED": "true", "PYTHONPATH": str(REPOSITORY)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**environment, "PYTHONPYCACHEPREFIX": str(bytecode)}


def _cpu_seconds(pid: int) -> float:
    """Return what all threads of a process have used so far."""
    of_threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text(encoding="ascii").split()[0]) for each in of_threads) / 1e9


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--spans", type=int, default=0)
    parser.add_argument("--folder", default=".", help="where the data directories are made")
    options = parser.parse_args()
    runs: list[Start] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as bytecode:
        for number in range(options.runs + 1):
            with tempfile.TemporaryDirectory(dir=options.folder) as name:
                if options.spans:
                    _fill(Path(name, "data"), options.spans)
                run = one_run(Path(name), number, bytecode=Path(bytecode).absolute())
            if number:
                runs.append(run)
                print(run)
    middle = Start(*(statistics.median(column) for column in zip(*runs, strict=True)))
    print(f"median of {len(runs)}: {middle}")


if __name__ == "__main__":
    main()
