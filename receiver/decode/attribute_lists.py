"""Lists of key-values as columns: their JSON text, and the values of single keys.

The JSON of every value is made by DuckDB on flat columns (about 1.2 µs for the 8 attributes of a span, the
GIL released) and joined by Arrow. Keys are dictionary-encoded once: escaping, doubled keys and look-ups
then work on small integers. The format is that of ``receiver.decode.attributes_json``; a property test compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import Index, lengths, parents

_VALUE_SQL = {
    "string_value": "to_json(s)::VARCHAR",
    "int_value": "i::VARCHAR",
    "bool_value": "b::VARCHAR",
    "double_value": (
        'CASE WHEN isfinite(d) THEN d::VARCHAR WHEN isnan(d) THEN \'{"@double":"NaN"}\' '
        'WHEN d > 0 THEN \'{"@double":"Infinity"}\' WHEN d < 0 THEN \'{"@double":"-Infinity"}\' END'
    ),
    "bytes_value": "'{\"@bytes\":\"' || base64(y) || '\"}'",
}
_SHORT = {"string_value": "s", "int_value": "i", "bool_value": "b", "double_value": "d", "bytes_value": "y"}
_EMPTY = '{"@empty":true}'
_HEX_LETTERS = r"[\x0b\x0e\x0f\x1a-\x1f]"
"""What DuckDB escapes with capitals and everything else here without."""
_MANY_KEYS = 512


class FlattenConnection:
    """An in-memory DuckDB that only computes expressions. Threads: one call at a time."""

    def __init__(self, *, threads: int = 1, memory_limit_bytes: int = 256 << 20) -> None:
        """Note its own bounds, with which it never competes for the store's memory.

        It is opened with the first expression: that takes 24 ms, which nobody who starts should wait for.
        """
        self._config: dict[str, bool | int | float | str | list[str]] = {
            "threads": threads, "memory_limit": f"{memory_limit_bytes}B", "temp_directory": ""
        }  # fmt: skip
        self._connection: duckdb.DuckDBPyConnection | None = None

    def evaluate(self, expression: str, columns: dict[str, pa.Array]) -> pa.Array:
        """Return one value of the SQL expression per row of the columns."""
        if self._connection is None:
            self._connection = duckdb.connect(config=self._config)
        connection = self._connection
        connection.register("input", pa.table(columns))
        try:
            result = connection.sql(f"SELECT {expression} AS result FROM input").to_arrow_table()
        finally:
            connection.unregister("input")
        return result.column("result").combine_chunks()

    def close(self) -> None:
        """Free the database, if it was needed."""
        if self._connection is not None:
            self._connection.close()


def value_json(values: pa.StructArray, connection: FlattenConnection, nested: NestedValues) -> pa.StringArray:
    """Return the JSON text of each AnyValue; ``{"@empty":true}`` where none is set or there is no value."""
    fields = {name: child for name, child in _children(values).items() if child.null_count < len(child)}
    columns = {_SHORT[name]: fields[name] for name in _VALUE_SQL if name in fields}
    terms = [_VALUE_SQL[name] for name in _VALUE_SQL if name in fields]
    if "s" in columns and pc.any(pc.match_substring_regex(columns["s"], _HEX_LETTERS)).as_py():
        encoded = columns["s"].dictionary_encode()
        json = [orjson.dumps(text).decode() for text in encoded.dictionary.to_pylist()]
        columns["s"] = pa.array(json, pa.string()).take(encoded.indices)
        terms[0] = "s"
    texts = _nested_texts(fields, nested)
    if texts is not None:
        columns["n"] = texts
        terms.append("n")
    if not terms:
        return pa.array([_EMPTY], pa.string()).take(pa.array(np.zeros(len(values), dtype=np.int64)))
    return connection.evaluate(f"coalesce({', '.join(terms)}, '{_EMPTY}')", columns)


def _children(values: pa.StructArray) -> dict[str, pa.Array]:
    return dict(zip((f.name for f in values.type), values.flatten(), strict=True))


def _nested_texts(fields: dict[str, pa.Array], nested: NestedValues) -> pa.StringArray | None:
    """Return the JSON text of the rows that hold an array or a key-value list, null elsewhere."""
    texts = None
    if "array_value" in fields:
        encoded = fields["array_value"].dictionary_encode()
        json = [nested.value(data.as_py(), "array").json for data in encoded.dictionary]
        texts = pa.array(json, pa.string()).take(encoded.indices)
    if "kvlist_value" in fields:
        encoded = fields["kvlist_value"].dictionary_encode()
        json = [nested.value(data.as_py(), "kvlist").json for data in encoded.dictionary]
        more = pa.array(json, pa.string()).take(encoded.indices)
        texts = more if texts is None else pc.coalesce(texts, more)
    return texts


class AttributeLists:
    """One list of key-values per row, as they came off the wire."""

    def __init__(self, lists: pa.ListArray, connection: FlattenConnection, nested: NestedValues) -> None:
        """Wrap the lists; nothing is computed yet."""
        self._lists = lists
        self._pairs = lists.flatten()
        self._connection = connection
        self._nested = nested

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._lists)

    @cached_property
    def row_of(self) -> Index:
        """Attribute → row."""
        return parents(self._lists)

    @cached_property
    def _keys(self) -> pa.DictionaryArray:
        return self._pairs.field("key").dictionary_encode()

    @cached_property
    def codes(self) -> NDArray[np.int32]:
        """Attribute → place of its key in ``key_names``."""
        return self._keys.indices.to_numpy()

    @cached_property
    def key_names(self) -> list[str]:
        """The distinct keys."""
        return self._keys.dictionary.to_pylist()

    @cached_property
    def values(self) -> pa.StructArray:
        """The AnyValue of each attribute."""
        return self._pairs.field("value")

    @cached_property
    def value_texts(self) -> pa.StringArray:
        """The JSON text of each attribute's value."""
        return value_json(self.values, self._connection, self._nested)

    def json(self) -> pa.StringArray:
        """Return the JSON object of each row."""
        if not len(self._pairs):
            return pa.array(["{}"], pa.string()).take(pa.array(np.zeros(len(self), dtype=np.int64)))
        prefixes = [json_key(name) + ":" for name in self.key_names]
        parts = pc.binary_join_element_wise(
            pa.array(prefixes, pa.string()).take(self._keys.indices), self.value_texts, ""
        )
        offsets = np.concatenate([[0], np.cumsum(lengths(self._lists))]).astype(np.int32)
        joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), parts), ",")
        objects = pc.binary_join_element_wise("{", joined, "}", "")
        doubled = self._rows_with_doubled_keys()
        return self._with_duplicates(objects, doubled, offsets) if len(doubled) else objects

    def strings(self, key: str) -> pa.StringArray | None:
        """Return the string value of ``key`` in each row, null where it has none; None if no row has the key."""
        return self._column(key, "string_value")

    def integers(self, key: str) -> pa.Int64Array | None:
        """Return the integer value of ``key`` in each row; otherwise like :meth:`strings`."""
        return self._column(key, "int_value")

    def texts(self, key: str) -> pa.StringArray | None:
        """Return the value of ``key`` as text: a string as it is, anything else as its JSON."""
        places = self._places(key)
        if places is None:
            return None
        strings = self.values.field("string_value").take(places)
        return pc.coalesce(strings, self.value_texts.take(places))

    def _column(self, key: str, member: str) -> pa.Array | None:
        places = self._places(key)
        return None if places is None else self.values.field(member).take(places)

    def _places(self, key: str) -> pa.Array | None:
        """Return for each row where its attribute ``key`` stands (the last one, should it be doubled)."""
        try:
            code = self.key_names.index(key)
        except ValueError:
            return None
        found = np.flatnonzero(self.codes == code)
        places = np.full(len(self), -1, dtype=np.int64)
        places[self.row_of[found]] = found
        return pa.array(places, mask=places < 0)

    def _rows_with_doubled_keys(self) -> NDArray[np.int64]:
        """Return the rows in which a key occurs more than once.

        A key is a bit of a 64-bit word: a sum of distinct bits equals their union. Keys beyond 64 go in
        further words; where there are very many, sorting is cheaper than a pass for each word.
        """
        if len(self.key_names) > _MANY_KEYS:
            pairs = np.sort(self.row_of.astype(np.int64) * len(self.key_names) + self.codes)
            return np.unique(pairs[1:][pairs[1:] == pairs[:-1]] // len(self.key_names))
        counts = lengths(self._lists)
        filled = np.flatnonzero(counts > 0)
        if not len(filled):
            return filled
        starts = np.cumsum(counts) - counts
        doubled = np.zeros(len(filled), dtype=np.bool_)
        for word in range(0, len(self.key_names), 62):
            inside = (self.codes >= word) & (self.codes < word + 62)
            bits = np.where(inside, np.left_shift(np.int64(1), (self.codes - word) % 62), 0)
            total = np.concatenate([[0], np.cumsum(inside)])
            ones = np.bitwise_or.reduceat(np.append(bits, 0), starts[filled])  # empty rows add nothing
            ends = starts[filled] + counts[filled]
            doubled |= np.bitwise_count(ones) != total[ends] - total[starts[filled]]
        return filled[doubled]

    def _with_duplicates(
        self, objects: pa.StringArray, rows: NDArray[np.int64], offsets: NDArray[np.int32]
    ) -> pa.StringArray:
        result = objects.to_pylist()
        for row in rows.tolist():
            places = range(offsets[row], offsets[row + 1])
            pairs = [(json_key(self.key_names[self.codes[p]]), self.value_texts[p].as_py()) for p in places]
            result[row] = object_json(pairs)
        return pa.array(result, pa.string())


def json_key(name: str) -> str:
    """Return an attribute key as a JSON string; a leading @ is doubled."""
    return orjson.dumps("@" + name if name.startswith("@") else name).decode()


def object_json(pairs: Sequence[tuple[str, str]]) -> str:
    """Return a JSON object of encoded keys and values: the last of a doubled key wins, the others are kept."""
    last = {key: place for place, (key, _) in enumerate(pairs)}
    kept = [f"{key}:{value}" for place, (key, value) in enumerate(pairs) if last[key] == place]
    earlier = [f"{{{key}:{value}}}" for place, (key, value) in enumerate(pairs) if last[key] != place]
    if earlier:
        kept.append(f'"@duplicates":[{",".join(earlier)}]')
    return "{" + ",".join(kept) + "}"
