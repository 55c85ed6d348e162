"""Columns of any mix of requests become tables with the store's columns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from receiver.config import LimitsConfig
from receiver.decode import flattener as flattener_module
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.flattener import ColumnFlattener
from receiver.decode.nested_values import NestedValues
from receiver.ports import Columns, ExportRequest
from receiver.signals import Signal
from tests.support.otlp_requests import log_request, metric_request, metrics, span_request
from tests.support.table_parts import rows_of


@pytest.fixture
def nested() -> NestedValues:
    """Return the cache that decoder and flattener share."""
    return NestedValues()


@pytest.fixture
def flattener(nested: NestedValues) -> Iterator[ColumnFlattener]:
    """Return a flattener."""
    flattener = ColumnFlattener(nested)
    yield flattener
    flattener.close()


def columns_of(nested: NestedValues, *requests: ExportRequest) -> list[Columns]:
    """Return the columns of requests, each decoded alone."""
    decoder = ColumnDecoder(LimitsConfig(), nested)
    return [columns for request in requests for columns in decoder.decode([request]).columns]


def test_mixed_signals_become_their_tables_and_the_list_is_emptied(
    nested: NestedValues, flattener: ColumnFlattener
) -> None:
    """Columns and rows do not both take up memory."""
    columns = columns_of(nested, span_request(0, 2), log_request(0), span_request(2), metric_request(0, 3))
    tables = rows_of(flattener.parts(columns))
    assert columns == []
    assert tables["spans"].column("name").to_pylist() == ["span 0", "span 1", "span 2"]
    assert len(tables["logs"]) == 1
    assert len(tables["metric_points"]) == 3
    assert all(len(table) for table in tables.values())
    assert rows_of(flattener.parts([])) == {}


def test_many_columns_flattened_in_parts_give_the_same_rows(
    nested: NestedValues, flattener: ColumnFlattener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many are taken at a time changes nothing."""
    requests = [span_request(n * 3, 3) for n in range(10)]
    whole = rows_of(flattener.parts(columns_of(nested, *requests)))
    monkeypatch.setattr(flattener_module, "_PART_ROWS", 4)
    parts = rows_of(flattener.parts(columns_of(nested, *requests)))
    assert parts["spans"].to_pylist() == whole["spans"].to_pylist()
    assert parts.keys() == whole.keys()
    for name in parts.keys() - {"spans"}:  # what the store holds once may be in several parts
        assert {str(row) for row in parts[name].to_pylist()} == {str(row) for row in whole[name].to_pylist()}


def test_an_id_of_a_metric_depends_on_where_one_text_ends(
    nested: NestedValues, flattener: ColumnFlattener
) -> None:
    """Two metrics whose texts only join to the same are two."""
    body = metrics(Metric(name="a\x1fb|", description="c"), Metric(name="a", description="\x1fb|c"))
    tables = rows_of(flattener.parts(columns_of(nested, ExportRequest(Signal.METRICS, body))))
    assert len(set(tables["metrics"].column("metric_id").to_pylist())) == 2
