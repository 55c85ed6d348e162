"""OTLP in, durable before the answer, found again by meaning."""

__version__ = "0.1.0"
