"""Columns of any mix of requests to tables with the store's columns: implements ``receiver.ports.Flattener``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import duckdb
import pyarrow as pa

from receiver.decode.attribute_lists import FlattenConnection
from receiver.decode.compiled.library import CompiledRequests
from receiver.decode.compiled.request_columns import RequestColumns
from receiver.decode.compiled.rows import CompiledFlattener
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
_PART_BYTES = 16 << 20
"""Of requests that are opened in one call; what they become stays far below the 2 GiB of an Arrow column."""
_ROW_BYTES = 256
"""A record counts as so many at least: as a row even an empty one takes nearly as much."""


class ColumnFlattener:
    """Makes rows of decoded columns. Threads: one call at a time."""

    def __init__(
        self,
        nested: NestedValues,
        connection: FlattenConnection | None = None,
        *,
        compiled: CompiledRequests | None = None,
    ) -> None:
        """Share the cache of nested values with the decoder.

        Args:
            nested: The cache.
            connection: What computes JSON of values; None opens one.
            compiled: What opens requests that a ``ScanningDecoder`` took; None where there is none.
        """
        self._nested = nested
        self._connection = connection or FlattenConnection()
        self._texts = TextBuilder()
        self._scanned: CompiledFlattener | None = None
        if compiled is not None:
            self._scanned = CompiledFlattener(compiled, self._connection, nested)

    def parts(self, columns: list[Columns]) -> Iterator[dict[str, pa.Table]]:
        """Yield the rows by table name, part by part, and empty the list; see the port."""
        while columns:
            dimensions = Dimensions()
            texts = self._texts.begin()
            try:
                tables = self._next_tables(columns, dimensions) | dimensions.tables()
            except (
                ReceiverError,
                pa.ArrowException,
                duckdb.Error,
                ValueError,
                IndexError,
                OverflowError,
            ) as error:
                raise UnloadableRequestError(f"cannot be turned into rows: {error}") from error
            distinct = texts.table()
            if distinct is not None:
                tables["texts"] = distinct
            yield {name: table for name, table in tables.items() if len(table)}

    def close(self) -> None:
        """Free the connection."""
        self._connection.close()

    def _next_tables(self, columns: list[Columns], dimensions: Dimensions) -> dict[str, pa.Table]:
        """Take the next columns of one signal and kind out of the list and return their rows."""
        first = columns[0]
        if isinstance(first, RequestColumns) and self._scanned is not None:
            scanned = _take(columns, RequestColumns, first.signal, _bytes_as_rows, _PART_BYTES)
            bodies = [body for one in scanned for body in one.bodies]
            return self._scanned.flatten(first.signal, bodies, dimensions)
        decoded = _take(columns, RecordColumns, first.signal, lambda one: len(one.rows), _PART_ROWS)
        return self._part(concatenated(decoded), dimensions)

    def _part(self, columns: RecordColumns, dimensions: Dimensions) -> dict[str, pa.Table]:
        if columns.signal is Signal.TRACES:
            return {"spans": flatten_spans(columns, self._connection, self._nested, dimensions, self._texts)}
        if columns.signal is Signal.LOGS:
            return {"logs": flatten_logs(columns, self._connection, self._nested, dimensions, self._texts)}
        return flatten_metrics(columns, self._connection, self._nested, dimensions)


def _bytes_as_rows(requests: RequestColumns) -> int:
    return max(requests.nbytes, _ROW_BYTES * requests.records)


_Kind = TypeVar("_Kind", RequestColumns, RecordColumns)


def _take(
    columns: list[Columns], kind: type[_Kind], signal: Signal, size: Callable[[_Kind], int], most: int
) -> list[_Kind]:
    """Take the next columns of one kind and signal out of the list, until their sizes reach ``most``.

    Few rows are as dear as some thousand, and many cost memory twice: as columns and as rows.
    """
    taken: list[_Kind] = []
    total = 0
    rest: list[Columns] = []
    for part in columns:
        if isinstance(part, kind) and part.signal is signal and total < most:
            taken.append(part)
            total += size(part)
        else:
            rest.append(part)
    columns[:] = rest
    return taken
