"""Filters as SQL conditions: the text is made of constants of this module, every value is a parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import orjson

from receiver.questions import AttributeValue, Filters, Status
from receiver.signals import Signal
from receiver.store.read_values import ERROR_SEVERITY
from receiver.store.row_places import attribute_tokens

LOG_TIME = "CASE WHEN r.time_unix_nano = 0 THEN r.observed_time_unix_nano ELSE r.time_unix_nano END"
"""A log record's time; the observed time where it has none, as OpenTelemetry's data model asks."""
TIME = {Signal.TRACES: "r.start_time_unix_nano", Signal.LOGS: LOG_TIME, Signal.METRICS: "r.time_unix_nano"}

_LOG_COLUMNS = {
    key: "attr_" + key.replace(".", "_") for key in ("gen_ai.conversation.id", "session.id", "error.type")
}
_SPAN_COLUMNS = _LOG_COLUMNS | {
    key: "attr_" + key.replace(".", "_")
    for key in (
        "http.route",
        "http.response.status_code",
        "rpc.service",
        "db.system.name",
        "gen_ai.request.model",
    )
}
HOT_COLUMNS = {Signal.TRACES: _SPAN_COLUMNS, Signal.LOGS: _LOG_COLUMNS, Signal.METRICS: dict[str, str]()}
_INTEGER_COLUMNS = {"attr_http_response_status_code"}
_FEW_RESOURCES = 64
"""So many can stand in a condition; of more it asks the table."""
_STATUS_CODES = {Status.UNSET: 0, Status.OK: 1, Status.ERROR: 2}


@dataclass(slots=True)
class Conditions:
    """Conditions that must all hold, and the values of their parameters in the order of the text."""

    parts: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    tokens: list[list[str]] = field(default_factory=list)
    """Of each of these, one must be a piece of a record's attributes (:func:`attribute_tokens`); only known where
    a cursor was given."""

    def add(self, part: str, *values: Any) -> None:
        """Ask for one more; ``part`` holds one ``?`` per value."""
        self.parts.append(part)
        self.values.extend(values)

    @property
    def sql(self) -> str:
        """Return the expression for WHERE."""
        return " AND ".join(f"({part})" for part in self.parts) or "true"


def conditions(
    filters: Filters, signal: Signal, cursor: duckdb.DuckDBPyConnection | None = None
) -> Conditions:
    """Return the conditions on ``spans``, ``logs`` or a table of points, whose alias is ``r``.

    Tables of points have no resource of their own: their alias ``m`` is ``metrics``.

    Args:
        filters: What a record must be.
        signal: Which table.
        cursor: Looks up the resources that pass now, so that the conditions hold no subquery and skip what cannot
            pass; they are good for its transaction only.
    """
    asked = Conditions()
    if filters.signal is not None and filters.signal is not signal:
        asked.add("false")
    owner = "m" if signal is Signal.METRICS else "r"
    if filters.service is not None:
        _of_resources(asked, owner, "x.service_name = ?", [filters.service], cursor)
    if filters.since_ns is not None:
        asked.add(f"{TIME[signal]} >= ?::UBIGINT", filters.since_ns)
    if filters.until_ns is not None:
        asked.add(f"{TIME[signal]} < ?::UBIGINT", filters.until_ns)
    if signal is not Signal.METRICS:
        _record_conditions(asked, filters, signal)
    for key, value in filters.attributes.items():
        _attribute(asked, signal, owner, key, value, cursor=cursor)
    return asked


def _of_resources(
    asked: Conditions,
    owner: str,
    where: str,
    values: Sequence[Any],
    cursor: duckdb.DuckDBPyConnection | None,
    *,
    own: Conditions | None = None,
) -> bool:
    """Ask that ``own`` holds or the resource is one for which ``where`` holds; return False if none does."""
    before = f"({own.sql}) OR " if own else ""
    own_values = own.values if own else []
    if cursor is not None:
        found = cursor.execute(
            f"SELECT DISTINCT x.resource_id FROM resources x WHERE {where} LIMIT {_FEW_RESOURCES + 1}", values
        ).fetchall()
        if not found:
            asked.add(own.sql if own else "false", *own_values)
            return False
        if len(found) <= _FEW_RESOURCES:
            marks = ", ".join("?" for _ in found)
            asked.add(f"{before}{owner}.resource_id IN ({marks})", *own_values, *(row[0] for row in found))
            return True
    asked.add(
        f"{before}{owner}.resource_id IN (SELECT x.resource_id FROM resources x WHERE {where})",
        *own_values,
        *values,
    )
    return True


def _record_conditions(asked: Conditions, filters: Filters, signal: Signal) -> None:
    spans = signal is Signal.TRACES
    if filters.status is not None:
        if spans:
            asked.add("r.status_code = ?", _STATUS_CODES[filters.status])
        elif filters.status is Status.OK:
            asked.add("false")
        else:
            sign = ">=" if filters.status is Status.ERROR else "<"
            asked.add(f"r.severity_number {sign} ?", ERROR_SEVERITY)
    if filters.min_duration_ns is not None:
        if spans:
            asked.add(
                # CASE, because AND may compute the difference first, and below zero it is an error
                "CASE WHEN r.end_time_unix_nano >= r.start_time_unix_nano"
                " THEN r.end_time_unix_nano - r.start_time_unix_nano >= ?::UBIGINT ELSE false END",
                filters.min_duration_ns,
            )
        else:
            asked.add("false")
    if filters.min_severity is not None:
        if spans:
            asked.add("false")
        else:
            asked.add("r.severity_number >= ?", filters.min_severity)
    if filters.name is not None:
        asked.add(f"r.{'name' if spans else 'event_name'} = ?", filters.name)
    if filters.trace_id is not None:
        asked.add("r.trace_id = ?", filters.trace_id)
    if filters.text is not None:
        asked.add(f"contains(lower(r.{'name' if spans else 'body'}), lower(?))", filters.text)


def _attribute(
    asked: Conditions,
    signal: Signal,
    owner: str,
    key: str,
    value: AttributeValue,
    *,
    cursor: duckdb.DuckDBPyConnection | None,
) -> None:
    own = Conditions()
    column = HOT_COLUMNS[signal].get(key)
    if column is not None and _fits(column, value):
        own.add(f"r.{column} = ?", value)
    else:
        _json_equals(own, "r.attributes", key, value)
    resource = Conditions()
    _json_equals(resource, "x.attributes", key, value)
    of_resources = _of_resources(asked, owner, resource.sql, resource.values, cursor, own=own)
    if column is None and not of_resources:
        tokens = _tokens(key, value)
        if tokens:
            asked.tokens.append(tokens)


def _tokens(key: str, value: AttributeValue) -> list[str]:
    """Return as what the member may stand in the text; empty where its text is not known for sure."""
    stored_key, text = _stored_key(key), _plain_text(value)
    return attribute_tokens(stored_key, text) if _is_plain(stored_key) and text is not None else []


def _plain_text(value: AttributeValue) -> str | None:
    """Return the JSON text of a value that has but one; None of others: doubles, and signs that can be escaped."""
    if isinstance(value, str):
        return f'"{value}"' if _is_plain(value) else None
    return None if isinstance(value, float) else _json_text(value)


def _stored_key(key: str) -> str:
    return "@" + key if key.startswith("@") else key


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and not set(text) & set('"\\<>&')


def _fits(column: str, value: AttributeValue) -> bool:
    if column in _INTEGER_COLUMNS:
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    return isinstance(value, str)


def _json_equals(asked: Conditions, column: str, key: str, value: AttributeValue) -> None:
    """Ask that the member ``key`` of a JSON text has this type and value (design: attribute JSON)."""
    stored_key, text = _stored_key(key), _plain_text(value)
    if _is_plain(stored_key):  # cheap: most rows end here, unparsed
        asked.add(f"contains({column}, ?)", f'"{stored_key}"' if text is None else f'"{stored_key}":{text}')
    pointer = "/" + stored_key.replace("~", "~0").replace("/", "~1")
    if isinstance(value, str):
        asked.add(
            f"json_type({column}, ?) = 'VARCHAR' AND json_extract_string({column}, ?) = ?",
            pointer,
            pointer,
            value,
        )
    elif isinstance(value, float) and math.isfinite(value):
        asked.add(
            f"json_type({column}, ?) = 'DOUBLE' AND TRY_CAST(json_extract_string({column}, ?) AS DOUBLE) = ?",
            pointer,
            pointer,
            value,
        )
    else:
        asked.add(f"CAST(json_extract({column}, ?) AS VARCHAR) = ?", pointer, _json_text(value))


def _json_text(value: AttributeValue) -> str:
    if isinstance(value, float):
        name = "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        return orjson.dumps({"@double": name}).decode()
    return "true" if value is True else "false" if value is False else str(value)
