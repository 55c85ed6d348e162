"""A flattener that is made when the first rows are wanted: implements ``receiver.ports.Flattener``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import open_flattener
from receiver.ports import Columns

if TYPE_CHECKING:
    import pyarrow as pa

    from receiver.decode.flattener import ColumnFlattener


class LateFlattener:
    """Keeps Arrow, NumPy and DuckDB, which come with a flattener, out of a start. Threads: one call at a time."""

    def __init__(self, nested: NestedValues) -> None:
        """Share the cache of nested values with the decoder; the rest is made with the first call of :meth:`parts`."""
        self._nested = nested
        self._made: ColumnFlattener | None = None

    def parts(self, columns: list[Columns]) -> Iterator[dict[str, pa.Table]]:
        """Yield the rows by table name, part by part, and empty the list; see the port."""
        self._made = self._made or open_flattener(self._nested)
        return self._made.parts(columns)

    def close(self) -> None:
        """Free what was made."""
        if self._made is not None:
            self._made.close()
