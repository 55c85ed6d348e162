"""Both routes of decoding, side by side: for every request they must give the same verdicts and the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pytest

from receiver.config import LimitsConfig
from receiver.decode.compiled.library import compiled_library
from receiver.decode.compiled.request_columns import RequestColumns
from receiver.decode.flattener import ColumnFlattener
from receiver.decode.nested_values import NestedValues
from receiver.decode.routes import open_decoder, open_flattener
from receiver.decode.text_form import model_text, text_id
from receiver.ports import Columns, DecodedGroup, Decoder, ExportRequest, Verdict
from tests.support.table_parts import rows_of

NOT_BUILT = pytest.mark.skipif(compiled_library() is None, reason="the compiled decoder was not built")
_KEYED = {"resources": "resource_id", "scopes": "scope_id", "metrics": "metric_id", "texts": "text_id"}


def open_route(
    limits: LimitsConfig, nested: NestedValues, *, compiled: bool
) -> tuple[Decoder, ColumnFlattener]:
    """Return decoder and flattener of one route; the flattener is the caller's to close."""
    decoder = open_decoder(limits, nested, compiled=compiled)
    return decoder, open_flattener(nested) if compiled else ColumnFlattener(nested)


class DecodeRoutes:
    """The Python route and the compiled one with the same limits; one caller at a time."""

    def __init__(self, limits: LimitsConfig | None = None) -> None:
        """Use the default limits if none are given."""
        nested = NestedValues()
        self._python = open_route(limits or LimitsConfig(), nested, compiled=False)
        self._compiled = open_route(limits or LimitsConfig(), nested, compiled=True)

    def compare(self, requests: Sequence[ExportRequest]) -> int:
        """Decode and flatten a group on both routes; return how many requests the library took.

        Raises:
            AssertionError: Verdicts or rows differ.
        """
        return self.decode(requests)[2]

    def decode(self, requests: Sequence[ExportRequest]) -> tuple[DecodedGroup, dict[str, pa.Table], int]:
        """Do the same; return what the Python route made of it too: verdicts with columns, and tables."""
        expected = self._python[0].decode(requests)
        tables = rows_of(self._python[1].parts(list(expected.columns)))
        found = self._compiled[0].decode(requests)
        assert verdicts_of(found) == verdicts_of(expected)
        assert_same_rows(rows_of(self._compiled[1].parts(list(found.columns))), tables)
        return expected, tables, len(taken_bodies(found.columns))

    def close(self) -> None:
        """Free the flatteners' connections."""
        self._python[1].close()
        self._compiled[1].close()


def taken_bodies(columns: Sequence[Columns]) -> list[bytes]:
    """Return the requests that go from their bytes to rows in the library."""
    return [body for part in columns if isinstance(part, RequestColumns) for body in part.bodies]


def verdicts_of(decoded: DecodedGroup) -> list[object]:
    """Return the verdicts in a form in which they can be compared, errors included."""
    return [
        (verdict.records, verdict.outcome, verdict.identifiable, verdict.payload)
        if isinstance(verdict, Verdict)
        else (type(verdict), str(verdict), getattr(verdict, "hint", None))
        for verdict in decoded.verdicts
    ]


def assert_same_rows(found: Mapping[str, pa.Table], expected: Mapping[str, pa.Table]) -> None:
    """Return if the tables hold the same rows of the same types; order and repetitions do not count.

    Raises:
        AssertionError: They do not.
    """
    assert found.keys() == expected.keys()
    for name, table in expected.items():
        other = found[name]
        assert dict(zip(other.schema.names, other.schema.types, strict=True)) == dict(
            zip(table.schema.names, table.schema.types, strict=True)
        ), name
        other = other.select(table.schema.names)
        if other.equals(table):
            continue
        if name in _KEYED:
            assert _by_key(name, other) == _by_key(name, table), name
        else:
            # By repr, for which NaN is itself and 0.0 is not -0.0.
            rows = [sorted(other.to_pylist(), key=repr), sorted(table.to_pylist(), key=repr)]
            assert len(rows[0]) == len(rows[1]), name
            for one, wanted in zip(*rows, strict=True):
                differing = {
                    key: (one[key], wanted[key]) for key in one if repr(one[key]) != repr(wanted[key])
                }
                assert not differing, (name, differing)


def _by_key(name: str, table: pa.Table) -> dict[str, str]:
    """Return the rows by what identifies them; a row that is there twice says the same twice."""
    rows: dict[str, str] = {}
    for row in table.to_pylist():
        key = str(row[_KEYED[name]])
        if name == "texts":  # of texts with one form, which was first depends on how the rows were cut
            assert model_text(row.pop("text")) == row["model_text"]
            assert str(text_id(row["model_text"])) == key
        assert rows.setdefault(key, repr(row)) == repr(row)
    return rows
