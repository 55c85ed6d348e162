"""Flat columns know which request, resource and scope each record came in."""

from __future__ import annotations

import pyarrow as pa

from receiver.app.figures import resident_bytes
from receiver.config import LimitsConfig
from receiver.decode.decoder import ColumnDecoder
from receiver.decode.nested_values import NestedValues
from receiver.decode.record_columns import concatenated, from_nested, lengths, parents
from receiver.decode.wire_columns import nested_requests
from receiver.ports import ExportRequest
from receiver.signals import Signal
from tests.support.otlp_requests import make_gauge, make_span, metrics, traces


def test_parents_and_lengths_count_null_lists_as_empty() -> None:
    """A list that is not there has no elements."""
    lists = pa.array([[1, 2], None, [], [3]])
    assert lengths(lists).tolist() == [2, 0, 0, 1]
    assert parents(lists).tolist() == [0, 0, 3]


def test_a_slice_of_lists_counts_from_its_own_first() -> None:
    """Offsets of a slice do not begin at 0."""
    lists = pa.array([[1], [2, 3], [4]]).slice(1)
    assert lengths(lists).tolist() == [2, 1]
    assert parents(lists).tolist() == [0, 0, 1]


def test_records_are_found_in_their_request_also_behind_empty_ones() -> None:
    """Requests without records take up a place and nothing else."""
    bodies = [traces(make_span(0)), b"", traces(), traces(make_span(1), make_span(2))]
    columns = from_nested(Signal.TRACES, nested_requests(Signal.TRACES, bodies))
    assert columns.request_of_rows().tolist() == [0, 3, 3]
    assert columns.records == 3
    assert columns.nbytes > 0


def test_records_of_metrics_are_points() -> None:
    """A metric without points counts none."""
    body = metrics(make_gauge(0, points=3), make_gauge(1, points=0))
    columns = from_nested(Signal.METRICS, nested_requests(Signal.METRICS, [body]))
    assert columns.records == 3
    assert len(columns.rows) == 2


def test_joined_columns_keep_records_with_their_resources() -> None:
    """The second part's scopes and resources lie behind those of the first."""
    parts = [
        from_nested(Signal.TRACES, nested_requests(Signal.TRACES, [traces(make_span(n), service=f"s{n}")]))
        for n in range(3)
    ]
    joined = concatenated(parts)
    assert joined.rows.field("name").to_pylist() == ["span 0", "span 1", "span 2"]
    resources = joined.resources.take(pa.array(joined.resource_of[joined.scope_of])).to_pylist()
    assert [b"s%d" % n in data for n, data in enumerate(resources)] == [True] * 3
    assert concatenated(parts[:1]) is parts[0]


def test_small_requests_that_are_kept_take_little_more_than_they_say() -> None:
    """A stalled store leaves many of them in memory, and only what they say bounds them."""
    decoder = ColumnDecoder(LimitsConfig(), NestedValues())
    request = ExportRequest(Signal.METRICS, metrics(make_gauge(0, points=3)))
    decoder.decode([request])
    before = resident_bytes()
    kept = [columns for _ in range(100) for columns in decoder.decode([request]).columns]
    assert resident_bytes() - before < 4 * sum(columns.nbytes for columns in kept)
