"""What ``setup`` prints makes the real SDKs send here: their exporters get nothing but that environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import otlp_receiver
from tests.support.receiver_process import REPOSITORY, ReceiverProcess

pytestmark = pytest.mark.interop

_PYTHON = """
import logging
from opentelemetry import metrics, trace
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
_OTelSDKConfigurator().configure()  # what opentelemetry-instrument calls
with trace.get_tracer("app").start_as_current_span("configured span"):
    logging.getLogger("app").warning("configured log")
    metrics.get_meter("app").create_counter("configured.counter").add(1)
trace.get_tracer_provider().shutdown()
metrics.get_meter_provider().shutdown()
"""
_NODE = """
const suffix = { grpc: 'grpc', 'http/protobuf': 'proto' }[process.env.OTEL_EXPORTER_OTLP_PROTOCOL];
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${suffix}`);
const { NodeTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-node');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.getTracer('app').startSpan('configured span').end();
provider.shutdown();
"""


def printed_environment(
    receiver: ReceiverProcess, target: str, protocol: str, folder: Path
) -> dict[str, str]:
    """Return the environment that a shell has after evaluating what ``setup`` prints."""
    addresses = (
        "--grpc-endpoint",
        receiver.grpc,
        "--http-endpoint",
        receiver.http,
        "--endpoint",
        receiver.query,
    )
    printed = otlp_receiver("setup", target, "--protocol", protocol, *addresses, folder=folder)
    assert printed.returncode == 0, printed.stderr
    shell = subprocess.run(
        ["sh", "-c", f"{printed.stdout}\nenv -0"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(each.split("=", 1) for each in shell.stdout.split("\0") if each)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_python_sdk_sends_all_three_signals(
    receiver: ReceiverProcess, tmp_path: Path, protocol: str
) -> None:
    """The SDK's own configurator reads the environment, as ``opentelemetry-instrument`` makes it do."""
    service = f"setup-python-{protocol}"
    environment = printed_environment(receiver, "python", protocol, tmp_path)
    subprocess.run(
        [sys.executable, "-c", _PYTHON],
        env=environment | {"OTEL_SERVICE_NAME": service, "PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
    receiver.flush()
    assert [each["name"] for each in receiver.get("/traces", service=service)["traces"]] == [
        "configured span"
    ]
    (counts,) = [each for each in receiver.get("/services")["services"] if each["service"] == service]
    assert (counts["spans"], counts["metric_points"]) == (1, 1)
    assert counts["log_records"] >= 1


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_node_sdk_sends(receiver: ReceiverProcess, here: Path, tmp_path: Path, protocol: str) -> None:
    """Its exporters take address and protocol from the printed environment; NODE_OPTIONS names the instrumentation."""
    node = here / "node"
    if not (node / "node_modules" / "@opentelemetry").is_dir():
        pytest.skip("the packages of tests/interop/node are not installed")
    service = f"setup-node-{protocol}"
    environment = printed_environment(receiver, "node", protocol, tmp_path)
    assert environment.pop("NODE_OPTIONS") == "--require @opentelemetry/auto-instrumentations-node/register"
    subprocess.run(
        ["node", "-e", _NODE],
        cwd=node,
        env=environment | {"OTEL_SERVICE_NAME": service},
        check=True,
        timeout=60,
    )
    receiver.flush()
    assert [each["name"] for each in receiver.get("/traces", service=service)["traces"]] == [
        "configured span"
    ]
