"""The three OTLP signals and the names that OpenTelemetry gives to their parts."""

from __future__ import annotations

from enum import StrEnum


class Signal(StrEnum):
    """A telemetry signal that this receiver serves.

    Source: https://opentelemetry.io/docs/specs/otlp/ (OTLP 1.11), sections OTLP/gRPC and OTLP/HTTP.
    """

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"

    @property
    def records(self) -> str:
        """Return the plural noun of one record, as in metric names: spans, metric_points, log_records."""
        return _RECORDS[self]

    @property
    def http_path(self) -> str:
        """Return the OTLP/HTTP path: /v1/traces, /v1/metrics or /v1/logs."""
        return f"/v1/{self.value}"

    @property
    def grpc_service(self) -> str:
        """Return the full name of the OTLP/gRPC service."""
        return _SERVICES[self]

    @property
    def grpc_method(self) -> str:
        """Return the full path of the Export method, as gRPC puts it on the wire."""
        return f"/{_SERVICES[self]}/Export"


_RECORDS = {
    Signal.TRACES: "spans",
    Signal.METRICS: "metric_points",
    Signal.LOGS: "log_records",
}
_SERVICES = {
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}
