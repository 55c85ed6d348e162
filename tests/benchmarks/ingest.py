"""End-to-end ingest: spans stored durably a second, acknowledgement latencies, memory of the receiver's process.

    python -m tests.benchmarks.ingest [--seconds 15] [--runs 3] [--rate 0] [--spans 512] [--clients 8]

The receiver and the load generator are processes of their own on the same machine. A run's clock stops when
every acknowledged span can be queried; a run is void unless what was acknowledged is what is stored.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path


def _address(line: str) -> str:
    return next(word for word in line.split() if ":" in word and word.rsplit(":", 1)[1].strip("/").isdigit())


class _Receiver:
    """A receiver process on a fresh data directory."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "receiver", "serve", "--data-dir", str(folder), "--grpc-endpoint", "localhost:0",
                "--http-endpoint", "localhost:0", "--query-endpoint", "localhost:0",
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OTLP_RECEIVER_EMBED__ENABLED": "false"},
        )  # fmt: skip
        assert self._process.stdout is not None
        self.grpc = self.query = ""
        for line in self._process.stdout:
            if "gRPC" in line:
                self.grpc = _address(line).removeprefix("http://")
            elif "query" in line.lower():
                self.query = "http://" + _address(line).removeprefix("http://").rstrip("/")
            if self.grpc and self.query:
                break

    def ask(self, path: str, *, post: bool = False) -> dict[str, object]:
        """Return an answer of the query listener."""
        request = urllib.request.Request(
            self.query + path, data=b"{}" if post else None, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            body: dict[str, object] = json.load(answer)
            return body

    def status(self, key: str) -> float:
        """Return a figure of /proc/PID/status in MB."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / 1024
        return 0.0

    def cpu_seconds(self) -> float:
        """Return what the process has used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(60)


def one_run(options: argparse.Namespace) -> dict[str, object]:
    """Return the figures of one run."""
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        receiver = _Receiver(Path(name))
        try:
            if not _ready(receiver):
                raise SystemExit("the receiver did not get ready")
            idle_mb = receiver.status("VmRSS")
            cpu = receiver.cpu_seconds()
            started = time.perf_counter()
            load = subprocess.run(
                [
                    sys.executable, str(Path(__file__).with_name("load_generator.py")), "--endpoint", receiver.grpc,
                    "--clients", str(options.clients), "--spans", str(options.spans),
                    "--seconds", str(options.seconds), "--rate", str(options.rate),
                ],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            result: dict[str, object] = json.loads(load.stdout)
            receiver.ask("/api/v1/flush", post=True)
            seconds = time.perf_counter() - started
            records = receiver.ask("/api/v1/stats")["records"]
            assert isinstance(records, dict)
            stored = records["spans"]
            if stored != result["acknowledged_spans"]:
                raise SystemExit(f"void: {result['acknowledged_spans']} acknowledged, {stored} stored")
            return {
                "stored_spans_per_s": round(stored / seconds),
                "acknowledged_spans_per_s": round(stored / float(str(result["seconds"]))),
                **{k: v for k, v in result.items() if k.endswith("_ms")},
                "failures": result["failures"],
                "cpu_s_per_million_spans": round((receiver.cpu_seconds() - cpu) / stored * 1e6, 2),
                "idle_rss_mb": round(idle_mb),
                "peak_rss_mb": round(receiver.status("VmHWM")),
                "bytes_per_span_on_disk": round(Path(name, "telemetry.duckdb").stat().st_size / stored),
            }
        finally:
            receiver.stop()


def _ready(receiver: _Receiver) -> bool:
    for _ in range(600):
        try:
            receiver.ask("/readyz")
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--spans", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", default=".", help="where the data directories are made")
    options = parser.parse_args()
    runs = []
    for _ in range(options.runs):
        runs.append(one_run(options))
        print(json.dumps(runs[-1]))
    medians = {key: statistics.median(float(str(run[key])) for run in runs) for key in runs[0]}
    print("median", json.dumps(medians))


if __name__ == "__main__":
    main()
