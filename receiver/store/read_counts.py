"""Exact counts: per signal, per service, of texts, and the size of the file."""

from __future__ import annotations

import duckdb

from receiver.ports import Rows
from receiver.questions import RecordCounts
from receiver.signals import Signal
from receiver.store.read_filters import LOG_TIME
from receiver.store.read_values import moment
from receiver.store.row_tables import POINT_TABLES

_BY_RESOURCE = {
    Signal.TRACES: "SELECT resource_id, count(*) AS records FROM spans GROUP BY resource_id",
    Signal.LOGS: "SELECT resource_id, count(*) AS records FROM logs GROUP BY resource_id",
    # Descriptors may stand there twice, so the points are counted before they meet them.
    Signal.METRICS: "SELECT m.resource_id, sum(p.records) AS records FROM ("
    + " UNION ALL ".join(
        f"SELECT metric_id, count(*) AS records FROM {table} GROUP BY metric_id" for table in POINT_TABLES
    )
    + ") p JOIN (SELECT metric_id, any_value(resource_id) AS resource_id FROM metrics GROUP BY metric_id) m"
    " USING (metric_id) GROUP BY m.resource_id",
}
_SERVICES = "(SELECT resource_id, coalesce(any_value(service_name), '') AS service FROM resources GROUP BY resource_id)"


def _by_service(cursor: duckdb.DuckDBPyConnection) -> dict[str, dict[Signal, int]]:
    counted: dict[str, dict[Signal, int]] = {}
    for signal, query in _BY_RESOURCE.items():
        rows = cursor.execute(
            f"SELECT coalesce(s.service, ''), sum(c.records)::BIGINT FROM ({query}) c"
            f" LEFT JOIN {_SERVICES} s USING (resource_id) GROUP BY 1 ORDER BY 1"
        ).fetchall()
        for service, records in rows:
            counted.setdefault(service, dict.fromkeys(Signal, 0))[signal] = records
    return counted


def count_records(cursor: duckdb.DuckDBPyConnection) -> RecordCounts:
    """Return exact counts of one moment."""
    records = {
        Signal.TRACES: _rows(cursor, "spans"),
        Signal.METRICS: sum(_rows(cursor, table) for table in POINT_TABLES),
        Signal.LOGS: _rows(cursor, "logs"),
    }
    stored, retired = totals(cursor)
    (traces,) = cursor.execute("SELECT approx_count_distinct(trace_id) FROM spans").fetchone() or (0,)
    size, used = cursor.execute(
        "SELECT block_size * total_blocks, block_size * used_blocks FROM pragma_database_size()"
        " WHERE database_name = current_database()"
    ).fetchone() or (0, 0)
    return RecordCounts(
        records=records,
        by_service=_by_service(cursor),
        stored=stored,
        retired=retired,
        traces=traces,
        database={"bytes": size, "used_bytes": used},
    )


def totals(cursor: duckdb.DuckDBPyConnection) -> tuple[dict[Signal, int], dict[Signal, int]]:
    """Return how many records were ever stored, and how many of them deleted again; looks at no record."""
    rows = cursor.execute("SELECT signal, stored, retired FROM record_totals").fetchall()
    return (
        {Signal(signal): stored for signal, stored, _ in rows},
        {Signal(signal): retired for signal, _, retired in rows},
    )


def list_services(cursor: duckdb.DuckDBPyConnection) -> Rows:
    """Return each service with its counts and the times of its first and last span or log record."""
    seen = dict[str, tuple[int, int]]()
    rows = cursor.execute(
        "SELECT coalesce(s.service, ''), min(c.first), max(c.last) FROM ("
        "SELECT resource_id, min(start_time_unix_nano) AS first, max(start_time_unix_nano) AS last"
        " FROM spans GROUP BY resource_id UNION ALL"
        f" SELECT resource_id, min({LOG_TIME}), max({LOG_TIME}) FROM logs r GROUP BY resource_id) c"
        f" LEFT JOIN {_SERVICES} s USING (resource_id) GROUP BY 1"
    ).fetchall()
    for service, first, last in rows:
        seen[service] = (first, last)
    answer: Rows = []
    for service, counts in sorted(_by_service(cursor).items()):
        times = seen.get(service)
        unknown = {"first": None, "first_unix_nano": None, "last": None, "last_unix_nano": None}
        answer.append(
            {
                "service": service,
                **{signal.records: counts[signal] for signal in Signal},
                **({**moment("first", times[0]), **moment("last", times[1])} if times else unknown),
            }
        )
    return answer


def _rows(cursor: duckdb.DuckDBPyConnection, table: str) -> int:
    row = cursor.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0
