"""Columns of any mix of requests to tables with the store's columns: implements ``receiver.ports.Flattener``."""

from __future__ import annotations

from collections.abc import Sequence
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


class ColumnFlattener:
    """Makes rows of decoded columns. Threads: one call at a time."""

    def __init__(self, nested: NestedValues, connection: FlattenConnection | None = None) -> None:
        """Share the cache of nested values with the decoder."""
        self._nested = nested
        self._connection = connection or FlattenConnection()
        self._texts = TextBuilder()

    def flatten(self, columns: Sequence[Columns]) -> dict[str, pa.Table]:
        """Return the rows by table name; see the port."""
        try:
            return self._flatten([cast("RecordColumns", c) for c in columns])
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

    def _flatten(self, columns: list[RecordColumns]) -> dict[str, pa.Table]:
        dimensions = Dimensions()
        texts = self._texts.begin()
        tables: dict[str, pa.Table] = {}
        for signal in Signal:
            parts = [c for c in columns if c.signal is signal]
            if not parts:
                continue
            one = concatenated(parts)
            if signal is Signal.TRACES:
                tables["spans"] = flatten_spans(one, self._connection, self._nested, dimensions, self._texts)
            elif signal is Signal.LOGS:
                tables["logs"] = flatten_logs(one, self._connection, self._nested, dimensions, self._texts)
            else:
                tables |= flatten_metrics(one, self._connection, self._nested, dimensions)
        tables |= dimensions.tables()
        distinct = texts.table()
        if distinct is not None:
            tables["texts"] = distinct
        return {name: table for name, table in tables.items() if len(table)}
