"""Records come back as they were stored: ids in hex, times exact, types kept, nothing twice."""

from __future__ import annotations

import asyncio

from receiver.questions import Filters, MetricQuestion
from receiver.signals import Signal
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.row_tables import POINT_TABLES
from tests.support.store_rows import DIMENSION, MODEL, MS, T0, S, StoreRows, identity, trace


async def test_a_span_comes_back_field_for_field(rows: StoreRows, reader: DuckDbReader) -> None:
    """Ids are lower-case hex, integers above 2^53 stay integers, events and links are values."""
    shop = rows.resource("shop", big=2**63 - 1)
    rows.span(
        trace(0xAB),
        0x1F,
        parent=2**64 - 1,
        resource_id=shop,
        kind=7,
        attributes='{"big":9007199254740993,"half":0.5,"raw":{"@bytes":"AAE="}}',
        events=[
            {
                "time_unix_nano": T0 + 1,
                "name": "exception",
                "attributes": '{"k":1}',
                "dropped_attributes_count": 2,
            }
        ],
        links=[
            {
                "trace_id": "aa",
                "span_id": "bb",
                "trace_state": "s",
                "attributes": "{}",
                "dropped_attributes_count": 0,
                "flags": 3,
            }
        ],
    )
    found = await reader.trace(trace(0xAB), limit=10)
    (span,) = found.spans
    assert span["trace_id"] == trace(0xAB).hex
    assert (span["span_id"], span["parent_span_id"]) == ("000000000000001f", "f" * 16)
    assert span["attributes"] == {"big": 9007199254740993, "half": 0.5, "raw": {"@bytes": "AAE="}}
    assert isinstance(span["attributes"]["big"], int)
    assert (span["kind"], span["status"]) == (7, "unset")
    assert (span["time_unix_nano"], span["time"]) == (str(T0), "2026-09-21T14:13:20.000000000Z")
    assert span["duration_ms"] == 5
    assert span["events"][0]["time"] == "2026-09-21T14:13:20.000000001Z"
    assert (span["events"][0]["attributes"], span["links"][0]["flags"]) == ({"k": 1}, 3)
    assert found.resources[span["resource_id"]]["attributes"]["big"] == 2**63 - 1
    assert found.scopes[span["scope_id"]]["name"] == "tests"


async def test_extreme_times_are_shown_exactly_and_have_no_date(
    rows: StoreRows, reader: DuckDbReader
) -> None:
    """2^64-1 is a decimal string and no date; an end before the start has no duration."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, start=2**64 - 1, end=0)
    rows.span(trace(1), 2, resource_id=shop, start=0, end=2**63 - 1)
    found = {span["span_id"][-1]: span for span in (await reader.trace(trace(1), limit=10)).spans}
    assert (found["1"]["time_unix_nano"], found["1"]["time"]) == (str(2**64 - 1), None)
    assert found["1"]["duration_ms"] is None
    assert found["2"]["time"] == "1970-01-01T00:00:00.000000000Z"
    assert (found["2"]["end_time"], found["2"]["duration_ms"]) == (None, None)


async def test_a_copied_dimension_row_doubles_nothing(rows: StoreRows, reader: DuckDbReader) -> None:
    """Resources, scopes and metrics may stand there twice after a crash."""
    shop = rows.resource("shop")
    assert rows.resource("shop") == shop
    rows.scope()
    rows.span(trace(1), 1, resource_id=shop, text="work done")
    rows.log("a line", resource_id=shop)
    metric = rows.metric("queue", "gauge", resource_id=shop)
    rows.metric("queue", "gauge", resource_id=shop)
    rows.number(metric, T0, 3)
    assert len((await reader.trace(trace(1), limit=10)).spans) == 1
    assert len(await reader.logs(Filters(), 10)) == 1
    (name,) = await reader.metric_names(Filters(), 10)
    assert (name["points"], name["services"]) == (1, ["shop"])
    assert len((await reader.metric_points(MetricQuestion("queue"))).points) == 1
    (service,) = await reader.services()
    assert [service[signal.records] for signal in Signal] == [1, 1, 1]


async def test_a_trace_is_cut_at_its_limit_and_says_so(rows: StoreRows, reader: DuckDbReader) -> None:
    """The earliest records are kept."""
    shop = rows.resource("shop")
    for number in range(5):
        rows.span(trace(1), number, resource_id=shop, start=T0 + 5 - number)
    found = await reader.trace(trace(1), limit=3)
    assert [int(span["span_id"], 16) for span in found.spans] == [4, 3, 2]
    assert found.truncated


async def test_traces_are_summed_up_newest_first(rows: StoreRows, reader: DuckDbReader) -> None:
    """Name and service are the root's; duration reaches from the first start to the last end."""
    shop, bank = rows.resource("shop"), rows.resource("bank")
    rows.span(trace(1), 1, resource_id=shop, name="GET /cart", end=T0 + 20 * MS)
    rows.span(
        trace(1), 2, parent=1, resource_id=bank, start=T0 - MS, end=T0 + 50 * MS, status=2, name="charge"
    )
    rows.span(trace(2), 9, parent=8, resource_id=bank, start=T0 + S, name="late")
    newest, oldest = await reader.traces(Filters(), 10)
    assert (newest["name"], newest["root_is_missing"]) == ("late", True)
    assert (oldest["name"], oldest["service"], oldest["services"]) == ("GET /cart", "shop", ["bank", "shop"])
    assert (oldest["span_count"], oldest["error_count"], oldest["status"]) == (2, 1, "error")
    assert oldest["duration_ms"] == 51


async def test_the_newest_traces_are_found_behind_one_with_many_spans(
    rows: StoreRows, reader: DuckDbReader
) -> None:
    """The look for the newest is widened until there are enough."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop)
    rows.connection.execute(
        "INSERT INTO spans SELECT s.* REPLACE (?::UUID AS trace_id, i AS span_id, ?::UBIGINT + i AS start_time_unix_nano)"
        " FROM spans s, range(600) t(i)",
        [trace(2), T0 + S],
    )
    found = await reader.traces(Filters(), 2)
    assert [row["span_count"] for row in found] == [600, 1]


async def test_counts_are_exact_per_signal_and_service(rows: StoreRows, reader: DuckDbReader) -> None:
    """Records without a service count under the empty name; totals are the stored ones."""
    shop, nobody = rows.resource("shop"), rows.resource(None)
    rows.span(trace(1), 1, resource_id=shop)
    rows.span(trace(2), 1, resource_id=nobody)
    rows.log("a", resource_id=shop)
    metric = rows.metric("m", "gauge", resource_id=shop)
    rows.metric("empty", "gauge", resource_id=shop)
    for place in range(3):
        rows.number(metric, T0 + place, 1)
    rows.connection.execute("UPDATE record_totals SET stored = 7, retired = 5 WHERE signal = 'traces'")
    counts = await reader.record_counts()
    assert counts.records == {Signal.TRACES: 2, Signal.METRICS: 3, Signal.LOGS: 1}
    assert counts.by_service["shop"] == {Signal.TRACES: 1, Signal.METRICS: 3, Signal.LOGS: 1}
    assert counts.by_service[""] == {Signal.TRACES: 1, Signal.METRICS: 0, Signal.LOGS: 0}
    assert (counts.stored[Signal.TRACES], counts.retired[Signal.TRACES]) == (7, 5)
    rows.connection.execute("CHECKPOINT")
    assert (await reader.record_counts()).database["bytes"] > 0


async def test_totals_are_known_without_a_look_at_any_record(rows: StoreRows, reader: DuckDbReader) -> None:
    """So a scrape costs the same however much is stored: here no record could be looked at."""
    rows.connection.execute("UPDATE record_totals SET stored = 7 WHERE signal = 'traces'")
    for table in ("spans", "logs", *POINT_TABLES):
        rows.connection.execute(f"DROP TABLE {table} CASCADE")
    assert await reader.stored_totals() == {Signal.TRACES: 7, Signal.METRICS: 0, Signal.LOGS: 0}


async def test_texts_without_a_vector_of_the_model_are_pending(rows: StoreRows, reader: DuckDbReader) -> None:
    """A vector of another model does not count; a copied text is one text."""
    rows.text("ready")
    rows.text("waits", embedded=False)
    rows.insert("texts", text_id=identity("textwaits"), text="waits", model_text="waits")
    assert [text.model_text for text in await reader.pending_texts(MODEL, 10)] == ["waits"]
    assert await reader.count_texts(MODEL) == (1, 1)
    assert await reader.count_texts("other") == (0, 2)
    assert len(await reader.pending_texts("other", 1)) == 1


async def test_vectors_come_in_batches_of_columns(rows: StoreRows, reader: DuckDbReader) -> None:
    """Every vector is in exactly one batch, with its text and chunk."""
    for number in range(5):
        rows.text(f"text {number}")
    rows.insert("embeddings", text_id=identity("texttext 0"), chunk=1, model=MODEL, vector=[1.0] * DIMENSION)
    batches = await asyncio.to_thread(lambda: list(reader.vectors(MODEL, batch_rows=2)))
    assert sum(len(batch.text_ids) for batch in batches) == 6
    assert all(batch.vectors.shape == (len(batch.text_ids), DIMENSION) for batch in batches)
    chunks = {
        (text_id, int(chunk))
        for batch in batches
        for text_id, chunk in zip(batch.text_ids, batch.chunks, strict=True)
    }
    assert (identity("texttext 0"), 1) in chunks
    assert await asyncio.to_thread(lambda: list(reader.vectors("nobody"))) == []


async def test_points_before_the_range_are_given_once_per_series(
    rows: StoreRows, reader: DuckDbReader
) -> None:
    """Of each series the last point before the range is there, so that increases can be measured."""
    metric = rows.metric("hits", "sum", resource_id=rows.resource("shop"), temporality=2, monotonic=True)
    for place in range(4):
        rows.number(metric, T0 + place * S, place, attributes='{"a":1}')
        rows.number(metric, T0 + place * S, place * 10, attributes='{"a":2}')
    found = await reader.metric_points(MetricQuestion("hits", Filters(since_ns=T0 + 2 * S)))
    assert [point.value for point in found.points if "1" in point.attributes] == [1, 2, 3]
    assert [point.value for point in found.points if "2" in point.attributes] == [10, 20, 30]
    one = await reader.metric_points(MetricQuestion("hits", Filters(attributes={"a": 2})))
    assert [point.value for point in one.points] == [0, 10, 20, 30]
    cut = await reader.metric_points(MetricQuestion("hits", limit=3))
    assert (len(cut.points), cut.truncated) == (3, True)
