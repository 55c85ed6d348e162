"""Each route answers in the shape that is promised, over a real socket."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from receiver.errors import SpoolUnavailableError
from tests.support.query_listener import Client, RunningServer
from tests.support.store_rows import MS, T0, S, StoreRows, trace


async def test_search_answers_with_the_promised_fields(rows: StoreRows, client: Client) -> None:
    """Results say what was found, where, when, how it went and why."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, name="POST /charge", text="card declined", status=2)
    rows.span(trace(2), 1, resource_id=rows.resource("bank"), text="card declined")
    target = "/api/v1/search?" + urlencode(
        {"q": "card declined", "limit": 5, "service": "shop", "threshold": 0.5}
    )
    answer = await client.ask(target)
    assert answer.status == 200
    (result,) = answer.json["results"]
    expected = {
        "trace_id": trace(1).hex,
        "span_id": "0000000000000001",
        "signal": "traces",
        "service": "shop",
        "name": "POST /charge",
        "time": "2026-09-21T14:13:20.000000000Z",
        "time_unix_nano": str(T0),
        "duration_ms": 5.0,
        "status": "error",
        "similarity": 1.0,
        "text": "card declined",
        "matches": 1,
        "why": "has card, declined: card declined",
    }
    assert {name: result[name] for name in expected} == expected
    assert (answer.json["mode"], answer.json["pending"], answer.json["note"]) == ("meaning", 0, None)


async def test_stats_answers_exact_totals(rows: StoreRows, client: Client) -> None:
    """Counts per signal and service, backlog, spool, quarantine, database."""
    rows.span(trace(1), 1, resource_id=rows.resource("shop"), text="a", embedded=False)
    found = (await client.ask("/api/v1/stats")).json
    assert found["records"] == {"spans": 1, "log_records": 0, "metric_points": 0}
    assert found["services"]["shop"]["spans"] == 1
    assert found["embedding"]["pending"] == 1
    assert found["spool"] == {"requests": 0}
    assert found["quarantine"] == {"requests": 0}
    assert "bytes" in found["database"]


async def test_sql_answers_columns_and_rows_as_lists(rows: StoreRows, client: Client) -> None:
    """Integers beyond 64 bits stay integers on the wire."""
    rows.span(trace(1), 1, resource_id=rows.resource("shop"))
    query = "SELECT name, 170141183460469231731687303715884105727::HUGEINT AS huge FROM spans"
    answer = await client.ask("/api/v1/sql", method="POST", body={"query": query, "limit": 10})
    assert answer.json == {"columns": ["name", "huge"], "rows": [["work", 2**127 - 1]], "truncated": False}
    cut = await client.ask("/api/v1/sql", method="POST", body={"query": "FROM range(10)", "limit": 2})
    assert (cut.json["rows"], cut.json["truncated"]) == ([[0], [1]], True)


async def test_refused_sql_is_a_400_with_a_hint(client: Client) -> None:
    """The caller learns what is served."""
    answer = await client.ask("/api/v1/sql", method="POST", body={"query": "DROP TABLE spans"})
    assert answer.status == 400
    assert "DROP" in answer.json["error"]["message"]
    assert "SELECT" in answer.json["error"]["hint"]


async def test_a_trace_is_a_tree_and_an_unknown_one_404(rows: StoreRows, client: Client) -> None:
    """Integers above 2^53 in attributes survive the wire."""
    shop = rows.resource("shop")
    rows.span(trace(1), 1, resource_id=shop, attributes='{"n":9007199254740993}')
    rows.span(trace(1), 2, parent=1, resource_id=shop)
    rows.log("a line", resource_id=shop, trace_id=trace(1), span_id=2)
    answer = await client.ask(f"/api/v1/traces/{trace(1).hex.upper()}")
    (root,) = answer.json["roots"]
    assert b"9007199254740993" in answer.body
    assert root["children"][0]["logs"][0]["body"] == "a line"
    assert (await client.ask(f"/api/v1/traces/{'0' * 31}1")).status == 404
    assert (await client.ask("/api/v1/traces/xyz")).status == 400


async def test_a_chain_of_spans_deeper_than_json_allows_is_answered_whole(
    rows: StoreRows, client: Client
) -> None:
    """Nothing is lost in a trace 1,000 spans deep."""
    rows.span(trace(1), 0, resource_id=rows.resource("shop"))
    rows.connection.execute(
        "INSERT INTO spans SELECT s.* REPLACE (i + 1 AS span_id, i AS parent_span_id) FROM spans s, range(999) t(i)"
    )
    answer = await client.ask(f"/api/v1/traces/{trace(1).hex}")
    assert answer.status == 200
    assert (answer.json["span_count"], answer.json["depth"]) == (1000, 999)
    assert answer.body.count(b'"span_id"') == 1000


async def test_lists_take_filters(rows: StoreRows, client: Client) -> None:
    """Traces, services, logs and metrics are listed."""
    shop, bank = rows.resource("shop"), rows.resource("bank")
    rows.span(trace(1), 1, resource_id=shop, status=2, end=T0 + 300 * MS, attributes={"user.id": 7})
    rows.span(trace(2), 1, resource_id=bank, start=T0 + S)
    rows.log("all well", resource_id=shop)
    rows.log("all lost", resource_id=shop, severity=21, trace_id=trace(1))
    rows.number(rows.metric("queue depth/max", "gauge", resource_id=shop), T0, 3)

    async def found(target: str, member: str, name: str) -> list[Any]:
        answer = await client.ask(f"/api/v1/{target}")
        assert answer.status == 200, answer.body
        return [row[name] for row in answer.json[member]]

    assert await found("services", "services", "service") == ["bank", "shop"]
    assert await found("traces", "traces", "trace_id") == [trace(2).hex, trace(1).hex]
    for query in (
        "service=shop",
        "status=error",
        "min_duration=250ms",
        "min_duration=250",
        "attribute=user.id%3D7",
        f"until={T0 // S}.5",
        "until=2026-09-21T14:13:20.5Z",
        "name=work&attribute=service.name%3Dshop&attribute=user.id%3D7",
    ):
        assert await found(f"traces?{query}", "traces", "trace_id") == [trace(1).hex]
    assert await found('traces?attribute=user.id%3D"7"', "traces", "trace_id") == []
    assert await found("logs?min_severity=17", "logs", "body") == ["all lost"]
    assert await found(f"logs?trace_id={trace(1).hex}", "logs", "body") == ["all lost"]
    assert await found("logs?text=WELL", "logs", "body") == ["all well"]
    assert await found("metrics", "metrics", "name") == ["queue depth/max"]
    points = await client.ask(
        "/api/v1/metrics/" + quote("queue depth/max", safe="") + "?step=60&aggregation=max"
    )
    assert points.json["series"][0]["points"][0]["value"] == 3
    assert (await client.ask("/api/v1/metrics/nothing")).status == 404


async def test_flush_waits_for_what_is_asked(client: Client, server: RunningServer) -> None:
    """embeddings=1 waits for vectors too; a store that is down is 503 with Retry-After."""
    for query in ("", "?embeddings=1", "?embeddings=0"):
        sent = await client.ask(f"/api/v1/flush{query}", method="POST", body={})
        assert sent.status == 200
    assert server.flushed == [False, True, False]
    server.broken = SpoolUnavailableError("disk is full", hint="make room", retry_after_s=7)
    answer = await client.ask("/api/v1/flush", method="POST", headers={"content-type": "application/json"})
    assert (answer.status, answer.headers["retry-after"]) == (503, "7")
    assert answer.json == {"error": {"message": "disk is full", "hint": "make room"}}


async def test_health_and_own_metrics(client: Client, server: RunningServer) -> None:
    """/readyz follows the receiver's health, /healthz only its life; /metrics is Prometheus text."""
    assert (await client.ask("/readyz")).json == {"status": "ready", "problems": []}
    server.found_problems.append("the store has not committed for 60 s")
    ready = await client.ask("/readyz")
    assert (ready.status, ready.json["problems"]) == (503, ["the store has not committed for 60 s"])
    assert (await client.ask("/healthz")).status == 200
    metrics = await client.ask("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE otelcol_receiver_accepted_spans" in metrics.body


@pytest.mark.parametrize(
    ("target", "message", "hint"),
    [
        ("search", "q is missing", "plain words"),
        ("search?q=", "q is missing", "plain words"),
        ("search?q=x&servise=a", "'servise'", "did you mean service?"),
        ("search?q=x&limit=0", "limit", "1 to 1000"),
        ("search?q=x&limit=ten", "limit", "1 to 1000"),
        ("search?q=x&limit=1&limit=2", "2 times", ""),
        ("search?q=x&threshold=nan", "threshold", ""),
        ("search?q=x&signal=metrics", "metrics", ""),
        ("traces?since=yesterday", "since: 'yesterday' is not a time", "RFC 3339"),
        ("traces?status=bad", "status", ""),
        ("traces?attribute=nokey", "attribute", "key=value"),
        ("traces?min_duration=long", "min_duration", "250ms"),
        ("traces?x", "cannot be read", "name=value"),
        ("traces?service=%ff", "cannot be read", "UTF-8"),
        ("metrics/m?step=0", "step", ""),
        ("stats?verbose=1", "'verbose'", "none"),
    ],
)
async def test_a_wrong_parameter_is_named_with_a_hint(
    client: Client, target: str, message: str, hint: str
) -> None:
    """Nothing is silently ignored."""
    answer = await client.ask(f"/api/v1/{target}")
    assert answer.status == 400, answer.body
    assert message in answer.json["error"]["message"]
    assert hint in (answer.json["error"]["hint"] or "")


async def test_a_client_that_goes_away_frees_its_reader(client: Client, begun: threading.Semaphore) -> None:
    """Statements without end, as many as there are readers, are stopped when nobody waits for them."""
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 9"
    connections = [await asyncio.to_thread(client.send, "/api/v1/sql", {"query": endless}) for _ in range(2)]
    for connection in connections:
        await asyncio.to_thread(begun.acquire)
        assert connection.sock is not None
    for connection in connections:
        connection.close()
    answer = await client.ask("/api/v1/services")
    assert (answer.status, answer.json) == (200, {"services": []})
