"""How stored values are shown: ids as lower-case hex, times twice (exact and readable), JSON text as values."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from receiver.times import rfc3339

_KINDS = {0: "unspecified", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUS = {0: "unset", 1: "ok", 2: "error"}
ERROR_SEVERITY = 17
"""SEVERITY_NUMBER_ERROR. Source: https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber."""


def trace_id_text(value: UUID | None) -> str | None:
    """Return 32 lower-case hex digits."""
    return None if value is None else value.hex


def span_id_text(value: int | None) -> str | None:
    """Return 16 lower-case hex digits."""
    return None if value is None else f"{value:016x}"


def kind_text(value: int) -> str | int:
    """Return OpenTelemetry's word for a span kind, or the number where it has none."""
    return _KINDS.get(value, value)


def status_text(value: int) -> str | int:
    """Return unset, ok or error, or the number of a status that OpenTelemetry does not know."""
    return _STATUS.get(value, value)


def json_value(text: str | None) -> Any:
    """Return what a stored JSON text says; a text that is no JSON is shown as it is."""
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def moment(prefix: str, nanoseconds: int) -> dict[str, str | None]:
    """Return ``{prefix}_unix_nano`` as a decimal string, exact, and ``{prefix}`` as RFC 3339."""
    return {prefix: rfc3339(nanoseconds), f"{prefix}_unix_nano": str(nanoseconds)}
