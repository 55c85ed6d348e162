"""The service's other questions: a trace as a tree, metrics in stretches, statistics, flush."""

from __future__ import annotations

import pytest

from receiver.config import QueryConfig
from receiver.errors import InvalidFilterError, NotFoundError, QueryError
from receiver.query.buckets import Aggregation
from receiver.query.service import QueryService
from receiver.questions import Filters, PipelineFigures
from receiver.store.duckdb_reader import DuckDbReader
from tests.support.store_rows import T0, S, StoreRows, WordEmbedder, index_of, trace


class RunningServer:
    """A pipeline that writes down what it was asked."""

    def __init__(self) -> None:
        """Start with nothing asked."""
        self.flushed: list[bool] = []

    async def flush(self, *, embeddings: bool) -> None:
        """Remember it."""
        self.flushed.append(embeddings)

    async def requeue(self) -> int:
        """Put nothing back: there is no quarantine here."""
        return 0

    async def figures(self) -> PipelineFigures:
        """Return some."""
        return PipelineFigures(spool={"requests": 3}, quarantine={"requests": 1})


def service_of(rows: StoreRows, reader: DuckDbReader, pipeline: RunningServer | None = None) -> QueryService:
    """Return a service."""
    return QueryService(
        reader,
        embedder=WordEmbedder(),
        index=index_of(rows),
        config=QueryConfig(),
        prepare=str,
        pipeline=pipeline,
    )


async def test_a_trace_is_a_tree_with_its_log_records_in_place(rows: StoreRows, reader: DuckDbReader) -> None:
    """A log of a span stands in it, a log of an unknown span in the trace."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop)
    rows.span(trace(1), 2, parent=1, resource_id=shop, status=2, start=T0 + 1)
    rows.log("in the child", resource_id=shop, trace_id=trace(1), span_id=2)
    rows.log("of no span here", resource_id=shop, trace_id=trace(1), span_id=77)
    found = await service_of(rows, reader).trace(trace(1))
    (root,) = found["roots"]
    assert [log["body"] for log in root["children"][0]["logs"]] == ["in the child"]
    assert [log["body"] for log in found["logs"]] == ["of no span here"]
    assert (found["span_count"], found["log_count"], found["error_count"], found["depth"]) == (2, 2, 1, 1)


async def test_a_trace_of_log_records_only_is_found(rows: StoreRows, reader: DuckDbReader) -> None:
    """Logs may arrive before, or without, their spans."""
    rows.log("alone", resource_id=rows.resource("shop"), trace_id=trace(1), span_id=1)
    found = await service_of(rows, reader).trace(trace(1))
    assert (found["roots"], [log["body"] for log in found["logs"]]) == ([], ["alone"])


async def test_an_unknown_trace_is_not_found(rows: StoreRows, reader: DuckDbReader) -> None:
    """The message names it."""
    with pytest.raises(NotFoundError, match=trace(5).hex):
        await service_of(rows, reader).trace(trace(5))


async def test_a_cumulative_metric_is_measured_per_series(rows: StoreRows, reader: DuckDbReader) -> None:
    """Two series are never mixed; increases in the range are measured from the point before it."""
    minute = 60 * S
    start = T0 // minute * minute
    metric = rows.metric("hits", "sum", resource_id=rows.resource("shop"), temporality=2, monotonic=True)
    for place, (left, right) in enumerate([(10, 1000), (15, 1001), (5, 1004)]):
        rows.number(metric, start + place * minute, left, attributes='{"path":"/a"}')
        rows.number(metric, start + place * minute, right, attributes='{"path":"/b"}')
    service = service_of(rows, reader)
    found = await service.metric_points("hits", Filters(since_ns=start + minute))
    assert [
        (each["attributes"], [point["value"] for point in each["points"]]) for each in found["series"]
    ] == [
        ({"path": "/a"}, [5, 5]),
        ({"path": "/b"}, [1, 3]),
    ]
    rate = await service.metric_points(
        "hits", Filters(attributes={"path": "/a"}), aggregation=Aggregation.RATE
    )
    assert rate["series"][0]["points"][0]["value"] == pytest.approx(5 / 60)


async def test_every_kind_of_point_is_read(rows: StoreRows, reader: DuckDbReader) -> None:
    """Histograms of both kinds and summaries come with their figures."""
    shop = rows.resource("shop")
    common = {
        "attributes": "{}",
        "start_time_unix_nano": 0,
        "time_unix_nano": T0,
        "flags": 0,
        "count": 4,
        "sum": 6.0,
    }
    ends = {"min": 1.0, "max": 2.0, "exemplars": []}
    rows.insert(
        "histogram_points",
        metric_id=rows.metric("h", "histogram", resource_id=shop, temporality=1),
        bucket_counts=[0, 4, 0],
        explicit_bounds=[1.0, 2.0],
        **common,
        **ends,
    )
    rows.insert(
        "exponential_histogram_points",
        metric_id=rows.metric("e", "exponential_histogram", resource_id=shop, temporality=1),
        scale=0,
        zero_count=0,
        zero_threshold=0.0,
        positive_offset=0,
        positive_bucket_counts=[4],
        negative_offset=0,
        negative_bucket_counts=[],
        **common,
        **ends,
    )
    rows.insert(
        "summary_points",
        metric_id=rows.metric("s", "summary", resource_id=shop),
        quantile_values=[{"quantile": 0.5, "value": 1.5}],
        **common,
    )
    service = service_of(rows, reader)
    for name in ("h", "e"):
        (point,) = (await service.metric_points(name))["series"][0]["points"]
        assert (point["count"], point["avg"], point["p50"], point["max"]) == (4, 1.5, pytest.approx(1.5), 2)
    (point,) = (await service.metric_points("s"))["series"][0]["points"]
    assert (point["value"], point["quantiles"]) == (1.5, {"0.5": 1.5})
    assert [row["name"] for row in await service.metric_names()] == ["e", "h", "s"]


async def test_an_unknown_metric_is_not_found_and_a_step_is_positive(
    rows: StoreRows, reader: DuckDbReader
) -> None:
    """A metric without points is known all the same."""
    service = service_of(rows, reader)
    with pytest.raises(NotFoundError):
        await service.metric_points("nothing")
    rows.metric("empty", "gauge", resource_id=rows.resource("shop"))
    assert (await service.metric_points("empty"))["series"] == []
    with pytest.raises(InvalidFilterError):
        await service.metric_points("empty", step_s=0)


async def test_statistics_hold_store_texts_and_the_running_server(
    rows: StoreRows, reader: DuckDbReader
) -> None:
    """One answer, all counts."""
    rows.span(trace(1), 1, resource_id=rows.resource("shop"), text="a", embedded=False)
    found = await service_of(rows, reader, RunningServer()).stats()
    assert found["records"] == {"spans": 1, "metric_points": 0, "log_records": 0}
    assert found["services"] == {"shop": {"spans": 1, "metric_points": 0, "log_records": 0}}
    assert (found["embedding"]["pending"], found["embedding"]["embedded"]) == (1, 0)
    assert (found["spool"], found["quarantine"]) == ({"requests": 3}, {"requests": 1})


async def test_a_flush_is_handed_to_the_running_server(rows: StoreRows, reader: DuckDbReader) -> None:
    """Without a server there is nothing to flush, and that is said."""
    server = RunningServer()
    await service_of(rows, reader, server).flush(embeddings=True)
    assert server.flushed == [True]
    with pytest.raises(QueryError, match="no running server"):
        await service_of(rows, reader).flush()
