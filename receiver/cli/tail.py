"""``otlp-receiver tail``: shows what is stored, as it is stored, each record once."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from receiver.cli import wording
from receiver.cli.options import from_source
from receiver.cli.source import Source
from receiver.cli.terminal import escaped_json, print_note, styled
from receiver.client.server import Server

_MOST = 500
"""Records of one signal that are shown for one look; a stream that no one can read is counted instead."""

# The store appends: the place of a row (rowid) tells what is new, however old the record's own time is.
_NEWEST = "SELECT coalesce(max(rowid), -1)::VARCHAR FROM {table}"
_SERVICES = "(SELECT resource_id, any_value(service_name) AS service FROM resources GROUP BY resource_id)"
_COLUMNS = {
    "spans": "start_time_unix_nano::VARCHAR AS time_unix_nano, name, trace_id::VARCHAR AS trace_id,"
    " CASE WHEN end_time_unix_nano >= start_time_unix_nano"
    " THEN (end_time_unix_nano - start_time_unix_nano) / 1e6 END AS duration_ms,"
    " CASE status_code WHEN 2 THEN 'error' WHEN 1 THEN 'ok' ELSE 'unset' END AS status, status_message AS message",
    "logs": "CASE WHEN time_unix_nano > 0 THEN time_unix_nano ELSE observed_time_unix_nano END::VARCHAR"
    " AS time_unix_nano, event_name AS name, trace_id::VARCHAR AS trace_id, NULL AS duration_ms,"
    " coalesce(nullif(severity_text, ''), severity_number::VARCHAR) AS status, body AS message",
}
_TABLES = {"traces": ("spans",), "logs": ("logs",), None: ("spans", "logs")}


@click.command()
@click.option("--service", "-s", metavar="NAME", help="Only this service.name.")
@click.option("--signal", type=click.Choice(["traces", "logs"]), help="Only spans, or only log records.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 60),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@from_source
def tail(service: str | None, signal: str | None, interval: float, source: Source, as_json: bool) -> None:
    """Follow new spans and log records until Ctrl-C. Needs a running receiver.

    A record is shown when it is stored, which is up to a second after its export. With `--json` each record is
    one line.
    """
    server = source.server
    followed = [_Followed(server, table, service) for table in _TABLES[signal]]
    print_note(f"following {server.endpoint}; Ctrl-C ends it")
    try:
        while True:
            for each in followed:
                for record in each.new():
                    _print(record, as_json)
            time.sleep(interval)
    except KeyboardInterrupt:
        return


class _Followed:
    """One table, from the row on that was its last when this was made."""

    def __init__(self, server: Server, table: str, service: str | None) -> None:
        self._server = server
        self._table = table
        self._where = "" if service is None else f" AND s.service = {_quoted(service)}"
        self._seen = self._newest()

    def new(self) -> list[dict[str, Any]]:
        """Return the records stored since the last call, in the order in which they were stored."""
        newest = self._newest()
        after, self._seen = self._seen, newest
        if newest <= after:  # lower: retention moved the rows, and what is new cannot be told
            return []
        columns, rows = self._sql(
            f"SELECT {_COLUMNS[self._table]}, s.service FROM {self._table} r LEFT JOIN {_SERVICES} s"
            f" USING (resource_id) WHERE r.rowid > {after} AND r.rowid <= {newest}{self._where}"
            f" ORDER BY r.rowid LIMIT {_MOST + 1}"
        )
        if len(rows) > _MOST:
            print_note(f"more than {_MOST} new {self._table} at once; the rest is not shown")
        return [
            {"signal": "traces" if self._table == "spans" else "logs", **dict(zip(columns, row, strict=True))}
            for row in rows[:_MOST]
        ]

    def _newest(self) -> int:
        _, rows = self._sql(_NEWEST.format(table=self._table))
        return int(rows[0][0])

    def _sql(self, query: str) -> tuple[list[str], list[list[Any]]]:
        answer = json.loads(self._server.ask("sql", {"query": [query], "limit": [str(_MOST + 1)]}))
        return answer["columns"], answer["rows"]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _print(record: dict[str, Any], as_json: bool) -> None:
    record["trace_id"] = (record["trace_id"] or "").replace("-", "") or None
    if as_json:
        text = json.dumps(record, ensure_ascii=False)
        sys.stdout.write((escaped_json(text) if sys.stdout.isatty() else text) + "\n")
    else:
        parts = (
            wording.local_time(record["time_unix_nano"]),
            record["status"] if record["status"] != "unset" else "",
            record["service"] or "",
            record["name"] or "",
            wording.duration(record["duration_ms"]),
            record["message"] or "",
            record["trace_id"] or "",
        )
        sys.stdout.write(f"{styled('  '.join(part for part in parts if part)).plain}\n")
    sys.stdout.flush()
