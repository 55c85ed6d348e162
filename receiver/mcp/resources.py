"""Resources: the schema as the store has it, and a trace by its id."""

from __future__ import annotations

from typing import Any

from fastmcp import FastMCP
from fastmcp.exceptions import ResourceError, ToolError
from mcp_types import Annotations

from receiver.mcp.answers import Answers, said

SCHEMA_URI = "otlp://schema"
TRACE_URI = "otlp://traces/{trace_id}"
_COLUMNS = (
    "SELECT table_name, column_name, data_type, comment FROM duckdb_columns()"
    " WHERE NOT internal AND schema_name = 'main' ORDER BY table_name, column_index"
)
_TABLES = (
    "SELECT table_name AS name, 'table' AS kind, comment FROM duckdb_tables() WHERE NOT internal"
    " UNION ALL SELECT view_name, 'view', comment FROM duckdb_views() WHERE NOT internal ORDER BY 1"
)
_MOST_COLUMNS = 5000
_CONVENTIONS = """\
# Tables and views of the telemetry store (DuckDB)

Conventions:
- Times are nanoseconds since 1970-01-01 UTC (UBIGINT); make_timestamp_ns(start_time_unix_nano::BIGINT) shows one.
  A duration is end_time_unix_nano - start_time_unix_nano; the end may lie before the start.
- Trace ids are UUIDs: replace(trace_id::VARCHAR, '-', '') is the usual hex. Span ids are UBIGINT:
  lower(hex(span_id)). A condition by id: trace_id = '<32 hex digits>'::UUID.
- service.name stands in resources: JOIN resources USING (resource_id).
- Attributes are JSON text: json_extract_string(attributes, '$."http.route"'); columns attr_* repeat some of them.
- spans.status_code: 0 unset, 1 ok, 2 error. logs.severity_number: 9 INFO, 13 WARN, 17 ERROR.
- Points of metrics: metric_points (gauge, sum), histogram_points, exponential_histogram_points, summary_points;
  JOIN metrics USING (metric_id). aggregation_temporality: 1 delta, 2 cumulative.
- Views otel_* carry the names of the ClickHouse exporter, with ids in hex and times as timestamps.
- One SELECT at a time; files, settings and everything that writes are refused.
"""


class Resources:
    """What an agent can read beside the tools. Threads: one event loop."""

    def __init__(self, answers: Answers) -> None:
        """Read through ``answers``."""
        self._answers = answers

    def add_to(self, server: FastMCP) -> None:
        """Add the resources to a server."""
        for_models = Annotations(audience=["assistant"])
        server.resource(
            SCHEMA_URI,
            name="schema",
            title="Tables and conventions for SQL",
            description="Every table and view with its columns, and how to write conditions for run_sql.",
            mime_type="text/markdown",
            annotations=for_models,
        )(self.schema)
        server.resource(
            TRACE_URI,
            name="trace",
            title="A trace",
            description="Outline of one trace by its id (32 hex digits), as trace_outline gives it.",
            mime_type="application/json",
            annotations=for_models,
        )(self.trace)

    async def schema(self) -> str:
        """Return conventions, tables and columns as the store has them now."""
        with said(ResourceError):
            access = await self._answers.access()
            limit = [str(_MOST_COLUMNS)]
            tables = await access.ask("sql", {"query": [_TABLES], "limit": limit})
            columns = await access.ask("sql", {"query": [_COLUMNS], "limit": limit})
        return _CONVENTIONS + _described(tables["rows"], columns["rows"])

    async def trace(self, trace_id: str) -> str:
        """Return the outline of a trace."""
        try:
            found = await self._answers.ask_trace("outline", trace_id)
        except ToolError as error:
            raise ResourceError(str(error), log_level=error.log_level) from error
        return await self._answers.text(found)


def _described(tables: list[list[Any]], columns: list[list[Any]]) -> str:
    of: dict[str, list[str]] = {}
    for table, column, kind, comment in columns:
        of.setdefault(table, []).append(f"- {column} {kind}{f': {comment}' if comment else ''}")
    parts = []
    for name, kind, comment in tables:
        head = f"\n## {name} ({kind})\n{f'{comment}{chr(10)}' if comment else ''}"
        parts.append(head + "\n".join(of.get(name, ())) + "\n")
    return "".join(parts)
