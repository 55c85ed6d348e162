"""The oracle: what the store should hold for some requests, found by walking their messages in plain Python.

In: serialized requests. Out: per table the rows as a multiset, ids of resources, scopes and metrics replaced
by their content, so that nothing depends on how they are hashed. It shares no code with the columnar way
but the port's words: messages come from opentelemetry-proto, JSON is compared by what it says.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import duckdb
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from receiver.signals import Signal
from tests.support.anyvalue_json import any_value_from_json, key_values_from_json

Rows = dict[str, Counter[Any]]

_HOT: dict[str, dict[str, type[str | int]]] = {
    "spans": {
        "http.route": str,
        "http.response.status_code": int,
        "rpc.service": str,
        "db.system.name": str,
        "gen_ai.request.model": str,
        "gen_ai.conversation.id": str,
        "session.id": str,
        "error.type": str,
    },
    "logs": {"gen_ai.conversation.id": str, "session.id": str, "error.type": str},
}
_SESSION_KEYS = (
    *(
        "session.id",
        "gen_ai.conversation.id",
        "conversation.id",
        "conversation_id",
        "copilot_chat.session_id",
    ),
    "langfuse.session.id",
    *(f"traceloop.association.properties.{name}" for name in ("session_id", "conversation_id", "thread_id")),
)
_AGENT_KEYS = (
    "openinference.span.kind",
    "llm.request.type",
    "traceloop.span.kind",
    "langfuse.observation.type",
)
_AGENT_PREFIXES = (
    *("gen_ai.", "claude_code.", "qwen-code.", "gemini_cli.", "codex.", "copilot_chat.", "github.copilot."),
    "opencode.",
)
_POINT_TABLES = {
    "gauge": "metric_points",
    "sum": "metric_points",
    "histogram": "histogram_points",
    "exponential_histogram": "exponential_histogram_points",
    "summary": "summary_points",
}
POINT_TABLES = tuple(dict.fromkeys(_POINT_TABLES.values()))


def frozen(value: Any) -> Any:
    """Return a value that compares by what it is: NaN equals NaN, 0.0 is not -0.0, True is not 1."""
    if isinstance(value, dict):
        return ("row", tuple(sorted((key, frozen(item)) for key, item in value.items())))
    if isinstance(value, (list, tuple)):
        return ("list", tuple(frozen(item) for item in value))
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else value.hex())
    return (type(value).__name__, value)


# ---- what the requests say -----------------------------------------------------------------------


def expected_rows(signal: Signal, payloads: Iterable[bytes]) -> Rows:
    """Return the rows of all tables for requests of valid records."""
    rows: Rows = {}
    for payload in payloads:
        _EXPECTED[signal](payload, rows)
    for table in ("resources", "scopes", "metrics"):  # these hold each thing once
        if table in rows:
            rows[table] = Counter(set(rows[table]))
    return rows


def _add(rows: Rows, table: str, row: dict[str, Any]) -> None:
    rows.setdefault(table, Counter())[frozen(row)] += 1


def _spans(payload: bytes, rows: Rows) -> None:
    for envelope in ExportTraceServiceRequest.FromString(payload).resource_spans:
        resource = _resource(envelope, rows)
        for scoped in envelope.scope_spans:
            scope = _scope(scoped, rows)
            for span in scoped.spans:
                row = {
                    "trace_id": UUID(bytes=span.trace_id),
                    "span_id": int.from_bytes(span.span_id, "big"),
                    "parent_span_id": int.from_bytes(span.parent_span_id, "big") or None,
                    "trace_state": span.trace_state,
                    "flags": span.flags,
                    "name": span.name,
                    "kind": span.kind,
                    "start_time_unix_nano": span.start_time_unix_nano,
                    "end_time_unix_nano": span.end_time_unix_nano,
                    "status_code": span.status.code,
                    "status_message": span.status.message,
                    "attributes": _said(span.attributes),
                    "dropped_attributes_count": span.dropped_attributes_count,
                    "events": [
                        {
                            "time_unix_nano": event.time_unix_nano,
                            "name": event.name,
                            "attributes": _said(event.attributes),
                            "dropped_attributes_count": event.dropped_attributes_count,
                        }
                        for event in span.events
                    ],
                    "dropped_events_count": span.dropped_events_count,
                    "links": [
                        {
                            "trace_id": link.trace_id.hex(),
                            "span_id": link.span_id.hex(),
                            "trace_state": link.trace_state,
                            "attributes": _said(link.attributes),
                            "dropped_attributes_count": link.dropped_attributes_count,
                            "flags": link.flags,
                        }
                        for link in span.links
                    ],
                    "dropped_links_count": span.dropped_links_count,
                }
                derived = {
                    "session_id": _session(span.attributes, envelope),
                    "is_gen_ai": _is_gen_ai(span.attributes, span.name),
                }
                _add(rows, "spans", row | derived | _hot("spans", span.attributes) | resource | scope)


def _logs(payload: bytes, rows: Rows) -> None:
    for envelope in ExportLogsServiceRequest.FromString(payload).resource_logs:
        resource = _resource(envelope, rows)
        for scoped in envelope.scope_logs:
            scope = _scope(scoped, rows)
            for log in scoped.log_records:
                trace_id = UUID(bytes=log.trace_id) if len(log.trace_id) == 16 and any(log.trace_id) else None
                row = {
                    "time_unix_nano": log.time_unix_nano,
                    "observed_time_unix_nano": log.observed_time_unix_nano,
                    "trace_id": trace_id,
                    "span_id": int.from_bytes(log.span_id, "big") or None if len(log.span_id) == 8 else None,
                    "flags": log.flags,
                    "severity_number": log.severity_number,
                    "severity_text": log.severity_text,
                    "event_name": log.event_name,
                    "attributes": _said(log.attributes),
                    "dropped_attributes_count": log.dropped_attributes_count,
                    "session_id": _session(log.attributes, envelope),
                    "is_gen_ai": _is_gen_ai(log.attributes, log.event_name),
                }
                body = _body(log.body if log.HasField("body") else None)
                _add(rows, "logs", row | body | _hot("logs", log.attributes) | resource | scope)


def _body(body: AnyValue | None) -> dict[str, Any]:
    if body is None:
        return {"body": None, "body_type": None}
    kind = body.WhichOneof("value")
    if kind is None:
        return {"body": None, "body_type": "empty"}
    said = body.string_value if kind == "string_value" else _canonical(body).SerializeToString()
    return {"body": said, "body_type": kind.removesuffix("_value")}


def _metrics(payload: bytes, rows: Rows) -> None:
    for envelope in ExportMetricsServiceRequest.FromString(payload).resource_metrics:
        resource = _resource(envelope, rows)
        for scoped in envelope.scope_metrics:
            scope = _scope(scoped, rows)
            for metric in scoped.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind) if kind else None
                descriptor = {
                    "name": metric.name,
                    "description": metric.description,
                    "unit": metric.unit,
                    "type": kind or "none",
                    "aggregation_temporality": getattr(data, "aggregation_temporality", 0),
                    "is_monotonic": getattr(data, "is_monotonic", False),
                    "metadata": _said(metric.metadata),
                }
                descriptor = descriptor | resource | scope
                _add(rows, "metrics", descriptor)
                for point in data.data_points if data is not None else ():
                    row = _point(str(kind), point) | {"metric": descriptor}
                    if kind in ("gauge", "sum"):
                        row["session_id"] = _session(point.attributes, envelope)
                    _add(rows, _POINT_TABLES[str(kind)], row)


def _point(kind: str, point: Any) -> dict[str, Any]:
    row = {
        "attributes": _said(point.attributes),
        "start_time_unix_nano": point.start_time_unix_nano,
        "time_unix_nano": point.time_unix_nano,
        "flags": point.flags,
    }
    if kind == "summary":
        quantiles = [{"quantile": q.quantile, "value": q.value} for q in point.quantile_values]
        return row | {"count": point.count, "sum": point.sum, "quantile_values": quantiles}
    row["exemplars"] = [
        {
            "time_unix_nano": exemplar.time_unix_nano,
            **_number(exemplar),
            "trace_id": exemplar.trace_id.hex(),
            "span_id": exemplar.span_id.hex(),
            "filtered_attributes": _said(exemplar.filtered_attributes),
        }
        for exemplar in point.exemplars
    ]
    if kind in ("gauge", "sum"):
        return row | _number(point)
    row["count"] = point.count
    for name in ("sum", "min", "max"):
        row[name] = getattr(point, name) if point.HasField(name) else None
    if kind == "histogram":
        return row | {
            "bucket_counts": list(point.bucket_counts),
            "explicit_bounds": list(point.explicit_bounds),
        }
    return row | {
        "scale": point.scale,
        "zero_count": point.zero_count,
        "zero_threshold": point.zero_threshold,
        "positive_offset": point.positive.offset,
        "positive_bucket_counts": list(point.positive.bucket_counts),
        "negative_offset": point.negative.offset,
        "negative_bucket_counts": list(point.negative.bucket_counts),
    }


def _number(message: Any) -> dict[str, Any]:
    kind = message.WhichOneof("value")
    return {
        "value_int": message.as_int if kind == "as_int" else None,
        "value_double": message.as_double if kind == "as_double" else None,
    }


def _resource(envelope: Any, rows: Rows) -> dict[str, Any]:
    resource = envelope.resource
    row = {
        "service_name": _service(resource.attributes, "service.name"),
        "service_namespace": _service(resource.attributes, "service.namespace"),
        "service_instance_id": _service(resource.attributes, "service.instance.id"),
        "attributes": _said(resource.attributes),
        "dropped_attributes_count": resource.dropped_attributes_count,
        "entity_refs": [
            {
                "schema_url": ref.schema_url,
                "type": ref.type,
                "id_keys": list(ref.id_keys),
                "description_keys": list(ref.description_keys),
            }
            for ref in resource.entity_refs
        ]
        or None,
        "schema_url": envelope.schema_url,
    }
    _add(rows, "resources", row)
    return {"resource": row}


def _scope(scoped: Any, rows: Rows) -> dict[str, Any]:
    row = {
        "name": scoped.scope.name,
        "version": scoped.scope.version,
        "attributes": _said(scoped.scope.attributes),
        "dropped_attributes_count": scoped.scope.dropped_attributes_count,
        "schema_url": scoped.schema_url,
    }
    _add(rows, "scopes", row)
    return {"scope": row}


def _service(attributes: Sequence[KeyValue], key: str) -> Any:
    values = [pair.value for pair in attributes if pair.key == key]
    kind = values[-1].WhichOneof("value") if values else None
    if kind is None:
        return None
    value = values[-1]
    return value.string_value if kind == "string_value" else ("json", _canonical(value).SerializeToString())


def _hot(table: str, attributes: Sequence[KeyValue]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, kind in _HOT[table].items():
        last = [pair.value for pair in attributes if pair.key == key][-1:]
        member = "string_value" if kind is str else "int_value"
        fits = bool(last) and last[0].WhichOneof("value") == member
        found["attr_" + key.replace(".", "_")] = getattr(last[0], member) if fits else None
    return found


def _session(attributes: Sequence[KeyValue], envelope: Any) -> str | None:
    own = {pair.key: pair.value.string_value for pair in attributes}
    keys = (*_SESSION_KEYS, "thread.id") if "turn.id" in own else _SESSION_KEYS
    said = next((own[key] for key in keys if own.get(key)), None)
    whole = {pair.key: pair.value.string_value for pair in envelope.resource.attributes}
    return said or whole.get("session.id") or whole.get("gen_ai.conversation.id") or None


def _is_gen_ai(attributes: Sequence[KeyValue], name: str) -> bool | None:
    said = {pair.key: pair.value.string_value for pair in attributes}
    names = (*said, name, said.get("event.name", ""))
    return (
        any(key in said for key in _AGENT_KEYS) or any(n.startswith(_AGENT_PREFIXES) for n in names) or None
    )


def _said(pairs: Sequence[KeyValue]) -> bytes:
    """Return what an attribute list says, duplicates in the order in which its JSON can say them."""
    return KeyValueList(values=_duplicates_first(list(pairs))).SerializeToString()


def _duplicates_first(pairs: list[KeyValue]) -> list[KeyValue]:
    last = {pair.key: place for place, pair in enumerate(pairs)}
    ordered = [p for place, p in enumerate(pairs) if last[p.key] != place]
    ordered += [p for place, p in enumerate(pairs) if last[p.key] == place]
    return [KeyValue(key=pair.key, value=_canonical(pair.value)) for pair in ordered]


def _canonical(value: AnyValue) -> AnyValue:
    if value.HasField("array_value"):
        return AnyValue(array_value=ArrayValue(values=[_canonical(v) for v in value.array_value.values]))
    if value.HasField("kvlist_value"):
        return AnyValue(kvlist_value=KeyValueList(values=_duplicates_first(list(value.kvlist_value.values))))
    if value.HasField("double_value") and math.isnan(value.double_value):
        return AnyValue(double_value=math.nan)  # JSON knows one NaN
    return value


_EXPECTED = {Signal.TRACES: _spans, Signal.LOGS: _logs, Signal.METRICS: _metrics}


# ---- what the store says -------------------------------------------------------------------------


def stored_rows(connection: duckdb.DuckDBPyConnection) -> Rows:
    """Return the rows of all tables in the same form; every reference to another table must lead somewhere."""
    resources = _by_id(connection, "resources", "resource_id")
    scopes = _by_id(connection, "scopes", "scope_id")
    texts = set(_by_id(connection, "texts", "text_id"))
    metrics = _by_id(connection, "metrics", "metric_id")
    for row in metrics.values():
        _join(row, resources, scopes)
    rows: Rows = {}
    for table, known in (("resources", resources), ("scopes", scopes), ("metrics", metrics)):
        for row in known.values():
            _add(rows, table, row)
    for table in ("spans", "logs"):
        for row in _fetch(connection, table):
            assert row.pop("text_id") in texts
            _join(row, resources, scopes)
            _add(rows, table, row)
    for table in POINT_TABLES:
        for row in _fetch(connection, table):
            row["metric"] = metrics[row.pop("metric_id")]
            _add(rows, table, row)
    return rows


def _join(row: dict[str, Any], resources: dict[UUID, Any], scopes: dict[UUID, Any]) -> None:
    row["resource"] = resources[row.pop("resource_id")]
    row["scope"] = scopes[row.pop("scope_id")]


def _by_id(connection: duckdb.DuckDBPyConnection, table: str, key: str) -> dict[UUID, dict[str, Any]]:
    rows = _fetch(connection, table)
    by_id = {row.pop(key): row for row in rows}
    assert len(by_id) == len(rows), f"an id occurs twice in {table}"
    return by_id


def _fetch(connection: duckdb.DuckDBPyConnection, table: str) -> list[dict[str, Any]]:
    result = connection.execute(f"SELECT * FROM {table}")
    names = [column[0] for column in result.description or ()]
    return [_read(table, dict(zip(names, row, strict=True))) for row in result.fetchall()]


def _read(table: str, row: dict[str, Any]) -> dict[str, Any]:
    for name in ("attributes", "metadata", "filtered_attributes"):
        if name in row:
            row[name] = KeyValueList(values=key_values_from_json(row[name])).SerializeToString()
    for name in ("events", "links", "exemplars"):
        if name in row:
            row[name] = [_read("", item) for item in row[name]]
    if table == "logs" and row["body"] is not None and row["body_type"] != "string":
        row["body"] = any_value_from_json(row["body"]).SerializeToString()
    if table == "resources":
        row["entity_refs"] = row["entity_refs"] and json.loads(row["entity_refs"])
        said = {pair.key: pair.value for pair in KeyValueList.FromString(row["attributes"]).values}
        for name in ("name", "namespace", "instance_id"):
            value = said.get("service." + name.replace("_", "."))
            if value is not None and value.WhichOneof("value") not in (None, "string_value"):
                text = any_value_from_json(row[f"service_{name}"])
                row[f"service_{name}"] = ("json", text.SerializeToString())
    return row
