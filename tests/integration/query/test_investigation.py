"""Planted regressions in a real store are found, ranked and explained; noise alone is not reported."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from receiver.config import QueryConfig, StoreConfig
from receiver.decode.text_form import model_text
from receiver.errors import InvalidFilterError
from receiver.query.service import QueryService
from receiver.questions import TimeWindow, WindowQuestion
from receiver.store.duckdb_reader import DuckDbReader
from tests.support.store_rows import MS, T0, ExactIndex, S, StoreRows, WordEmbedder, index_of, trace

HOUR = 3600 * S
WINDOW: dict[str, Any] = {"since_ns": T0, "until_ns": T0 + HOUR}


@pytest.fixture
def service(rows: StoreRows, reader: DuckDbReader) -> QueryService:
    """Give the service over the store that the test fills."""
    index: ExactIndex = index_of(rows)
    return QueryService(
        reader, embedder=WordEmbedder(), index=index, config=QueryConfig(), prepare=model_text
    )


def numbers() -> Iterator[int]:
    """Yield numbers of traces."""
    number = 0
    while True:
        number += 1
        yield number


async def test_planted_regressions_are_found(rows: StoreRows, service: QueryService) -> None:
    """A slower operation, a new error downstream, a new and a vanished operation, a new version, a new error log."""
    old = rows.resource("shop", **{"service.version": "1", "service.instance.id": "x1"})
    new = rows.resource("shop", **{"service.version": "2", "service.instance.id": "x2"})
    bank = rows.resource("bank")
    ids = numbers()
    failed: list[str] = []
    for number in range(40):
        for at, resource in ((T0 - HOUR, old), (T0, new)):
            now = resource is new
            trace_id, start = trace(next(ids)), at + number * 60 * S
            fails = now and number % 4 == 0
            if fails:
                failed.append(trace_id.hex)
            plan: dict[str, Any] = {"name": "GET /cart", "resource_id": resource, "start": start}
            rows.span(
                trace_id, 1, **plan, end=start + (300 if now else 100 + number % 3) * MS, status=2 * fails
            )
            rows.span(trace_id, 2, name="render", resource_id=resource, parent=1, start=start)
            thrown = {"exception.type": "Timeout", "exception.message": f"no answer from 10.0.0.{number}"}
            rows.span(
                trace_id, 3, name="POST /pay", resource_id=bank, parent=1, start=start, end=start + MS,
                status=2 * fails, status_message=f"bank did not answer call {123456 + number}" if fails else "",
                events=[{"time_unix_nano": start, "name": "exception", "attributes": str(thrown).replace("'", '"'),
                         "dropped_attributes_count": 0}] if fails else [],
            )  # fmt: skip
            name = "export v2" if now else "export v1"
            rows.span(trace(next(ids)), 1, name=name, resource_id=resource, start=start)
    rows.log("known trouble", resource_id=old, time=T0 - S, severity=17)
    rows.log("known trouble", resource_id=new, time=T0 + S, severity=17)
    for number in range(3):
        rows.log(f"cart {900000 + number} lost", resource_id=new, time=T0 + S, severity=17, trace_id=trace(2))

    found = await service.investigate("shop", **WINDOW)
    assert [(each["name"], each["change"]) for each in found["latency"]] == [("GET /cart", "slower")]
    (slower,) = found["latency"]
    assert slower["window"]["p95_ms"] == pytest.approx(300)
    assert slower["baseline"]["p95_ms"] == pytest.approx(102, rel=0.09)
    assert slower["baseline"]["count"] == slower["window"]["count"] == 40
    (rate,) = found["error_rates"]
    assert (rate["name"], rate["change"], rate["window"]["errors"]) == ("GET /cart", "more_errors", 10)
    assert set(rate["trace_ids"]) <= set(failed)
    assert [each["name"] for each in found["new_operations"]] == ["export v2"]
    assert [each["name"] for each in found["vanished_operations"]] == ["export v1"]
    (origin,) = found["origins"]
    assert (origin["service"], origin["name"], origin["traces"], origin["share"]) == (
        "bank",
        "POST /pay",
        10,
        1.0,
    )
    assert [(each["message"][:4], each["count"]) for each in found["new_error_logs"]] == [("cart", 3)]
    assert [(each["attribute"], each["value"], each["before"]) for each in found["deployments"]] == [
        ("service.version", "2", ["1"])
    ]
    assert found["cut"] == {}
    assert found["note"] is None
    said = " ".join(found["summary"])
    for part in (
        "shop: GET /cart fails in 25.00% of 40",
        "10 failed traces (100%) failed first in bank: POST /pay",
    ):
        assert part in said

    everywhere = await service.investigate(**WINDOW)
    (error,) = [each for each in everywhere["errors"] if each["type"] == "Timeout"]
    assert (error["count"], error["baseline_count"], error["new"], error["services"]) == (
        10,
        0,
        True,
        ["bank"],
    )
    assert len(error["trace_ids"]) == 3


async def test_tokens_and_errors_of_models_are_compared(rows: StoreRows, service: QueryService) -> None:
    """Calls are counted, the agent's span that repeats their sum is not."""
    agent = rows.resource("agent")
    for number, (at, tokens) in enumerate(((T0 - HOUR, 10), (T0, 50), (T0 + S, 50))):
        usage = {"gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": 1}
        model: dict[str, Any] = {"attr_gen_ai_request_model": "m1", "resource_id": agent, "start": at}
        rows.span(trace(number), 1, **model, attributes={**usage, "gen_ai.operation.name": "invoke_agent"})
        rows.span(trace(number), 2, **model, attributes=usage, status=2 if at == T0 else 0)
    (model,) = (await service.investigate("agent", **WINDOW))["models"]
    assert model["window"] == {"calls": 2, "errors": 1, "input_tokens": 100, "output_tokens": 2}
    assert model["baseline"] == {"calls": 1, "errors": 0, "input_tokens": 10, "output_tokens": 1}
    assert (model["tokens_difference"], model["tokens_per_call_ratio"]) == (
        91,
        pytest.approx(51 / 11, abs=0.001),
    )


async def test_noise_alone_is_reported_in_one_of_a_hundred_comparisons(
    rows: StoreRows, service: QueryService
) -> None:
    """Both windows draw from the same distributions, heavy tails and rare errors included; the seeds are fixed."""
    resources = [rows.resource(f"service {number}") for number in range(4)]
    reported = 0
    for seed in range(12):
        source = random.Random(seed)
        values: list[tuple[Any, ...]] = []
        for number in range(6000):
            operation = number % 40
            start = T0 - HOUR + source.randrange(2 * HOUR)
            took = round(source.lognormvariate(3 + operation % 5, 1.2) * MS)
            failed = 2 if source.random() < 0.03 else 0
            values.append(
                (
                    trace(number),
                    f"operation {operation}",
                    start,
                    start + took,
                    failed,
                    resources[operation % 4],
                )
            )
        rows.connection.execute("DELETE FROM spans")
        insert_spans(rows, values)
        found = await service.investigate(**WINDOW, limit=100)
        assert found["totals"]["operations_compared"] == 40
        changes = ("latency", "error_rates", "new_operations", "vanished_operations", "deployments")
        reported += any(found[name] for name in changes)
    assert reported <= 1  # of 24 families of tests, each at one in a hundred


async def test_quantiles_are_within_a_bucket_of_the_exact_ones(rows: StoreRows, reader: DuckDbReader) -> None:
    """Durations over seven decades: at most 9 % off; counts above the common limits are those of the spans."""
    shop = rows.resource("shop")
    source = random.Random(1)
    took = [round(10 ** source.uniform(2, 9)) for _ in range(2000)]
    insert_spans(rows, [(trace(n), "work", T0 + n, T0 + n + each, 0, shop) for n, each in enumerate(took)])
    insert_spans(rows, [(trace(9000), "work", T0 - S, T0 - S, 0, shop)])
    window, baseline = TimeWindow(T0, T0 + HOUR), TimeWindow(T0 - HOUR, T0)
    (pair,) = (await reader.window_figures(WindowQuestion(window, baseline))).operations
    exact = [sorted(took)[int(share * 2000)] / MS for share in (0.5, 0.95, 0.99)]
    assert [pair.window.p50_ms, pair.window.p95_ms, pair.window.p99_ms] == pytest.approx(exact, rel=0.1)
    assert pair.baseline.p50_ms == 0
    assert pair.window.above_median == pytest.approx(1000, abs=30)
    assert pair.window.above_p90 == pytest.approx(200, abs=30)
    assert pair.slowest[0] == trace(took.index(max(took))).hex


async def test_a_million_spans_fit_the_memory_that_the_store_has(
    rows: StoreRows, reader: DuckDbReader
) -> None:
    """1,000 operations at the default memory limit: no group keeps what grows with its spans."""
    shop = rows.resource("shop")
    rows.connection.execute(
        "INSERT INTO spans (trace_id, span_id, trace_state, flags, name, kind, start_time_unix_nano,"
        " end_time_unix_nano, status_code, status_message, attributes, dropped_attributes_count,"
        " dropped_events_count, dropped_links_count, resource_id, scope_id)"
        " SELECT md5((i // 10)::VARCHAR)::UUID, i % 10 + 1, '', 0, 'operation ' || (i % 1000), 2, t,"
        " t + 1000000 + hash(i) % 1000000000, CASE WHEN i % 97 = 0 THEN 2 ELSE 0 END,"
        " 'failed for ' || (i + 100000), '{}', 0, 0, 0, ?, ?"
        f" FROM (SELECT i, {T0 - HOUR} + i * {2 * HOUR // 1_000_000} AS t FROM range(1000000) r(i))",
        [shop, UUID(int=0)],
    )
    rows.connection.execute(f"SET memory_limit = '{StoreConfig().memory_limit_bytes}B'")
    window, baseline = TimeWindow(T0, T0 + HOUR), TimeWindow(T0 - HOUR, T0)
    figures = await reader.window_figures(WindowQuestion(window, baseline))
    assert [pair.window.count for pair in figures.operations] == [500] * 1000
    (failures,) = figures.failures
    assert failures.count + failures.baseline_count == 10_310


def insert_spans(rows: StoreRows, values: list[tuple[Any, ...]]) -> None:
    """Insert many plain spans at once: (trace id, name, start, end, status, resource id)."""
    columns = [list(column) for column in zip(*values, strict=True)]
    given = ", ".join(
        f"unnest(?::{kind}[])" for kind in ("UUID", "VARCHAR", "UBIGINT", "UBIGINT", "INTEGER", "UUID")
    )
    rows.connection.execute(
        "INSERT INTO spans (trace_id, span_id, trace_state, flags, name, kind, start_time_unix_nano,"
        " end_time_unix_nano, status_code, status_message, attributes, dropped_attributes_count,"
        " dropped_events_count, dropped_links_count, resource_id, scope_id)"
        " SELECT t, 1, '', 0, n, 2, s, e, c, '', '{}', 0, 0, 0, r, ?"
        f" FROM (SELECT {given}) AS given(t, n, s, e, c, r)",
        [UUID(int=0), *columns],
    )


async def test_a_quiet_window_says_so(rows: StoreRows, service: QueryService) -> None:
    """Nothing is called a change where there is nothing to compare."""
    shop = rows.resource("shop")
    for number in range(20):
        rows.span(trace(number), 1, resource_id=shop, start=T0 + number)
    found = await service.investigate("shop", **WINDOW)
    assert "nothing can be called a change" in found["note"]
    assert found["new_operations"] == found["deployments"] == []
    assert (
        "no span and no log record of the service 'ghost'"
        in (await service.investigate("ghost", **WINDOW))["note"]
    )
    earlier = await service.investigate("shop", since_ns=T0 + HOUR, until_ns=T0 + 2 * HOUR)
    assert earlier["note"] == "no span and no log record of the service 'shop' is stored in the window"


@pytest.mark.parametrize(
    ("since", "until", "baseline", "said"),
    [
        (5, 5, (None, None), "since must be before until"),
        (0, 5, (None, None), "the baseline is empty"),
        (10, 20, (5, 12), "overlap"),
        (10, 20, (8, 8), "the baseline is empty"),
    ],
)
async def test_windows_that_cannot_be_are_refused(
    service: QueryService, since: int, until: int, baseline: tuple[int | None, int | None], said: str
) -> None:
    """An empty window, an empty baseline and an overlap are told apart."""
    begin, end = baseline
    with pytest.raises(InvalidFilterError, match=said):
        await service.investigate(
            since_ns=since, until_ns=until, baseline_since_ns=begin, baseline_until_ns=end
        )


async def test_broken_spans_do_not_stop_it(rows: StoreRows, service: QueryService) -> None:
    """Spans that end before they start, that are their own parents, and texts that are no JSON."""
    shop = rows.resource("shop")
    for number in range(12):
        rows.span(
            trace(number), 1, resource_id=shop, parent=1, start=T0 + S, end=T0, status=2, attributes="no json"
        )
        rows.span(trace(number), 1, resource_id=shop, parent=1, start=T0 - S, end=2**64 - 1)
    found = await service.investigate("shop", **WINDOW)
    assert found["totals"]["window"] == {"spans": 12, "errors": 12}
    assert found["latency"] == []
    assert found["origins"][0]["traces"] == 12
