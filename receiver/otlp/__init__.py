"""Builds OTLP requests out of plain Python values, for what does not come from an OpenTelemetry exporter."""
