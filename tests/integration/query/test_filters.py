"""Each filter lets through what it says and nothing else, for spans and for log records."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from receiver.questions import Filters, Status
from receiver.signals import Signal
from receiver.store.duckdb_reader import DuckDbReader
from receiver.store.read_filters import HOT_COLUMNS
from tests.support.store_rows import MS, T0, S, StoreRows, trace


async def passing(reader: DuckDbReader, filters: Filters) -> set[int]:
    """Return the numbers of the traces that pass."""
    return {UUID(row["trace_id"]).int & 0xFFFF for row in await reader.traces(filters, 100)}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), {1, 2, 3}),
        (Filters(service="shop"), {1, 3}),
        (Filters(service="shop' OR 1=1 --"), set()),
        (Filters(since_ns=T0 + S), {2, 3}),
        (Filters(until_ns=T0 + S), {1}),
        (Filters(since_ns=T0 + S, until_ns=T0 + 2 * S), {2}),
        (Filters(until_ns=2**64 - 1), {1, 2, 3}),
        (Filters(status=Status.ERROR), {2}),
        (Filters(status=Status.OK), {3}),
        (Filters(min_duration_ns=50 * MS), {2}),
        (Filters(name="checkout"), {2}),
        (Filters(text="CHECK"), {2}),
        (Filters(signal=Signal.TRACES), {1, 2, 3}),
        (Filters(signal=Signal.LOGS), set()),
        (Filters(min_severity=1), set()),
        (Filters(trace_id=trace(3)), {3}),
    ],
    ids=str,
)
async def test_a_filter_lets_its_traces_through(
    rows: StoreRows, reader: DuckDbReader, filters: Filters, expected: set[int]
) -> None:
    """Three traces that differ in everything that can be filtered by."""
    shop, bank = rows.resource("shop"), rows.resource("bank")
    rows.span(trace(1), 1, resource_id=shop)
    rows.span(trace(2), 1, resource_id=bank, start=T0 + S, end=T0 + S + 80 * MS, status=2, name="checkout")
    rows.span(trace(3), 1, resource_id=shop, start=T0 + 2 * S, end=T0, status=1)
    assert await passing(reader, filters) == expected


AWKWARD_KEYS = [
    "plain",
    "a.b",
    "a/b",
    "~t",
    'q"uote',
    "back\\slash",
    "ü",
    "@at",
    "'; DROP TABLE spans; --",
    "$.x",
    "a*b",
    " ",
]


@pytest.mark.parametrize("key", AWKWARD_KEYS)
async def test_any_key_can_be_asked_for(rows: StoreRows, reader: DuckDbReader, key: str) -> None:
    """A key is a value of the query, whatever its letters; a key with @ is stored doubled."""
    shop = rows.resource("shop")
    stored = "@" + key if key.startswith("@") else key
    rows.span(trace(1), 1, resource_id=shop, attributes={stored: "here", "other": 1})
    rows.span(trace(2), 1, resource_id=shop, attributes={"other": "here"})
    assert await passing(reader, Filters(attributes={key: "here"})) == {1}


@pytest.mark.parametrize(
    ("json_text", "value", "others"),
    [
        ('{"k":"3"}', "3", [3, 3.0, True]),
        ('{"k":3}', 3, ["3", 3.0]),
        ('{"k":3.0}', 3.0, ["3.0", 3]),
        ('{"k":true}', True, ["true", 1]),
        ('{"k":false}', False, ["false", 0]),
        ('{"k":9223372036854775807}', 9223372036854775807, [9223372036854775806, 9.223372036854775807e18]),
        ('{"k":1.5e300}', 1.5e300, [1.5e299]),
        ('{"k":{"@double":"NaN"}}', float("nan"), ["NaN"]),
        ('{"k":{"@double":"-Infinity"}}', float("-inf"), [float("inf")]),
        ('{"k":"tab\\there \\u00fc"}', "tab\there ü", ["tab"]),
        ('{"k":""}', "", ["k"]),
    ],
)
async def test_values_are_equal_in_type_and_value(
    rows: StoreRows, reader: DuckDbReader, json_text: str, value: Any, others: list[Any]
) -> None:
    """3 is not "3" and not 3.0; large integers are told apart."""
    rows.span(trace(1), 1, resource_id=rows.resource("shop"), attributes=json_text)
    assert await passing(reader, Filters(attributes={"k": value})) == {1}
    for other in others:
        assert await passing(reader, Filters(attributes={"k": other})) == set()


async def test_an_attribute_of_the_resource_counts_too(rows: StoreRows, reader: DuckDbReader) -> None:
    """What a record's resource says, the record says."""
    rows.span(trace(1), 1, resource_id=rows.resource("shop", region="eu"))
    rows.span(trace(2), 1, resource_id=rows.resource("shop", region="us"))
    assert await passing(reader, Filters(attributes={"region": "eu"})) == {1}


async def test_a_hot_attribute_is_asked_of_its_column(rows: StoreRows, reader: DuckDbReader) -> None:
    """Where there is a typed column it decides; a value of another type is looked for in the JSON text."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, attr_http_response_status_code=500)
    rows.span(trace(2), 1, resource_id=shop, attributes={"http.response.status_code": "500"})
    assert await passing(reader, Filters(attributes={"http.response.status_code": 500})) == {1}
    assert await passing(reader, Filters(attributes={"http.response.status_code": "500"})) == {2}


async def test_every_hot_column_is_in_the_schema(rows: StoreRows) -> None:
    """The names of the columns follow from those of the attributes."""
    for signal, table in ((Signal.TRACES, "spans"), (Signal.LOGS, "logs")):
        found = rows.connection.execute(f"DESCRIBE {table}").fetchall()
        columns = {name for name, *_ in found if name.startswith("attr_")}
        assert set(HOT_COLUMNS[signal].values()) == columns


async def test_log_records_are_filtered_by_what_they_have(rows: StoreRows, reader: DuckDbReader) -> None:
    """Severity gives the status; the observed time stands in for a time of 0; durations let none through."""
    shop = rows.resource("shop")
    rows.log("card declined", resource_id=shop, time=T0 - S, severity=17, attributes={"k": 1})
    rows.log("all is well", resource_id=shop, time=0, event_name="health")

    async def bodies(**filters: Any) -> list[str]:
        return [row["body"] for row in await reader.logs(Filters(**filters), 10)]

    assert await bodies() == ["all is well", "card declined"]
    assert await bodies(status=Status.ERROR) == ["card declined"]
    assert await bodies(status=Status.UNSET) == ["all is well"]
    assert await bodies(status=Status.OK) == []
    assert await bodies(since_ns=T0) == ["all is well"]
    assert await bodies(min_severity=17) == ["card declined"]
    assert await bodies(name="health") == ["all is well"]
    assert await bodies(attributes={"k": 1}) == ["card declined"]
    assert await bodies(text="DECLINED") == ["card declined"]
    assert await bodies(min_duration_ns=0) == []
