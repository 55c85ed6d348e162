"""Traces as the documented API shows them: the answers of a receiver become conversations.

Works on what :class:`receiver.access.Access` answers, so it is the same in process and over HTTP.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from receiver.access import Access
from receiver.query.tree import in_order
from receiver.sources.trace_dicts.span import END_MISSING, PARENT_ID, SPAN_ID, START_MISSING
from receiver.sources.trace_dicts.units import SYSTEM_ID, TRACE_ID, UNKNOWN, system_of

RECORD = "otlp_receiver.record"
"""Attribute: the span is a HotRecord; its text is in ``message``, its metadata in ``metadata``."""
_MARKS = frozenset({TRACE_ID, SPAN_ID, PARENT_ID, START_MISSING, END_MISSING, RECORD})
_SPANS_SHOWN = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RESOURCES = (
    "(SELECT resource_id, any_value(service_name) AS service, any_value(attributes) AS attributes"
    " FROM resources GROUP BY resource_id)"
)
_COLUMNS = (
    "trace_id", "count", "name", "start", "attributes", "service", "resource", "status", "status_message",
)  # fmt: skip
_SQL = f"""
SELECT replace(s.trace_id::VARCHAR, '-', ''), s.count, s.name, s.start_time_unix_nano, s.attributes,
  r.service, r.attributes, s.status_code, s.status_message
FROM (
  SELECT *, rowid AS place, count(*) OVER (PARTITION BY trace_id) AS count FROM spans
  WHERE trace_id IN (SELECT unnest([%s]::UUID[]))
  QUALIFY row_number() OVER (PARTITION BY trace_id ORDER BY start_time_unix_nano, rowid) <= {_SPANS_SHOWN}
) s LEFT JOIN {_RESOURCES} r USING (resource_id)
ORDER BY s.start_time_unix_nano, s.place
"""
_AT_ONCE = 50  # 50 traces of 200 spans are as many rows as an answer may have


async def conversations(access: Access, trace_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return conversations by trace id (hex): system_id, conversation_id, content, timestamp, metadata.

    Of a trace the first 200 spans are looked at; ``span_count`` counts all of them.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    wanted = list(dict.fromkeys(trace_ids))
    for first in range(0, len(wanted), _AT_ONCE):
        for row in await _spans(access, wanted[first : first + _AT_ONCE]):
            row["attributes"] = plain(row["attributes"])
            row["resource"] = plain(row["resource"])
            found.setdefault(row["trace_id"], []).append(row)
    return {trace: _conversation(trace, rows[0]["count"], rows) for trace, rows in found.items()}


async def _spans(access: Access, trace_ids: Sequence[str]) -> list[dict[str, Any]]:
    service = getattr(access, "service", None)
    if service is not None:  # in this process: checking SQL takes longer than the rest of a search
        rows: list[dict[str, Any]] = await service.trace_spans(
            [UUID(each) for each in trace_ids], limit=_SPANS_SHOWN
        )
        return rows
    ids = ", ".join(f"'{each}'" for each in trace_ids)
    answer = await access.ask("sql", {"query": [_SQL % ids], "limit": [str(_AT_ONCE * _SPANS_SHOWN)]})
    rows = [dict(zip(_COLUMNS, values, strict=True)) for values in answer["rows"]]
    for row in rows:
        row["attributes"] = orjson.loads(row["attributes"])
        row["resource"] = orjson.loads(row["resource"] or "{}")
    return rows


def conversation_of(trace: Mapping[str, Any]) -> dict[str, Any]:
    """Return one conversation with all that is stored of it, of the API's answer to ``trace``."""
    spans = sorted(in_order(trace["roots"]), key=lambda span: int(span["time_unix_nano"]))
    rows = [
        {
            "name": span["name"],
            "start": int(span["time_unix_nano"]),
            "attributes": plain(span["attributes"]),
            "service": span["service"],
            "resource": plain(trace["resources"].get(span["resource_id"], {}).get("attributes", {})),
            "status": 2 if span["status"] == "error" else 0,
            "status_message": span["status_message"],
        }
        for span in spans
    ]
    given = {span["span_id"]: span["attributes"].get(SPAN_ID, span["span_id"]) for span in spans}
    return {
        **_conversation(trace["trace_id"], trace["span_count"], rows),
        "spans": [_span(span, given) for span in spans],
        "logs": [record for span in spans for record in span["logs"]] + list(trace["logs"]),
    }


def moment(time_unix_nano: int) -> datetime:
    """Return a time as an aware datetime in UTC, to the microsecond."""
    return _EPOCH + timedelta(microseconds=time_unix_nano // 1000)


def plain(value: Any) -> Any:
    """Return a stored value as Python has it: bytes, NaN and None besides what JSON can say (docs/schema.md)."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        ((key, content),) = value.items()
        if key == "@empty":
            return None
        if key == "@double":
            return float(content)
        if key == "@bytes":
            return b64decode(content)
    return {key.removeprefix("@"): plain(each) for key, each in value.items() if key != "@duplicates"}


def _conversation(trace_id: str, count: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    given = next((row["attributes"][TRACE_ID] for row in rows if TRACE_ID in row["attributes"]), trace_id)
    records = [row["attributes"] for row in rows if row["attributes"].get(RECORD) is True]
    texts = (
        row["attributes"].get("message", "") if row["attributes"].get(RECORD) is True else row["name"]
        for row in rows
    )
    return {
        "system_id": _system_id(rows),
        "conversation_id": given,
        "content": " | ".join(text for text in texts if text) or "Empty trace",
        "timestamp": moment(rows[0]["start"]) if rows else None,
        "metadata": _merged(each.get("metadata", {}) for each in records)
        if records
        else {
            "trace_id": given,
            "span_count": count,
            "error_count": sum(row["status"] == 2 for row in rows),
            "services": sorted({row["service"] for row in rows if row["service"]}),
            "attributes": _merged(_without_marks(row["attributes"]) for row in rows),
        },
    }


def _system_id(rows: list[dict[str, Any]]) -> str:
    for row in rows:
        named = row["resource"].get(SYSTEM_ID)
        if isinstance(named, str) and named and named != UNKNOWN:
            return named
    return next((found for row in rows if (found := system_of(row["service"]))), UNKNOWN)


def _span(span: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    attributes = plain(span["attributes"])
    parent = span["parent_span_id"]
    unended = attributes.get(END_MISSING) is True
    return {
        "span_id": given[span["span_id"]],
        "parent_span_id": attributes.get(PARENT_ID, given.get(parent, parent)),
        "name": span["name"],
        "kind": span["kind"],
        "service": span["service"],
        "start_time": moment(int(span["time_unix_nano"])),
        "end_time": None if unended else moment(int(span["end_time_unix_nano"])),
        "duration_ms": None if unended else span["duration_ms"],
        "status": span["status"],
        "status_message": span["status_message"],
        "attributes": _without_marks(attributes),
        "events": [
            {
                "name": event["name"],
                "time": moment(int(event["time_unix_nano"])),
                "attributes": plain(event["attributes"]),
            }
            for event in span["events"]
        ],
        "links": [
            {
                "trace_id": each["trace_id"],
                "span_id": each["span_id"],
                "attributes": plain(each["attributes"]),
            }
            for each in span["links"]
        ],
    }


def _without_marks(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if key not in _MARKS}


def _merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return all of them in one, later values in the place of earlier ones."""
    merged: dict[str, Any] = {}
    for part in parts:
        merged.update(part)
    return merged
