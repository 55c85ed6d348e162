"""The pytest plugin and the in-process exporter, used as a project that tests its instrumentation would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import SpanContext, Status, StatusCode

from receiver.errors import InvalidFilterError, ShuttingDownError
from receiver.export import StoreSpanExporter
from receiver.testing import TestedReceiver, running_receiver

_RESOURCE = Resource.create({"service.name": "shop"})


def _checkout(exporter: SpanExporter) -> None:
    provider = TracerProvider(resource=_RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("check out"), tracer.start_as_current_span("charge card") as span:
        span.set_status(Status(StatusCode.ERROR, "the bank declined the card"))
    provider.shutdown()


def test_the_fixture_shows_the_spans_that_an_sdk_sent_over_grpc(otlp_receiver: TestedReceiver) -> None:
    """Both spans are there, in the order of their start, with status and parent."""
    _checkout(OTLPSpanExporter(endpoint=otlp_receiver.endpoint))
    parent, child = otlp_receiver.spans()
    assert [parent["name"], child["name"]] == ["check out", "charge card"]
    assert child["parent_span_id"] == parent["span_id"]
    assert (child["status"], child["status_message"]) == ("error", "the bank declined the card")
    assert otlp_receiver.spans(name="charge card") == [child]
    assert otlp_receiver.spans(service="another") == []


def test_the_fixture_takes_http_too(otlp_receiver: TestedReceiver) -> None:
    """The address is what an HTTP exporter wants in front of /v1/traces."""
    _checkout(HttpSpanExporter(endpoint=f"{otlp_receiver.http_endpoint}/v1/traces"))
    assert len(otlp_receiver.spans(service="shop")) == 2


def test_the_fixture_shows_log_records_and_data_points(otlp_receiver: TestedReceiver) -> None:
    """What was exported by the SDK's own log and metric exporters can be asserted on."""
    logs = LoggerProvider(resource=_RESOURCE)
    logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint=otlp_receiver.endpoint)))
    logs.get_logger("test").emit(body="stock is low", attributes={"sku": "tea"})
    logs.shutdown()
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=otlp_receiver.endpoint), export_interval_millis=3_600_000
    )
    metrics = MeterProvider([reader], resource=_RESOURCE)
    metrics.get_meter("test").create_counter("orders", "1").add(3, {"country": "pt"})
    metrics.get_meter("test").create_histogram("basket", "EUR").record(12.5)
    metrics.shutdown()
    (record,) = otlp_receiver.logs(service="shop")
    assert (record["body"], record["attributes"]) == ("stock is low", {"sku": "tea"})
    basket, orders = otlp_receiver.metrics()
    assert (orders["name"], orders["value"], orders["attributes"]) == ("orders", 3, {"country": "pt"})
    assert (basket["count"], basket["sum"]) == (1, 12.5)
    assert otlp_receiver.metrics(name="orders") == [orders]


@pytest.mark.model
def test_the_fixture_finds_by_meaning(otlp_receiver: TestedReceiver) -> None:
    """A search waits for the vectors of everything that was sent."""
    _checkout(OTLPSpanExporter(endpoint=otlp_receiver.endpoint))
    (best,) = otlp_receiver.search("payment was refused", limit=1)
    assert best["name"] == "charge card"


def test_every_question_of_the_api_can_be_asked(otlp_receiver: TestedReceiver) -> None:
    """Answers and refusals are those of the HTTP API."""
    _checkout(OTLPSpanExporter(endpoint=otlp_receiver.endpoint))
    assert [each["service"] for each in otlp_receiver.ask("services")["services"]] == ["shop"]
    with pytest.raises(InvalidFilterError, match="limit"):
        otlp_receiver.ask("traces", limit=0)


def test_two_receivers_live_beside_each_other(otlp_receiver: TestedReceiver, tmp_path: Path) -> None:
    """Each has its own ports and data, so that tests may run in parallel."""
    with running_receiver(tmp_path / "second") as second:
        _checkout(OTLPSpanExporter(endpoint=second.endpoint))
        assert len(second.spans()) == 2
    assert otlp_receiver.spans() == []


def test_another_project_gets_the_fixture_by_installing_the_package(tmp_path: Path) -> None:
    """The plugin announces itself to pytest, and loads no database in runs that do not use it."""
    tests = tmp_path / "test_other.py"
    tests.write_text(
        "import sys\n\n\n"
        "def test_nothing_heavy_is_loaded():\n"
        "    assert not {'duckdb', 'pyarrow', 'grpc'} & set(sys.modules)\n\n\n"
        "def test_the_fixture_is_there(otlp_receiver):\n"
        "    assert otlp_receiver.spans() == []\n"
        "    assert otlp_receiver.environment['OTEL_EXPORTER_OTLP_ENDPOINT'] == otlp_receiver.endpoint\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tests),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_exporter_writes_to_a_store_without_a_socket(tmp_path: Path) -> None:
    """Spans are stored with everything they have, and another process finds them in the data directory."""
    exporter = StoreSpanExporter(tmp_path / "data")
    provider = TracerProvider(resource=_RESOURCE)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    with provider.get_tracer("test", "1.2").start_as_current_span("index documents") as span:
        span.set_attribute("documents", 12)
        span.add_event("halfway")
    assert provider.force_flush()  # everything is exported: on disk
    assert exporter.force_flush()  # everything is stored: can be asked
    listed = exporter.receiver.call(lambda access: access.ask("traces"))
    assert [trace["name"] for trace in listed["traces"]] == ["index documents"]
    provider.shutdown()
    command = [sys.executable, "-m", "receiver", "sql", "--data-dir", str(tmp_path / "data"), "--json"]
    sql = "SELECT name, attributes, events[1].name FROM spans"
    done = subprocess.run([*command, sql], capture_output=True, text=True, timeout=60, check=False)
    assert '["index documents","{\\"documents\\":12}","halfway"]' in done.stdout, done.stderr


def test_spans_that_are_not_stored_are_a_failure(tmp_path: Path) -> None:
    """After shutdown the exporter says so instead of losing spans in silence; a second shutdown is nothing."""
    exporter = StoreSpanExporter(tmp_path / "data")
    exporter.shutdown()
    exporter.shutdown()
    late = ReadableSpan("late", context=SpanContext(1, 2, is_remote=False))
    assert exporter.export([late]) is SpanExportResult.FAILURE
    assert exporter.force_flush() is False
    with pytest.raises(ShuttingDownError):
        exporter.receiver.call(lambda access: access.ask("stats"))
