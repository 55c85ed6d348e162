"""Columns of any mix of requests to tables with the store's columns: implements ``receiver.ports.Flattener``."""

from __future__ import annotations

from typing import cast

import duckdb
import pyarrow as pa

from receiver.decode.attribute_lists import FlattenConnection
from receiver.decode.dimensions import Dimensions
from receiver.decode.flatten_logs import flatten_logs
from receiver.decode.flatten_metrics import flatten_metrics
from receiver.decode.flatten_spans import flatten_spans
from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import RecordColumns, concatenated
from receiver.decode.texts import TextBuilder
from receiver.errors import ReceiverError, UnloadableRequestError
from receiver.ports import Columns
from receiver.signals import Signal

_PART_ROWS = 24_576


class ColumnFlattener:
    """Makes rows of decoded columns. Threads: one call at a time."""

    def __init__(self, nested: NestedValues, connection: FlattenConnection | None = None) -> None:
        """Share the cache of nested values with the decoder."""
        self._nested = nested
        self._connection = connection or FlattenConnection()
        self._texts = TextBuilder()

    def flatten(self, columns: list[Columns]) -> dict[str, pa.Table]:
        """Return the rows by table name and empty the list; see the port."""
        try:
            return self._flatten(columns)
        except (
            ReceiverError,
            pa.ArrowException,
            duckdb.Error,
            ValueError,
            IndexError,
            OverflowError,
        ) as error:
            raise UnloadableRequestError(f"cannot be turned into rows: {error}") from error

    def close(self) -> None:
        """Free the connection."""
        self._connection.close()

    def _flatten(self, columns: list[Columns]) -> dict[str, pa.Table]:
        dimensions = Dimensions()
        texts = self._texts.begin()
        parts: dict[str, list[pa.Table]] = {}
        while columns:
            for name, table in self._part(_next_part(columns), dimensions).items():
                parts.setdefault(name, []).append(table)
        tables = {name: pa.concat_tables(some) for name, some in parts.items()} | dimensions.tables()
        distinct = texts.table()
        if distinct is not None:
            tables["texts"] = distinct
        return {name: table for name, table in tables.items() if len(table)}

    def _part(self, columns: RecordColumns, dimensions: Dimensions) -> dict[str, pa.Table]:
        if columns.signal is Signal.TRACES:
            return {"spans": flatten_spans(columns, self._connection, self._nested, dimensions, self._texts)}
        if columns.signal is Signal.LOGS:
            return {"logs": flatten_logs(columns, self._connection, self._nested, dimensions, self._texts)}
        return flatten_metrics(columns, self._connection, self._nested, dimensions)


def _next_part(columns: list[Columns]) -> RecordColumns:
    """Take the next columns of one signal out of the list, about ``_PART_ROWS`` rows of them, as one.

    Few rows are as dear as some thousand, and many cost memory twice: as columns and as rows.
    """
    signal = columns[0].signal
    taken: list[RecordColumns] = []
    rows = 0
    rest: list[Columns] = []
    for part in columns:
        if part.signal is signal and rows < _PART_ROWS:
            one = cast("RecordColumns", part)
            taken.append(one)
            rows += len(one.rows)
        else:
            rest.append(part)
    columns[:] = rest
    return concatenated(taken)
