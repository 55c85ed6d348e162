"""Where a trace failed first: failed spans none of whose children failed, with what they say about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from receiver.ports import Rows
from receiver.query.outline_spans import Forest, Place, cut, milliseconds, way_to

_MOST_LOGS = 3
_ERROR_SEVERITY = 17


def first_failures(forest: Forest, logs: Rows, limit: int) -> tuple[Rows, int]:
    """Return the first failing spans, the earliest first, and how many groups there are.

    A failed span whose child failed too only passes the failure on. Spans that failed in the same way (operation,
    message, exception) are one group: its first span with ``count``.
    """
    by_span: dict[str, Rows] = defaultdict(list)
    for record in _errors(logs):
        by_span[record["span_id"] or ""].append(record)
    groups: dict[tuple[str, ...], list[Place]] = defaultdict(list)
    for place in forest.places:
        if place.failed and not any(child.failed for child in place.children):
            kind, message = exception_of(place.span)
            groups[(*place.operation, place.span["status_message"], kind, message)].append(place)
    ordered = sorted(groups.values(), key=lambda group: min(_failed_at(each) for each in group))
    return [_described(group, forest.start, by_span) for group in ordered[:limit]], len(ordered)


def error_logs(forest: Forest, logs: Rows, limit: int) -> tuple[Rows, int]:
    """Return the log records at error level that belong to no failed span, earliest first, and how many there are."""
    failed = {place.span["span_id"] for place in forest.places if place.failed}
    found = [record for record in _errors(logs) if record["span_id"] not in failed]
    return [log_line(record) for record in found[:limit]], len(found)


def exception_of(span: Mapping[str, Any]) -> tuple[str, str]:
    """Return type and message of the last exception that a span recorded; ``error.type`` where it recorded none.

    Source: https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/
    """
    said = [event["attributes"] for event in span["events"] if event["name"] == "exception"]
    values = [each for each in (*reversed(said), span["attributes"]) if isinstance(each, dict)]
    kind = _first(values, "exception.type") or _first(values, "error.type")
    return cut(kind, 200), cut(_first(values, "exception.message"))


def log_line(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what matters of a log record."""
    body = record["body"]
    return {
        "service": record["service"],
        "time": record["time"],
        "time_unix_nano": record["time_unix_nano"],
        "severity": record["severity_text"] or str(record["severity_number"]),
        "name": record["name"],
        "body": "" if body is None else cut(body),
        "span_id": record["span_id"],
    }


def _first(values: Iterable[Mapping[str, Any]], key: str) -> str:
    return next((str(each[key]) for each in values if each.get(key) not in (None, "")), "")


def _errors(logs: Rows) -> Rows:
    return [record for record in logs if record["severity_number"] >= _ERROR_SEVERITY]


def _failed_at(place: Place) -> int:
    return place.end


def _described(group: list[Place], begun: int, logs: Mapping[str, Rows]) -> dict[str, Any]:
    first = min(group, key=_failed_at)
    kind, message = exception_of(first.span)
    # log records belong to an id: spans that repeat it would show them again
    lines = [log_line(each) for each in logs.get(first.span["span_id"], [])[:_MOST_LOGS]]
    return {
        "span_id": first.span["span_id"],
        "service": first.span["service"],
        "name": cut(first.span["name"]),
        "kind": first.span["kind"],
        "offset_ms": milliseconds(first.start - begun),
        "duration_ms": first.span["duration_ms"],
        "status_message": cut(first.span["status_message"]),
        "exception": {"type": kind, "message": message} if kind or message else None,
        "logs": lines,
        "way": way_to(first),
        "count": len(group),
    }
