"""The variables that every OpenTelemetry SDK reads, as settings of a program."""

from __future__ import annotations

from receiver.setup.options import Options, OtlpProtocol


def sdk_variables(options: Options) -> dict[str, str]:
    """Return what makes an SDK send all three signals to the chosen address.

    Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
    https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    """
    return {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc" if options.protocol is OtlpProtocol.GRPC else "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": options.otlp_url,
    }


SIGNAL_VARIABLES = tuple(
    f"OTEL_EXPORTER_OTLP_{signal}_{what}"
    for signal in ("TRACES", "METRICS", "LOGS")
    for what in ("ENDPOINT", "PROTOCOL")
)
"""Variables of one signal go before those of all signals."""
