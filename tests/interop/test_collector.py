"""An OpenTelemetry Collector between an SDK and the receiver, forwarding gzip batches by gRPC and by HTTP.

Configuration: https://opentelemetry.io/docs/collector/configuration/. The Collector's own OTLP port is one that
was free a moment before, because it cannot print a port that it chose itself.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receiver_process import REPOSITORY, ReceiverProcess
from tests.support.stored_records import stored_logs, stored_points, stored_spans, texts

_PROGRAM = next(filter(None, map(shutil.which, ("otelcol", "otelcol-contrib"))), None)
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(_PROGRAM is None, reason="neither otelcol nor otelcol-contrib is on the PATH"),
]

_CONFIGURATION = """
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: {listen}
processors:
  batch:
    timeout: 100ms
exporters:
  otlp:
    endpoint: {grpc}
    compression: gzip
    tls:
      insecure: true
  otlphttp:
    endpoint: http://{http}
    compression: gzip
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [{exporter}]}}
    metrics: {{receivers: [otlp], processors: [batch], exporters: [{exporter}]}}
    logs: {{receivers: [otlp], processors: [batch], exporters: [{exporter}]}}
"""


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture(params=["otlp", "otlphttp"])
def collector(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, ReceiverProcess, subprocess.Popen[str]]]:
    """Yield a Collector's address, the receiver behind it, and its process."""
    assert _PROGRAM is not None
    listen = _free_address()
    with ReceiverProcess(tmp_path / "data") as receiver:
        configuration = tmp_path / "collector.yaml"
        configuration.write_text(
            _CONFIGURATION.format(
                listen=listen, grpc=receiver.grpc, http=receiver.http, exporter=request.param
            )
        )
        process = subprocess.Popen(
            [_PROGRAM, "--config", str(configuration)], stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stderr is not None
            ready = any("Everything is ready" in line for line in process.stderr)
            assert ready, "the Collector ended before it was ready"
            yield listen, receiver, process
        finally:
            process.kill()
            process.communicate()


def test_a_collector_forwards_everything(
    collector: tuple[str, ReceiverProcess, subprocess.Popen[str]],
) -> None:
    """What the SDK hands to the Collector arrives field for field, in gzip batches, once it has stopped."""
    listen, receiver, process = collector
    client = subprocess.run(
        [sys.executable, "-m", "tests.interop.python_client", "grpc", listen],
        check=True,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        timeout=60,
    )
    sent = json.loads(client.stdout)
    process.terminate()  # a Collector that stops sends what it holds
    process.communicate(timeout=60)
    receiver.flush()
    assert texts(stored_spans(receiver, "python-grpc")) == texts(sent["spans"])
    assert texts(stored_logs(receiver, "python-grpc")) == texts(sent["logs"])
    assert texts(stored_points(receiver, "python-grpc")) == texts(sent["points"])
