"""Rows of an older file get the same sessions from the migration's SQL as new rows get while they are flattened."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from receiver.config import LimitsConfig
from receiver.decode.attribute_keys import GEN_AI_KEYS, GEN_AI_PREFIXES, SESSION_KEYS, THREAD_KEY, TURN_KEY
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.flattener import ColumnFlattener
from receiver.decode.nested_values import NestedValues
from receiver.ports import ExportRequest
from receiver.signals import Signal
from receiver.store.migrate import migrate, migrations
from tests.support.otlp_requests import T0, make_span, text_attribute
from tests.support.otlp_strategies import SCALARS
from tests.support.table_parts import rows_of

DERIVED = {
    "spans": ("session_id", "is_gen_ai"),
    "logs": ("session_id", "is_gen_ai"),
    "metric_points": ("session_id",),
}
NAMES = st.sampled_from(["", "work", "span.type", *(prefix + "x" for prefix in GEN_AI_PREFIXES)])
KEYS = NAMES | st.sampled_from(
    [*SESSION_KEYS, *sorted(GEN_AI_KEYS), THREAD_KEY, TURN_KEY, "event.name", "@session.id", "x.session.id"]
)
TEXTS = st.sampled_from(
    ["", "s1", "s2", 'a "quoted" \\ one', "gen_ai.event", "claude_code.api", "🦆", "\x1f"]
)
VALUES = st.one_of(
    TEXTS.map(lambda text: AnyValue(string_value=text)),
    SCALARS,
    st.just(
        AnyValue(
            kvlist_value=KeyValueList(
                values=[KeyValue(key="session.id", value=AnyValue(string_value="inside"))]
            )
        )
    ),
)
SAID = st.builds(text_attribute, st.sampled_from([*SESSION_KEYS, THREAD_KEY, TURN_KEY]), TEXTS)
ATTRIBUTES = st.lists(
    SAID | st.builds(lambda key, value: KeyValue(key=key, value=value), KEYS, VALUES), max_size=5
)
RECORDS = st.lists(st.tuples(NAMES, ATTRIBUTES), min_size=1, max_size=4)


EVERY_KEY = [text_attribute(key, f"from {key}") for key in (*SESSION_KEYS, THREAD_KEY, TURN_KEY)]
"""In the order in which they count."""


def of_version_2() -> duckdb.DuckDBPyConnection:
    """Return a database as the release before left it, without rows."""
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE schema_migrations (version INTEGER NOT NULL, applied_at TIMESTAMPTZ NOT NULL)"
    )
    for version in (1, 2):
        connection.execute(migrations()[version].sql)
        connection.execute("INSERT INTO schema_migrations VALUES (?, now())", [version])
    return connection


@pytest.fixture(scope="module")
def flattener() -> Iterator[tuple[ColumnDecoder, ColumnFlattener]]:
    """Give a decoder and a flattener."""
    nested = NestedValues()
    opened = ColumnFlattener(nested)
    yield ColumnDecoder(LimitsConfig(), nested), opened
    opened.close()


def requests(
    resource: list[KeyValue], records: list[tuple[str, list[KeyValue]]]
) -> Iterator[tuple[Signal, bytes]]:
    """Give the same records as spans, as log records and as points."""
    owner = Resource(attributes=resource)
    spans = [make_span(n, name=name, attributes=pairs) for n, (name, pairs) in enumerate(records)]
    envelope = ResourceSpans(resource=owner, scope_spans=[ScopeSpans(spans=spans)])
    yield Signal.TRACES, ExportTraceServiceRequest(resource_spans=[envelope]).SerializeToString()
    logs = [LogRecord(time_unix_nano=T0, event_name=name, attributes=pairs) for name, pairs in records]
    lines = ResourceLogs(resource=owner, scope_logs=[ScopeLogs(log_records=logs)])
    yield Signal.LOGS, ExportLogsServiceRequest(resource_logs=[lines]).SerializeToString()
    points = [NumberDataPoint(time_unix_nano=T0, as_int=1, attributes=pairs) for _, pairs in records]
    metric = Metric(name="queue", gauge=Gauge(data_points=points))
    metrics = ResourceMetrics(resource=owner, scope_metrics=[ScopeMetrics(metrics=[metric])])
    yield Signal.METRICS, ExportMetricsServiceRequest(resource_metrics=[metrics]).SerializeToString()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(resource=ATTRIBUTES, records=RECORDS)
@example(resource=[], records=[("", EVERY_KEY[place:]) for place in range(len(EVERY_KEY))])
@example(resource=[], records=[("", EVERY_KEY[-2:-1])])
@example(resource=[text_attribute("session.id", "whole")], records=[("", EVERY_KEY[:1]), ("", [])])
@example(resource=[text_attribute("gen_ai.conversation.id", "whole")], records=[("", [])])
@example(resource=[text_attribute("conversation.id", "no")], records=[("", [])])
def test_the_migration_fills_older_rows_as_new_rows_are_filled(
    flattener: tuple[ColumnDecoder, ColumnFlattener],
    resource: list[KeyValue],
    records: list[tuple[str, list[KeyValue]]],
) -> None:
    """Keys, their order, types, empty values, resources and names count alike on both ways."""
    decoder, flattening = flattener
    columns = [
        each
        for signal, body in requests(resource, records)
        for each in decoder.decode([ExportRequest(signal, body)]).columns
    ]
    tables: dict[str, pa.Table] = rows_of(flattening.parts(columns))
    with of_version_2() as connection:
        for name, table in tables.items():
            connection.register("older", table.drop_columns(list(DERIVED.get(name, ()))))
            connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM older")
        assert migrate(connection) == [version for version in migrations() if version > 2]
        for name, derived in DERIVED.items():
            filled = connection.execute(f"SELECT {', '.join(derived)} FROM {name} ORDER BY rowid").fetchall()
            assert filled == list(
                zip(*(tables[name].column(key).to_pylist() for key in derived), strict=True)
            )
        views = connection.execute("SELECT count(*) FROM otel_traces").fetchone()
        assert views == (len(records),)
        names = connection.execute(
            "SELECT function_name FROM duckdb_functions() WHERE NOT internal"
        ).fetchall()
        assert not {name for (name,) in names} & {"said_session", "says_gen_ai"}
